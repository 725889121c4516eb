package layers

import (
	"errors"
	"fmt"
	"math"

	"cmf/layers/internal/spectrum"
	"cmf/solvers/batch"
	"cmf/solvers/cells"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// quadraticsStart sets a soft maximum of quadratics to a map from the noise of the
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
type quadraticsStart struct {
	Start
	q        *Quadratics
	noise    blas32.General // draws y of the noise, in float32
	mean     []float64      // of the noise
	scale    *mat.SymDense  // S
	exponent float64        // e
	floor    float64        // s

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
	noisePoints    = 2000  // at least
	piecePoints    = 200   // for each piece in few dimensions
	cellRounds     = 30
	balanceRounds  = 6
	massSteps      = 60
	offsetRate     = .2  // of the spread
	leastFloor     = .05 // s, in units of the least curvature of the closed form
)

// initQuadratics initialises the conjugate network φ.
func (o Start) initQuadratics(q *Quadratics, data blas32.General, rng *random.Stream) error {
	d := q.Dim()
	switch {
	case q.Float64:
		return errors.New("layers: initialisation needs a float32 network")
	case o.Law == nil || o.Law.Dim() != d:
		return fmt.Errorf("layers: initialisation on ℝ^%d needs a Gaussian of that dimension", d)
	case data.Cols != d || data.Rows < 2:
		return fmt.Errorf("layers: initialisation on ℝ^%d with data of shape (%d, %d)", d, data.Rows, data.Cols)
	case q.Pieces > data.Rows:
		return fmt.Errorf("layers: %d quadratics for %d points; there must be a point for each", q.Pieces, data.Rows)
	}
	form, err := o.closed()
	if err != nil {
		return err
	}
	return o.initAbove(q, form, form.floor(), data, rng)
}

// floor is s for the closed form.
func (f closedForm) floor() float64 {
	least := math.Inf(1)
	for _, v := range f.law.Values {
		least = min(least, math.Pow(v, f.exponent))
	}
	return leastFloor * least
}

// initAbove initialises φ with the given s.
func (o Start) initAbove(q *Quadratics, form closedForm, floor float64, data blas32.General, rng *random.Stream) error {
	s := &quadraticsStart{Start: o, q: q, exponent: form.exponent, floor: floor}
	s.setNoise(rng)
	q.Floor.Set(0, s.floor)
	if err := s.fillCells(data, rng); err != nil {
		return err
	}
	if err := s.balance(); err != nil {
		return err
	}
	s.setRates()
	return nil
}

// setNoise draws the noise of the closed form, and sets its mean and covariance: that of
// the Source, N(0, I), or Σ^{1/3}, with Carry Σ^{(1+4s)/3}.
func (s *quadraticsStart) setNoise(rng *random.Stream) {
	points := noisePoints
	if s.q.Root == nil {
		points = max(points, piecePoints*s.q.Pieces)
	}
	switch {
	case s.Source != nil:
		s.noise, s.mean, s.scale = s.Source.Sample(points, rng), s.Source.Mean, s.Source.Power(1)
	case s.Gaussian:
		s.noise, _ = s.Particles(points, rng)
		s.mean, s.scale = make([]float64, s.q.Dim()), s.Law.Power(0)
	default:
		s.noise, _ = s.Particles(points, rng)
		s.mean, s.scale = s.Law.CarriedMean(s.Carry), s.Law.Power((1+4*s.Carry)/3)
	}
}

// fillCells finds the cells and sets the factors.
func (s *quadraticsStart) fillCells(data blas32.General, rng *random.Stream) error {
	q, d := s.q, s.q.Dim()
	if q.Pieces == 1 { // the closed form takes the law, not the points
		s.share, s.means = []float64{1}, batch.New(1, d)
		for j, v := range s.Law.Mean {
			s.means.Data[j] = float32(v)
		}
		if q.Root == nil {
			return s.setFactors(0, spectrum.MongeMap(s.scale, s.Law.Power(1)))
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
		s.maps = append(s.maps, spectrum.MongeMap(s.scale, s.covs[k]))
		if err := s.setFactors(k, s.maps[k]); err != nil {
			return err
		}
	}
	s.span()
	return nil
}

// setFactors sets F_kᵀF_k to A_k − s.
func (s *quadraticsStart) setFactors(k int, a *mat.SymDense) error {
	var e mat.EigenSym
	if !e.Factorize(a, true) {
		return fmt.Errorf("layers: the spectrum of the map of cell %d was not found", k)
	}
	var v mat.Dense
	e.VectorsTo(&v)
	d := s.q.Dim()
	for r, value := range e.Values(nil) {
		root := math.Sqrt(max(value-s.floor, .01*s.floor))
		for j := range d {
			s.q.Factors.Set((k*d+r)*d+j, root*v.At(j, r))
		}
	}
	return nil
}

// setLowRank sets D_k and F_k from the r leading directions of a cell.
func (s *quadraticsStart) setLowRank(k int, points blas32.General, within []float64, rng *random.Stream) error {
	d, r, n := s.q.Dim(), s.q.maximum.Rank, points.Rows
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
	e := s.exponent
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
func (s *quadraticsStart) span() {
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

// setRates makes the learning rate of each array proportional to its size: to the
// root mean square of factors and diagonals, to a deviation of the data for the
// centers, and to a part of the spread of the pieces' values for the offsets.
func (s *quadraticsStart) setRates() {
	q := s.q
	var trace float64
	for _, v := range s.Law.Values {
		trace += v
	}
	q.Factors.Rate = rootMeanSquare(q.Factors.Float32s())
	q.Centers.Rate = math.Sqrt(trace / float64(q.Dim()))
	q.Offsets.Rate = max(q.maximum.Tau, offsetRate*s.spread)
	if q.Root != nil {
		q.Root.Rate = rootMeanSquare(q.Root.Float32s())
	}
}
