package op

import (
	"math"

	"cmf/graph/kernel"
)

// factor factors the Hessian at the expanded row,
//
//	Σ_k p_k·(diag D_k + F_kᵀF_k) + τ⁻¹Σ_k p_k·(∇φ_k − ∇φ)(∇φ_k − ∇φ)ᵀ.
//
// Where many factors are used, and unless it is to be exact, only the factors of
// the heaviest pieces that make up half of the weight enter, and the slopes of the
// heaviest sixteen: that is enough for a Newton step. It overwrites the slopes.
func (f *softMaximum[T]) factor(s *local[T], exact bool) {
	if f.small() {
		f.factorSmall(s)
		return
	}
	for m := range s.active {
		g := s.slopes[m*f.d : (m+1)*f.d]
		kernel.Sub(g, g, s.grad)
	}
	if f.squares != nil {
		f.factorDense(s)
	} else {
		f.factorLowRank(s, exact)
	}
}

func (f *softMaximum[T]) factorDense(s *local[T]) {
	d := f.d
	h := s.lower
	clear(h)
	for m, k := range s.active {
		p := s.softmax[k]
		kernel.Axpy(h, p, f.squares[k*d*d:(k+1)*d*d])
		g := s.slopes[m*d : (m+1)*d]
		kernel.Affine(g, T(math.Sqrt(float64(p)/s.tau)), g, 0)
	}
	if m := len(s.active); m > 1 {
		gemm(true, false, d, d, m, 1, s.slopes, s.slopes, 1, h)
	}
	if d <= mostDense {
		f.factorWide(s)
		return
	}
	choleskyInPlace(h, d, math.Inf(-1))
}

// factorWide factors the lower half of a Hessian in float64.
func (f *softMaximum[T]) factorWide(s *local[T]) {
	d, h := f.d, s.lower
	for i := range d {
		for j := range i {
			h[j*d+i] = h[i*d+j] // cholesky reads both halves
		}
	}
	if !cholesky(s.wide[:d*d], h, d) {
		s.wide[0] = math.NaN() // and so is every solution
	}
}

// choleskyInPlace writes the lower factor of h over its lower half, with no pivot less
// than least. Below 0, a pivot makes the factor NaN.
func choleskyInPlace[T kernel.Float](h []T, d int, least float64) {
	for i := range d {
		ri := h[i*d : (i+1)*d]
		for j := range i {
			rj := h[j*d : (j+1)*d]
			ri[j] = (ri[j] - kernel.Dot(ri[:j], rj[:j])) / rj[j]
		}
		ri[i] = T(math.Sqrt(max(float64(ri[i]-kernel.Dot(ri[:i], ri[:i])), least)))
	}
}

// factorLowRank finds U and R with ∇²φ = D̄ + UᵀU and R·Rᵀ = I + U·D̄⁻¹·Uᵀ. By the
// Woodbury identity ∇²φ⁻¹ = D̄⁻¹ − WᵀW with W = R⁻¹·U·D̄⁻¹.
func (f *softMaximum[T]) factorLowRank(s *local[T], exact bool) {
	d := f.d
	exact = exact || len(s.active)*(f.Rank+1) <= mostExact
	clear(s.inverse)
	for _, k := range s.active {
		kernel.Axpy(s.inverse, s.softmax[k], f.diagonal.row(k))
	}
	for j, v := range s.inverse {
		s.inverse[j] = 1 / v
	}
	s.q = 0
	u := func(a T, x []T) { // the next row of U
		if (s.q+1)*d > len(s.columns) {
			s.columns = append(s.columns, make([]T, d)...)
		}
		kernel.Affine(s.columns[s.q*d:(s.q+1)*d], a, x, 0)
		s.q++
	}
	var taken T
	for m, k := range s.active {
		root := math.Sqrt(float64(s.softmax[k]))
		if exact || taken < .5 {
			taken += s.softmax[k]
			for j := range f.Rank {
				u(T(root), f.row(k, j))
			}
		}
		if len(s.active) > 1 && (exact || m < mostSlopes) {
			u(T(root/math.Sqrt(s.tau)), s.slopes[m*d:(m+1)*d])
		}
	}
	q := s.q
	if q*d > len(s.scaled) {
		rows := cap(s.columns) / d
		s.scaled, s.inner = make([]T, rows*d), make([]T, rows*rows)
	}
	for a := range q {
		kernel.Mul(s.scaled[a*d:(a+1)*d], s.columns[a*d:(a+1)*d], s.inverse)
	}
	gemm(false, true, q, q, d, 1, s.scaled, s.columns, 0, s.inner)
	for a := range q {
		s.inner[a*q+a]++
	}
	choleskyInPlace(s.inner, q, 1) // exact pivots are at least 1
}

// solve writes ∇²φ⁻¹·v into u.
func (f *softMaximum[T]) solve(s *local[T], u, v []T) {
	d := f.d
	switch {
	case f.squares == nil:
		part := s.part[:s.q]
		for a := range part {
			part[a] = kernel.Dot(s.scaled[a*d:(a+1)*d], v)
		}
		solveLower(s.inner, part)
		solveUpper(s.inner, part)
		kernel.Mul(u, v, s.inverse)
		for a, c := range part {
			kernel.Axpy(u, -c, s.scaled[a*d:(a+1)*d])
		}
	case d <= mostDense:
		l, w := s.wide[:d*d], s.wide[d*d:]
		for i, b := range v {
			sum := float64(b)
			for j, c := range l[i*d : i*d+i] {
				sum -= c * w[j]
			}
			w[i] = sum / l[i*d+i]
		}
		for i := d - 1; i >= 0; i-- {
			w[i] /= l[i*d+i]
			u[i] = T(w[i])
			for j, c := range l[i*d : i*d+i] {
				w[j] -= c * w[i]
			}
		}
	default:
		copy(u, v)
		solveLower(s.lower, u)
		solveUpper(s.lower, u)
	}
}

// solveLower is u ← R⁻¹·u for the lower factor R.
func solveLower[T kernel.Float](r, u []T) {
	d := len(u)
	for i := range d {
		u[i] = (u[i] - kernel.Dot(r[i*d:i*d+i], u[:i])) / r[i*d+i]
	}
}

// solveUpper is u ← R⁻ᵀ·u for the lower factor R.
func solveUpper[T kernel.Float](r, u []T) {
	d := len(u)
	for i := d - 1; i >= 0; i-- {
		u[i] /= r[i*d+i]
		kernel.Axpy(u[:i], -u[i], r[i*d:i*d+i])
	}
}

// addInverse adds a·∇²φ⁻¹ to h, (d, d).
func (f *softMaximum[T]) addInverse(s *local[T], a T, h Matrix[T]) {
	d := f.d
	if f.squares == nil {
		w, q := s.scaled, s.q
		for i := range q { // W = R⁻¹·U·D̄⁻¹, in place
			row := w[i*d : (i+1)*d]
			for j, l := range s.inner[i*q : i*q+i] {
				kernel.Axpy(row, -l, w[j*d:(j+1)*d])
			}
			kernel.Affine(row, 1/s.inner[i*q+i], row, 0)
		}
		gemm(true, false, d, d, q, -a, w, w, 1, h.Data)
		for j, v := range s.inverse {
			h.Data[j*d+j] += a * v
		}
		return
	}
	column, axis := s.rest, s.part[:d]
	clear(axis)
	for j := range d {
		axis[j] = 1
		f.solve(s, column, axis)
		axis[j] = 0
		kernel.Axpy(h.row(j), a, column)
	}
}
