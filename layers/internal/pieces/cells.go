package pieces

import (
	"fmt"
	"math"

	"cmf/layers/internal/spectrum"
	"cmf/solvers/batch"
	"cmf/solvers/cells"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// start sets a soft maximum of quadratics to a map from the noise of the
// closed form onto the data, cell by cell:
//
//   - the data's cells are those of k-means, with mean m_k and covariance Σ_k;
//   - A_k is the linear Monge map from N(0, S_k) to N(0, Σ_k), where S_k is the
//     covariance of the noise on piece k. Factors of low rank take Σ_k = diag v + VᵀV
//     and A_k = Σ_kᵉ with the exponent e of the closed form;
//   - with y ~ noise, b_k makes the mass of piece k that of cell k, and c_k its
//     mean m_k: c_k = m_k − A_k·E[y | piece k].
//
// With one piece it is the closed form of a Gaussian.
type start struct {
	Noise
	q     *Maximum
	floor float64 // s

	share  []float64       // of the data in each cell
	means  blas32.General  // m_k, (K, d)
	covs   []*mat.SymDense // Σ_k; none where factors have low rank
	maps   []*mat.SymDense // A_k, likewise
	shift  blas32.General  // E[y | piece k], (K, d)
	spread float64         // the standard deviation of φ_k(y) over y and k
	space  blas32.General  // an orthonormal basis of the span of the m_k − m_l, (d, K−1); no Data for all of ℝᵈ
}

const (
	mostCellPoints = 20000 // points that cells are made of
	cellRounds     = 30
	balanceRounds  = 6
	massSteps      = 60
)

// fillCells finds the cells and sets the factors.
func (s *start) fillCells(data blas32.General, rng *random.Stream) error {
	q, d := s.q, s.q.Dim
	if q.Pieces == 1 { // the closed form takes the law, not the points
		s.share, s.means = []float64{1}, batch.New(1, d)
		for j, v := range s.Law.Mean {
			s.means.Data[j] = float32(v)
		}
		if q.Root == nil {
			return s.setFactors(0, spectrum.MongeMap(s.Scale, s.Law.Power(1)))
		}
	}
	x := data
	if x.Rows > mostCellPoints {
		x = batch.New(mostCellPoints, d)
		for i, from := range rng.Perm(data.Rows)[:x.Rows] {
			copy(batch.Row(x, i), batch.Row(data, from))
		}
	}
	cell, centers, err := cells.KMeans(x, q.Pieces, cellRounds, rng)
	if err != nil {
		return fmt.Errorf("layers: the cells of %d quadratics: %w", q.Pieces, err)
	}
	members := make([][]int, q.Pieces)
	for i, k := range cell {
		members[k] = append(members[k], i)
	}
	s.means, s.share = centers, make([]float64, q.Pieces)
	within := cells.Within(x, centers, cell)
	for k, rows := range members {
		s.share[k] = (float64(len(rows)) + .5) / (float64(x.Rows) + .5*float64(q.Pieces))
		points := batch.New(len(rows), d)
		batch.Gather(points, x, rows)
		if q.Root != nil {
			if err := s.setLowRank(k, points, within, rng); err != nil {
				return err
			}
			continue
		}
		s.covs = append(s.covs, cells.Covariance(points, batch.Row(centers, k), within))
		s.maps = append(s.maps, spectrum.MongeMap(s.Scale, s.covs[k]))
		if err := s.setFactors(k, s.maps[k]); err != nil {
			return err
		}
	}
	s.span()
	return nil
}

// setFactors sets F_kᵀF_k to A_k − s.
func (s *start) setFactors(k int, a *mat.SymDense) error {
	var e mat.EigenSym
	if !e.Factorize(a, true) {
		return fmt.Errorf("layers: the spectrum of the map of cell %d was not found", k)
	}
	var v mat.Dense
	e.VectorsTo(&v)
	d := s.q.Dim
	for r, value := range e.Values(nil) {
		root := math.Sqrt(max(value-s.floor, .01*s.floor))
		for j := range d {
			s.q.Factors.Set((k*d+r)*d+j, root*v.At(j, r))
		}
	}
	return nil
}

// setLowRank sets D_k and F_k from the r leading directions of a cell.
func (s *start) setLowRank(k int, points blas32.General, within []float64, rng *random.Stream) error {
	d, r, n := s.q.Dim, s.q.Rank, points.Rows
	mean := batch.Row(s.means, k)
	centered := batch.New(n, d)
	variance := make([]float64, d)
	for i := range n {
		for j, v := range batch.Row(points, i) {
			c := v - mean[j]
			batch.Row(centered, i)[j] = c / float32(math.Sqrt(float64(n)))
			variance[j] += float64(c) * float64(c) / float64(n)
		}
	}
	directions, values, err := spectrum.Leading(centered, min(r, n/3), rng)
	if err != nil {
		return fmt.Errorf("layers: the directions of cell %d: %w", k, err)
	}
	for i, value := range values {
		for j := range d {
			variance[j] -= value * math.Pow(directions.At(i, j), 2)
		}
	}
	e := s.Exponent
	weight := float64(n) / float64(n+1)
	for j := range d {
		variance[j] = max(weight*variance[j]+(1-weight)*within[j], .05*within[j])
		s.q.Root.Set(k*d+j, math.Sqrt(max(math.Pow(variance[j], e)-s.floor, 1e-4*s.floor)))
	}
	for i, value := range values {
		var along float64 // v along the direction
		for j := range d {
			along += variance[j] * math.Pow(directions.At(i, j), 2)
		}
		root := math.Sqrt(max(math.Pow(value+along, e)-math.Pow(along, e), 0))
		for j := range d {
			s.q.Factors.Set((k*r+i)*d+j, root*directions.At(i, j))
		}
	}
	return nil
}

// span finds the space of the differences of the means. Outside of it the pieces
// divide nothing, and the mean of a piece of the noise is only sampling error.
func (s *start) span() {
	k, d := s.means.Rows, s.means.Cols
	if k < 2 || k > d {
		return
	}
	differences := mat.NewDense(d, k-1, nil)
	for i := 1; i < k; i++ {
		for j := range d {
			differences.Set(j, i-1, float64(batch.Row(s.means, i)[j]-batch.Row(s.means, 0)[j]))
		}
	}
	var qr mat.QR
	qr.Factorize(differences)
	var full mat.Dense
	qr.QTo(&full)
	s.space = batch.New(d, k-1)
	for j := range d {
		for i := range k - 1 {
			s.space.Data[j*(k-1)+i] = float32(full.At(j, i))
		}
	}
}
