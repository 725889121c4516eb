package tabular

import (
	"context"
	"math"

	"cmf/solvers/random"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
)

// PairScore is the difference of the association of two columns between generated and
// held-out rows.
type PairScore struct {
	A, B string

	// Correlation is |ρ − ρ′| for Spearman's rank correlation, in [0, 2], over the rows where
	// neither value is missing; ties have their mean rank, and a constant column has ρ = 0. It
	// is NaN unless both columns are numbers or times.
	Correlation float64

	// Information is |U − U′| for the normalised mutual information U = I/min(H_A, H_B), in
	// [0, 1], 0 where an entropy is 0. Columns are binned: missing values, numbers at the
	// training rows' deciles, labels with rare ones pooled; there are fewer bins below 500 rows.
	// I has Miller's correction of the bias, I + (K_A + K_B − K_AB − 1)/(2n) for K occupied
	// cells and n effective rows. What bias is left is that of the smaller table: U is the mean
	// over up to 8 parts of the larger one that have as many rows.
	//
	// G. A. Miller, "Note on the bias of information estimates", Information Theory in
	// Psychology, 1955, 95–100.
	Information float64
}

func (s *Scores) judgePairs(ctx context.Context, d judged, rng *random.Stream) error {
	n := min(d.generated.Rows(), d.held.Rows())
	// Five rows, on average, in each cell of two columns.
	most := min(10, max(2, int(math.Sqrt(float64(n)/5))))
	held, generated := newAssociation(d.train, d.held, n, most, part(rng)), newAssociation(d.train, d.generated, n, most, part(rng))
	for _, pair := range pairsOf(len(d.train.Columns), rng) {
		if err := ctx.Err(); err != nil {
			return err
		}
		j, k := pair[0], pair[1]
		s.Pairs = append(s.Pairs, PairScore{
			A: d.train.Name(j), B: d.train.Name(k),
			Correlation: math.Abs(generated.correlation(j, k) - held.correlation(j, k)),
			Information: math.Abs(generated.information(j, k) - held.information(j, k)),
		})
	}
	name := func(k int) string { return s.Pairs[k].A + " × " + s.Pairs[k].B }
	s.Correlation = spreadOf(len(s.Pairs), func(k int) (float64, string) { return s.Pairs[k].Correlation, name(k) })
	s.Information = spreadOf(len(s.Pairs), func(k int) (float64, string) { return s.Pairs[k].Information, name(k) })
	return nil
}

// pairsOf are all pairs of d columns, or mostPairs of them drawn at random.
func pairsOf(d int, rng *random.Stream) (pairs [][2]int) {
	if d*(d-1)/2 <= mostPairs {
		for j := range d {
			for k := j + 1; k < d; k++ {
				pairs = append(pairs, [2]int{j, k})
			}
		}
		return pairs
	}
	seen := make(map[[2]int]bool)
	for len(pairs) < mostPairs {
		j, k := rng.IntN(d), rng.IntN(d)
		pair := [2]int{min(j, k), max(j, k)}
		if j != k && !seen[pair] {
			seen[pair] = true
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// association measures pairs of columns; what it needs of a column it computes once.
type association struct {
	rows
	ranks [][]float64 // of columns; nil until needed
	train rows
	most  int // bins of a column
	bins  []bins
	codes [][]uint8
	parts [][]int // rows
}

const mostParts = 8

func newAssociation(train, r rows, n, most int, rng *random.Stream) *association {
	d := len(train.Columns)
	a := &association{rows: r, ranks: make([][]float64, d), train: train, most: most, bins: make([]bins, d), codes: make([][]uint8, d)}
	order := rng.Perm(r.Rows())
	for k := range min(mostParts, len(order)/n) {
		a.parts = append(a.parts, order[k*n:(k+1)*n])
	}
	return a
}

// correlation is Spearman's, NaN for labels.
func (a *association) correlation(j, k int) float64 {
	if labelled(a.train.Columns[j].Kind) || labelled(a.train.Columns[k].Kind) {
		return math.NaN()
	}
	var x, y, w []float64
	of, and := a.ranksOf(j), a.ranksOf(k)
	for i, weight := range a.weights {
		if !math.IsNaN(of[i]) && !math.IsNaN(and[i]) {
			x, y, w = append(x, of[i]), append(y, and[i]), append(w, weight)
		}
	}
	if !varies(x) || !varies(y) {
		return 0
	}
	return stat.Correlation(x, y, w)
}

// ranksOf are the ranks of the values of column j as shares of the weight: ties have the
// middle of theirs, missing values NaN.
func (a *association) ranksOf(j int) []float64 {
	if a.ranks[j] == nil {
		m := newMargin(a.rows, j)
		a.ranks[j] = make([]float64, a.Rows())
		for i, v := range a.Columns[j].Values {
			a.ranks[j][i] = v
			if !math.IsNaN(v) {
				low, high := m.interval(v)
				a.ranks[j][i] = (low + high) / 2
			}
		}
	}
	return a.ranks[j]
}

func (a *association) codesOf(j int) ([]uint8, int) {
	if a.codes[j] == nil {
		a.bins[j] = newBins(a.train.Columns[j], a.most)
		a.codes[j] = a.bins[j].all(a.Columns[j].Values)
	}
	return a.codes[j], a.bins[j].count
}

// information is the normalised mutual information of columns j and k, its mean over parts.
func (a *association) information(j, k int) (mean float64) {
	x, nx := a.codesOf(j)
	y, ny := a.codesOf(k)
	for _, part := range a.parts {
		px, py, both := make([]float64, nx), make([]float64, ny), make([]float64, nx*ny)
		var total, squares float64
		for _, i := range part {
			w := a.weights[i]
			px[x[i]] += w
			py[y[i]] += w
			both[int(x[i])*ny+int(y[i])] += w
			total += w
			squares += w * w
		}
		for _, p := range [][]float64{px, py, both} {
			floats.Scale(1/total, p)
		}
		mean += normalised(px, py, both, total*total/squares) / float64(len(a.parts))
	}
	return mean
}

// normalised is the mutual information over the lesser entropy, for n effective rows.
func normalised(px, py, both []float64, n float64) float64 {
	kx, ky := occupied(px), occupied(py)
	if kx < 2 || ky < 2 {
		return 0
	}
	hx, hy := stat.Entropy(px), stat.Entropy(py)
	bias := float64(kx+ky-occupied(both)-1) / (2 * n)
	return min(1, max(0, (hx+hy-stat.Entropy(both)+bias)/min(hx, hy)))
}

func occupied(p []float64) (count int) {
	for _, v := range p {
		if v > 0 {
			count++
		}
	}
	return count
}
