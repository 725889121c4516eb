package pieces

import (
	"math"

	"cmf/layers/internal/spectrum"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// balance finds c and b, and A where it is full, by turns.
func (s *start) balance() error {
	q, k, d := s.q, s.q.Pieces, s.q.Dim
	s.shift = batch.New(k, d)
	offsets := make([]float64, k)
	for i := range k {
		offsets[i] = -.5 * s.trace(i)
	}
	if k == 1 { // exact: c = m − A·E[y]
		for j, v := range s.Mean {
			s.shift.Data[j] = float32(v)
		}
		s.setCenters()
		q.Offsets.Set(0, 0)
		return nil
	}
	for round := range balanceRounds {
		s.setCenters()
		values := s.pieces()
		p := s.balanceMasses(values, offsets)
		shift := s.pieceMeans(p)
		for i, v := range shift.Data {
			if round > 0 {
				v = .5 * (s.shift.Data[i] + v)
			}
			s.shift.Data[i] = v
		}
		if err := s.setMaps(p); err != nil {
			return err
		}
	}
	s.setCenters()
	s.balanceMasses(s.pieces(), offsets)
	for i, v := range offsets {
		q.Offsets.Set(i, v)
	}
	return nil
}

// setMaps moves A_k half of the way to the map from the covariance of the noise on piece
// k, under the softmax p, to that of cell k. The covariances on all pieces count as much
// as d points, as in cells.Covariance.
func (s *start) setMaps(p blas32.General) error {
	if s.maps == nil {
		return nil
	}
	n, d := s.Draws.Rows, s.q.Dim
	scatters, mass := make([]blas32.General, len(s.maps)), make([]float64, len(s.maps))
	mean := batch.New(d, d)
	weighted := batch.New(n, d)
	for k := range s.maps {
		center := make([]float64, d)
		for i := range n {
			w := float64(batch.Row(p, i)[k])
			mass[k] += w
			for j, v := range batch.Row(s.Draws, i) {
				center[j] += w * float64(v)
			}
		}
		floats.Scale(1/max(mass[k], 1e-3), center)
		for i := range n {
			root := math.Sqrt(float64(batch.Row(p, i)[k]))
			for j, v := range batch.Row(s.Draws, i) {
				batch.Row(weighted, i)[j] = float32(root * (float64(v) - center[j]))
			}
		}
		scatters[k] = batch.New(d, d)
		blas32.Gemm(blas.Trans, blas.NoTrans, 1, weighted, weighted, 0, scatters[k])
		for i, v := range scatters[k].Data {
			mean.Data[i] += v / float32(n)
		}
	}
	for k, scatter := range scatters {
		cov := mat.NewSymDense(d, nil)
		for i := range d {
			for j := i; j < d; j++ {
				cov.SetSym(i, j, (float64(scatter.Data[i*d+j])+float64(d)*float64(mean.Data[i*d+j]))/(mass[k]+float64(d)))
			}
		}
		to := spectrum.MongeMap(cov, s.covs[k])
		s.maps[k].ScaleSym(.5, s.maps[k])
		to.ScaleSym(.5, to)
		s.maps[k].AddSym(s.maps[k], to)
		if err := s.setFactors(k, s.maps[k]); err != nil {
			return err
		}
	}
	return nil
}

// trace is tr A_k.
func (s *start) trace(k int) (sum float64) {
	q, d := s.q, s.q.Dim
	for i := range q.Rank * d {
		sum += math.Pow(float64(q.Factors[k*q.Rank*d+i]), 2)
	}
	for j := range d {
		sum += s.floor
		if q.Root != nil {
			sum += math.Pow(float64(q.Root[k*d+j]), 2)
		}
	}
	return sum
}

// setCenters sets c_k = m_k − A_k·E[y | piece k].
func (s *start) setCenters() {
	q, d, r := s.q, s.q.Dim, s.q.Rank
	for k := range q.Pieces {
		y := batch.Row(s.shift, k)
		ay := make([]float64, d)
		for j, v := range y {
			ay[j] = s.floor * float64(v)
			if q.Root != nil {
				ay[j] += math.Pow(float64(q.Root[k*d+j]), 2) * float64(v)
			}
		}
		for i := range r {
			row := q.Factors[(k*r+i)*d : (k*r+i+1)*d]
			inner := batch.Inner(row, y)
			for j, v := range row {
				ay[j] += inner * float64(v)
			}
		}
		for j, m := range batch.Row(s.means, k) {
			q.Centers.Set(k*d+j, float64(m)-ay[j])
		}
	}
}

// pieces are φ_k(y_i) − b_k for the draws of the noise, (n, K).
func (s *start) pieces() blas32.General {
	q, d, r, n := s.q, s.q.Dim, s.q.Rank, s.Draws.Rows
	values := batch.New(n, q.Pieces)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, s.Draws, q.matrix(q.Centers), 0, values)
	halves, diagonal := batch.New(n, d), batch.New(q.Pieces, d)
	for i, v := range s.Draws.Data {
		halves.Data[i] = v * v / 2
	}
	for i := range diagonal.Data {
		diagonal.Data[i] = float32(s.floor)
		if q.Root != nil {
			diagonal.Data[i] += q.Root[i] * q.Root[i]
		}
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, halves, diagonal, 1, values)
	factored := batch.New(n, r)
	for k := range q.Pieces {
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, s.Draws, batch.Rows(q.matrix(q.Factors), k*r, (k+1)*r), 0, factored)
		for i := range n {
			f := batch.Row(factored, i)
			batch.Row(values, i)[k] += float32(batch.Inner(f, f) / 2)
		}
	}
	return values
}

// balanceMasses moves the offsets b until the mean softmax of each piece is the share
// of its cell, and returns the softmax.
func (s *start) balanceMasses(values blas32.General, offsets []float64) blas32.General {
	n, k := values.Rows, values.Cols
	mean, square := 0.0, 0.0
	for _, v := range values.Data {
		mean += float64(v) / float64(n*k)
		square += float64(v) * float64(v) / float64(n*k)
	}
	s.spread = math.Sqrt(max(square-mean*mean, 0))
	tau := max(s.q.Tau, .03*s.spread)
	p := batch.New(n, k)
	for step := range massSteps + 1 {
		if step == massSteps {
			tau = s.q.Tau
		}
		mass := softmaxes(p, values, offsets, tau)
		if step == massSteps {
			break
		}
		for i, share := range s.share {
			move := math.Log(share) - math.Log(max(mass[i], 1e-4/float64(k)))
			offsets[i] += max(.05*s.spread, .5*tau) * min(max(move, -1), 1)
		}
	}
	return p
}

// softmaxes writes softmax((values + offsets)/τ) into p and returns its mean over rows.
func softmaxes(p, values blas32.General, offsets []float64, tau float64) []float64 {
	mass := make([]float64, values.Cols)
	e := make([]float64, values.Cols)
	for i := range values.Rows {
		most := math.Inf(-1)
		for k, v := range batch.Row(values, i) {
			e[k] = (float64(v) + offsets[k]) / tau
			most = max(most, e[k])
		}
		var sum float64
		for k := range e {
			e[k] = math.Exp(e[k] - most)
			sum += e[k]
		}
		for k, v := range e {
			batch.Row(p, i)[k] = float32(v / sum)
			mass[k] += v / sum / float64(values.Rows)
		}
	}
	return mass
}

// pieceMeans are E[y | piece k] under the softmax p, (K, d).
func (s *start) pieceMeans(p blas32.General) blas32.General {
	k, d := p.Cols, s.Draws.Cols
	sums := batch.New(k, d)
	blas32.Gemm(blas.Trans, blas.NoTrans, 1, p, s.Draws, 0, sums)
	for i := range k {
		mass := 1e-3
		for j := range p.Rows {
			mass += float64(batch.Row(p, j)[i])
		}
		for j := range d {
			batch.Row(sums, i)[j] /= float32(mass)
		}
	}
	if s.space.Data == nil {
		return sums
	}
	for i := range k {
		for j, c := range s.Mean {
			batch.Row(sums, i)[j] -= float32(c)
		}
	}
	inside, back := batch.New(k, s.space.Cols), batch.New(k, d)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, sums, s.space, 0, inside)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, inside, s.space, 0, back)
	for i := range k {
		for j, c := range s.Mean {
			batch.Row(back, i)[j] += float32(c)
		}
	}
	return back
}
