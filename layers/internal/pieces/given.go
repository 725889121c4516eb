package pieces

import (
	"context"
	"fmt"
	"math"

	"cmf/layers/internal/spectrum"
	"cmf/solvers/batch"
	"cmf/solvers/cells"
	"cmf/solvers/conjugate"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// givenStart is start for contexts. Its cells are those of (x, c) jointly, and
// the model of the data is that of a mixture of linear regressions: in cell k
//
//	x | c ~ N(m_k + G_k·δ_k, Σ_k),  δ_k = ĉ − μ_k,  and the cell has the share
//	π_k(c) ∝ π_k·N(ĉ; μ_k, S_k) of the points at c,
//
// so that log π_k(c) is quadratic in c. With y ~ noise given c, A_k is the linear Monge map
// between what the regressions of y and of x on c leave, c_k(c) gives x its mean,
//
//	c_k(c) = m_k + G_k·δ_k − A_k·(s_k + T_k·δ_k),  E[y | piece k, c] ≈ s_k + T_k·δ_k
//
// and b_k(c), quadratic in c, is that of the semi-dual between the noise and pieces of mass
// π_k(c): the mean softmax of piece k times every product of contexts is that of π_k(c).
//
// With one piece it is the closed form of the regression.
type givenStart struct {
	start
	Given
	share   blas32.General // π_k(c) of the draws of the noise, (n, K)
	basis   blas32.General // 1, ĉ_i and ĉ_i·ĉ_j of the draws of the noise, (n, 1+k+k(k+1)/2)
	cells   []linearCell
	offsets []float64 // u, (K, 1+k+k(k+1)/2)
}

// Given is what a start with contexts needs besides. Contexts are standardised.
type Given struct {
	Contexts blas32.General // ĉ of the data, (n, k)
	AtDraws  blas32.General // ĉ of the draws of the noise
	Gain     *mat.Dense     // of the regression of the data on ĉ, (d, k)
	Slope    *mat.Dense     // of the mean of the noise on ĉ, (d, k)
}

// linearCell is a linear law of points given contexts, and that of the noise on its piece.
type linearCell struct {
	share float64
	at    []float64     // μ
	law   *mat.SymDense // S
	mean  []float64     // m
	gain  *mat.Dense    // G, (d, k)
	cov   *mat.SymDense // Σ
	shift []float64     // s
	tilt  *mat.Dense    // T, (d, k)
}

const dualIterations = 60 // of L-BFGS

// StartGiven is Start with contexts: it sets φ(·; c), up to the scales g(c).
func (q *Maximum) StartGiven(noise Noise, floor float64, data blas32.General, given Given, rng *random.Stream) (spread float64, err error) {
	s := &givenStart{start: start{Noise: noise, q: q, floor: floor}, Given: given}
	x, c := data, given.Contexts
	if x.Rows > mostCellPoints {
		some := rng.Perm(data.Rows)[:mostCellPoints]
		x, c = batch.Gathered(x, some), batch.Gathered(c, some)
	}
	s.setBasis()
	if err := s.fillLinearCells(x, c, rng); err != nil {
		return 0, err
	}
	err = s.balanceGiven()
	return s.spread, err
}

// setBasis fills the products of the contexts of the noise.
func (s *givenStart) setBasis() {
	n, k := s.AtDraws.Rows, s.AtDraws.Cols
	s.basis = batch.New(n, 1+k+k*(k+1)/2)
	for i := range n {
		c, to := batch.Row(s.AtDraws, i), batch.Row(s.basis, i)
		to[0] = 1
		at := 1 + copy(to[1:], c)
		for a := range k {
			for b := a; b < k; b++ {
				to[at] = c[a] * c[b]
				at++
			}
		}
	}
}

// fillLinearCells finds the cells and sets the factors.
func (s *givenStart) fillLinearCells(x, c blas32.General, rng *random.Stream) error {
	q, d, k := s.q, x.Cols, c.Cols
	cell, err := s.cellsOf(x, c, rng)
	if err != nil {
		return err
	}
	members := make([][]int, q.Pieces)
	for i, at := range cell {
		members[at] = append(members[at], i)
	}
	residuals, contextsAt := batch.New(x.Rows, d), batch.New(q.Pieces, k)
	for p, rows := range members {
		xs, cs := batch.Gathered(x, rows), batch.Gathered(c, rows)
		l := linearCell{share: (float64(len(rows)) + .5) / (float64(x.Rows) + .5*float64(q.Pieces)), mean: make([]float64, d), at: make([]float64, k), gain: s.Gain}
		if len(rows) > 0 {
			l.mean, l.at = batch.Means(xs), batch.Means(cs)
		}
		if q.Pieces == 1 { // the closed form takes the regression, not the points
			l.at, l.mean = make([]float64, k), s.Law.Mean
		} else {
			l.gain = ridge(xs, cs, func(int) float64 { return 1 }, l.mean, l.at, s.Gain, float64(k+d))
		}
		batch.Narrow(batch.Row(contextsAt, p), l.at)
		l.shift, l.tilt = affineAt(s.Mean, s.Slope, l.at), s.Slope
		for i, row := range rows {
			delta := make([]float64, k)
			for j, v := range batch.Row(cs, i) {
				delta[j] = float64(v) - l.at[j]
			}
			for j, v := range affineAt(l.mean, l.gain, delta) {
				batch.Row(residuals, row)[j] = batch.Row(xs, i)[j] - float32(v)
			}
		}
		s.cells = append(s.cells, l)
	}
	s.means = batch.New(q.Pieces, d) // of the residuals
	within, withinContexts := cells.Within(residuals, s.means, cell), cells.Within(c, contextsAt, cell)
	for p, rows := range members {
		l, points := &s.cells[p], batch.Gathered(residuals, rows)
		l.law = cells.Covariance(batch.Gathered(c, rows), batch.Row(contextsAt, p), withinContexts)
		l.cov = cells.Covariance(points, batch.Row(s.means, p), within)
		if q.Pieces == 1 {
			l.cov = s.Law.Power(1)
		}
		if q.Root != nil {
			if err := s.setLowRank(p, points, within, rng); err != nil {
				return err
			}
			continue
		}
		s.maps = append(s.maps, spectrum.MongeMap(s.Scale, l.cov))
		if err := s.setFactors(p, s.maps[p]); err != nil {
			return err
		}
	}
	return s.setShares()
}

// cellsOf are cells of (x, c), in units in which c has a quarter of the total variance of x:
// what is linear in c, a cell has anyway.
func (s *givenStart) cellsOf(x, c blas32.General, rng *random.Stream) ([]int, error) {
	d, k := x.Cols, c.Cols
	scale := math.Sqrt(batch.TotalVariance(x, batch.Means(x))/float64(k)) / 2
	joint := batch.New(x.Rows, d+k)
	for i := range x.Rows {
		to := batch.Row(joint, i)
		copy(to, batch.Row(x, i))
		for j, v := range batch.Row(c, i) {
			to[d+j] = v * float32(scale)
		}
	}
	cell, _, err := cells.KMeans(joint, s.q.Pieces, cellRounds, rng)
	if err != nil {
		return nil, fmt.Errorf("layers: the cells of %d quadratics: %w", s.q.Pieces, err)
	}
	return cell, nil
}

// affineAt is a + B·δ.
func affineAt(a []float64, b mat.Matrix, delta []float64) []float64 {
	out := make([]float64, len(a))
	for i, v := range a {
		out[i] = v
		for j, e := range delta {
			out[i] += b.At(i, j) * e
		}
	}
	return out
}

// ridge is the gain of the weighted regression of x on c about the given means, with a prior
// that counts as so many points at unit contexts.
func ridge(x, c blas32.General, weight func(int) float64, mean, at []float64, prior *mat.Dense, points float64) *mat.Dense {
	d, k := x.Cols, c.Cols
	gram, cross := mat.NewSymDense(k, nil), mat.NewDense(k, d, nil)
	delta := make([]float64, k)
	for i := range x.Rows {
		w := weight(i)
		if w < 1e-6 {
			continue
		}
		for a, v := range batch.Row(c, i) {
			delta[a] = float64(v) - at[a]
		}
		rest := affineAt(mean, prior, delta)
		for j, v := range batch.Row(x, i) {
			rest[j] = w * (float64(v) - rest[j])
		}
		for a, e := range delta {
			for b := a; b < k; b++ {
				gram.SetSym(a, b, gram.At(a, b)+w*e*delta[b])
			}
			for j, r := range rest {
				cross.Set(a, j, cross.At(a, j)+e*r)
			}
		}
	}
	for a := range k {
		gram.SetSym(a, a, gram.At(a, a)+points)
	}
	var chol mat.Cholesky
	var gain mat.Dense
	out := mat.DenseCopyOf(prior)
	if !chol.Factorize(gram) || chol.SolveTo(&gain, cross) != nil {
		return out
	}
	out.Add(out, gain.T())
	return out
}

// setShares sets π_k(c) of the draws of the noise.
func (s *givenStart) setShares() error {
	n, k := s.Draws.Rows, s.AtDraws.Cols
	logs := batch.New(n, s.q.Pieces)
	for p, l := range s.cells {
		var chol mat.Cholesky
		if !chol.Factorize(l.law) {
			return fmt.Errorf("layers: the contexts of cell %d have no covariance", p)
		}
		delta, solved := mat.NewVecDense(k, nil), mat.NewVecDense(k, nil)
		for i := range n {
			for j, v := range batch.Row(s.AtDraws, i) {
				delta.SetVec(j, float64(v)-l.at[j])
			}
			if err := chol.SolveVecTo(solved, delta); err != nil {
				return fmt.Errorf("layers: the contexts of cell %d: %w", p, err)
			}
			batch.Row(logs, i)[p] = float32(math.Log(l.share) - chol.LogDet()/2 - mat.Dot(delta, solved)/2)
		}
	}
	s.share = batch.New(n, s.q.Pieces)
	softmaxes(s.share, logs, make([]float64, s.q.Pieces), 1)
	return nil
}

// balanceGiven finds c_k(c) and b_k(c), and A where it is full, by turns.
func (s *givenStart) balanceGiven() error {
	s.setLinearCenters()
	if s.q.Pieces == 1 {
		return nil // exact
	}
	s.offsets = make([]float64, s.q.Pieces*s.basis.Cols)
	for round := range balanceRounds + 1 {
		p, err := s.solveOffsets(s.linearPieces())
		if err != nil {
			return err
		}
		if round == balanceRounds {
			break
		}
		if err := s.setNoiseOfPieces(p); err != nil {
			return err
		}
		s.setLinearCenters()
	}
	s.storeOffsets()
	return nil
}

// setLinearCenters sets c_k(c) = m_k + G_k·δ_k − A_k·(s_k + T_k·δ_k).
func (s *givenStart) setLinearCenters() {
	q, d, k := s.q, s.q.Dim, s.AtDraws.Cols
	for p, l := range s.cells {
		slope := mat.NewDense(d, k, nil)
		column := make([]float64, d)
		for j := range k {
			mat.Col(column, j, l.tilt)
			for i, v := range s.applyPiece(p, column) {
				slope.Set(i, j, l.gain.At(i, j)-v)
			}
		}
		shift, back := s.applyPiece(p, l.shift), make([]float64, k)
		for j, v := range l.at {
			back[j] = -v
		}
		for i, v := range affineAt(l.mean, slope, back) {
			q.Centers.Set(p*d+i, v-shift[i])
			for j := range k {
				q.Slopes.Set(j*q.Pieces*d+p*d+i, slope.At(i, j))
			}
		}
	}
}

// applyPiece is A_k·y.
func (s *givenStart) applyPiece(k int, y []float64) []float64 {
	q, d, r := s.q, s.q.Dim, s.q.Rank
	out := make([]float64, d)
	for j, v := range y {
		out[j] = s.floor * v
		if q.Root != nil {
			out[j] += math.Pow(float64(q.Root[k*d+j]), 2) * v
		}
	}
	for i := range r {
		row := q.Factors[(k*r+i)*d : (k*r+i+1)*d]
		var inner float64
		for j, v := range row {
			inner += float64(v) * y[j]
		}
		for j, v := range row {
			out[j] += inner * float64(v)
		}
	}
	return out
}

// linearPieces are φ_k(y_i; c_i) − b_k(c_i) for the draws of the noise, (n, K).
func (s *givenStart) linearPieces() blas32.General {
	q, d, k, n := s.q, s.q.Dim, s.AtDraws.Cols, s.Draws.Rows
	values := s.pieces()
	along := batch.New(n, q.Pieces)
	for j := range k {
		linear := blas32.General{Rows: q.Pieces, Cols: d, Stride: d, Data: q.Slopes[j*q.Pieces*d : (j+1)*q.Pieces*d]}
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, s.Draws, linear, 0, along)
		for i := range n {
			batch.AddScaled(batch.Row(values, i), float64(batch.Row(s.AtDraws, i)[j]), batch.Row(along, i))
		}
	}
	return values
}

// semiDual is a function of v = u/spread, (K·(1+k+k(k+1)/2)), K times
//
//	mean_i τ·log Σ_k e^{(values_ik + b_k(c_i))/τ} − Σ_k π_k(c_i)·b_k(c_i) + ½ε‖u − u₀‖²
//
// in units of the spread: its gradient is the error of the mean softmax in units of 1/K.
type semiDual struct {
	*givenStart
	values blas32.General // φ_k − b_k of the draws of the noise
	start  []float32      // v₀
	tau    float64
}

func (s semiDual) Dim() int { return len(s.start) }

func (s semiDual) Eval(v blas32.General, value []float32, grad blas32.General) error {
	const decay = 1e-3 // ε: keeps what the contexts leave free near its start
	n, pieces := s.values.Rows, s.values.Cols
	for row := range v.Rows {
		at := batch.Row(v, row)
		u := blas32.General{Rows: pieces, Cols: s.basis.Cols, Stride: s.basis.Cols, Data: at}
		with, p := batch.New(n, pieces), batch.New(n, pieces)
		batch.Copy(with, s.values)
		blas32.Gemm(blas.NoTrans, blas.Trans, float32(s.spread), s.basis, u, 1, with)
		softmaxes(p, with, make([]float64, pieces), s.tau)
		if value != nil {
			var sum float64
			for i := range n {
				best := 0
				for k, v := range batch.Row(p, i) {
					if v > batch.Row(p, i)[best] {
						best = k
					}
					sum -= float64(batch.Row(s.share, i)[k]) * float64(batch.Row(with, i)[k]-batch.Row(s.values, i)[k])
				}
				sum += float64(batch.Row(with, i)[best]) - s.tau*math.Log(float64(batch.Row(p, i)[best]))
			}
			sum *= float64(pieces) / float64(n) / s.spread
			for i, a := range at {
				sum += decay / 2 * math.Pow(float64(a-s.start[i]), 2)
			}
			value[row] = float32(sum)
		}
		if grad.Data != nil {
			for i, share := range s.share.Data {
				p.Data[i] -= share
			}
			to := blas32.General{Rows: pieces, Cols: s.basis.Cols, Stride: s.basis.Cols, Data: batch.Row(grad, row)}
			blas32.Gemm(blas.Trans, blas.NoTrans, float32(pieces)/float32(n), p, s.basis, 0, to)
			for i, a := range at {
				to.Data[i] += decay * (a - s.start[i])
			}
		}
	}
	return nil
}

// solveOffsets moves u to the least value of the semi-dual, of which τ is at least a small
// part of the spread of the values, and returns the softmax.
func (s *givenStart) solveOffsets(values blas32.General) (blas32.General, error) {
	n, pieces := values.Rows, values.Cols
	var square float64
	for i := range n {
		var mean float64
		for _, v := range batch.Row(values, i) {
			mean += float64(v) / float64(pieces)
		}
		for _, v := range batch.Row(values, i) {
			square += math.Pow(float64(v)-mean, 2) / float64(n*pieces)
		}
	}
	s.spread = max(math.Sqrt(square), s.q.Tau)
	at := batch.New(1, len(s.offsets))
	for i, v := range s.offsets {
		at.Data[i] = float32(v / s.spread)
	}
	dual := semiDual{s, values, append([]float32(nil), at.Data...), max(s.q.Tau, .03*s.spread)}
	// A search that stops short is near enough for a start.
	solver := &conjugate.LBFGS{Tolerance: .5, MaxIterations: dualIterations}
	if _, err := solver.Solve(context.Background(), dual, batch.New(1, at.Cols), at, nil); err != nil {
		return blas32.General{}, fmt.Errorf("layers: offsets given contexts: %w", err)
	}
	for i, v := range at.Data {
		s.offsets[i] = s.spread * float64(v)
	}
	p, with := batch.New(n, pieces), batch.New(n, pieces)
	batch.Copy(with, values)
	u := blas32.General{Rows: pieces, Cols: s.basis.Cols, Stride: s.basis.Cols, Data: at.Data}
	blas32.Gemm(blas.NoTrans, blas.Trans, float32(s.spread), s.basis, u, 1, with)
	softmaxes(p, with, make([]float64, pieces), s.q.Tau)
	return p, nil
}

// storeOffsets sets the weights of b_k(c).
func (s *givenStart) storeOffsets() {
	k, pieces := s.AtDraws.Cols, s.q.Pieces
	for p := range pieces {
		u := s.offsets[p*s.basis.Cols : (p+1)*s.basis.Cols]
		s.q.Offsets.Set(p, u[0])
		for j := range k {
			s.q.Linear.Set(j*pieces+p, u[1+j])
		}
		for j, v := range u[1+k:] {
			s.q.Products.Set(j*pieces+p, v)
		}
	}
}

// setNoiseOfPieces moves s_k, T_k and, where it is full, A_k half of the way to those of the
// noise on piece k, under the softmax p. A prior counts as d + k points.
func (s *givenStart) setNoiseOfPieces(p blas32.General) error {
	n, d, k := s.Draws.Rows, s.q.Dim, s.AtDraws.Cols
	prior := float64(d + k)
	for piece := range s.cells {
		l := &s.cells[piece]
		weight := func(i int) float64 { return float64(batch.Row(p, i)[piece]) }
		mass, mean, at := 0., make([]float64, d), make([]float64, k)
		for i := range n {
			w := weight(i)
			mass += w
			for j, v := range batch.Row(s.Draws, i) {
				mean[j] += w * float64(v)
			}
			for j, v := range batch.Row(s.AtDraws, i) {
				at[j] += w * float64(v)
			}
		}
		if mass < 1 {
			continue // no noise to learn from
		}
		for j := range mean {
			mean[j] /= mass
		}
		for j := range at {
			at[j] /= mass
		}
		tilt := ridge(s.Draws, s.AtDraws, weight, mean, at, l.tilt, prior)
		scatter := mat.NewSymDense(d, nil)
		for i := range n {
			w := weight(i)
			if w < 1e-6 {
				continue
			}
			delta := make([]float64, k)
			for j, v := range batch.Row(s.AtDraws, i) {
				delta[j] = float64(v) - at[j]
			}
			rest := affineAt(mean, tilt, delta)
			for j, v := range batch.Row(s.Draws, i) {
				rest[j] = float64(v) - rest[j]
			}
			scatter.SymRankOne(scatter, w, mat.NewVecDense(d, rest))
		}
		var back []float64 // from the mean of the contexts on the piece to μ
		for j, v := range l.at {
			back = append(back, v-at[j])
		}
		for j, v := range affineAt(mean, tilt, back) {
			l.shift[j] = .5 * (l.shift[j] + v)
		}
		tilt.Add(tilt, l.tilt)
		tilt.Scale(.5, tilt)
		l.tilt = tilt
		if s.maps == nil {
			continue
		}
		var cov mat.SymDense
		cov.ScaleSym(prior, s.Scale)
		cov.AddSym(&cov, scatter)
		cov.ScaleSym(1/(mass+prior), &cov)
		to := spectrum.MongeMap(&cov, l.cov)
		s.maps[piece].AddSym(s.maps[piece], to)
		s.maps[piece].ScaleSym(.5, s.maps[piece])
		if err := s.setFactors(piece, s.maps[piece]); err != nil {
			return err
		}
	}
	return nil
}
