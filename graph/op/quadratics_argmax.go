package op

import (
	"math"

	"cmf/graph/blas"
	"cmf/graph/kernel"
)

// argmax solves ∇φ(y_i) = x_i for a batch. All rows that still search are
// evaluated at once, by the same matrix products; a row that is done leaves the
// batch.
type argmax[T kernel.Float] struct {
	*softMaximum[T]
	start *nearest[T]
	x, y  Matrix[T] // of the batch
	guess Matrix[T] // no Data for none

	trial Matrix[T]   // the points of the rows that search
	at    *points[T]  // what φ is made of there
	rows  []search[T] // those that search come first
	live  int         // how many search

	begin, step func(lo, hi int) // for rows lo to hi: place the first point; take a step
}

// search is the line search of a row, y + t·s from the last point y at which a
// Newton step s began. The slope ⟨x − ∇φ(y + t·s), s⟩ falls with t, because φ is
// convex; a point at which it is neither far below 0 nor nearly as large as at
// the start is good enough.
type search[T kernel.Float] struct {
	row         int
	from, along []T
	first       float64 // the slope at t = 0
	t           float64
	lo, hi      float64 // the best t is between them
	atLo, atHi  float64 // the slopes there
	tau         float64 // of the soft maximum that is searched, at least that of φ
	softened    bool    // tau has been raised
	evaluations int
	searching   bool // a step has begun
	done        bool
}

// The limits of a search.
const (
	mostEvaluations = 200 // of a row
	mostBelow       = .5  // of the first slope, after a step that is good enough
	mostLeft        = .5  // of the first slope, likewise
	mostDoublings   = 20  // log₂ of the longest step
)

func newArgmax[T kernel.Float](f *softMaximum[T], n int) *argmax[T] {
	a := &argmax[T]{softMaximum: f, start: newNearest(f, n), at: f.newPoints(n), trial: Matrix[T]{n, f.d, make([]T, n*f.d)}, rows: make([]search[T], n)}
	memory := make([]T, 2*n*f.d)
	for i := range a.rows {
		a.rows[i].from, a.rows[i].along = memory[2*i*f.d:(2*i+1)*f.d], memory[(2*i+1)*f.d:(2*i+2)*f.d]
	}
	a.step = func(lo, hi int) {
		s := f.locals.take()
		defer f.locals.give(s)
		for i := lo; i < hi; i++ {
			a.advance(s, i)
		}
	}
	a.begin = func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if a.guessed(i) {
				copy(a.trial.row(i), a.guess.row(i))
			} else {
				a.start.place(a.trial.row(i), a.x.row(i), i)
			}
		}
	}
	return a
}

// run solves for the rows of x.
func (a *argmax[T]) run(y, x, guess Matrix[T]) {
	a.x, a.y, a.guess, a.live = x, y, guess, x.Rows
	a.prepare()
	if a.cold() {
		a.start.prepare()
		a.start.evaluate(x)
	}
	for i := range a.rows {
		r := &a.rows[i]
		*r = search[T]{row: i, from: r.from, along: r.along, tau: a.Tau}
	}
	kernel.Parallel(a.live, 8, a.begin)
	for a.live > 0 {
		a.evaluate(a.at, Matrix[T]{a.live, a.d, a.trial.Data[:a.live*a.d]})
		kernel.Parallel(a.live, 4, a.step)
		// Backwards, because a row that leaves is replaced by the last one.
		for i := a.live - 1; i >= 0; i-- {
			if a.rows[i].done {
				a.live--
				copy(a.trial.row(i), a.trial.row(a.live))
				a.rows[i], a.rows[a.live] = a.rows[a.live], a.rows[i]
			}
		}
	}
}

// guessed reports whether row i has a guess.
func (a *argmax[T]) guessed(i int) bool {
	if a.guess.Data == nil {
		return false
	}
	size := squared(a.guess.row(i))
	return size > 0 && isFinite(size)
}

// cold reports whether a row has no guess.
func (a *argmax[T]) cold() bool {
	for i := range a.x.Rows {
		if !a.guessed(i) {
			return true
		}
	}
	return false
}

// advance takes the evaluated trial point of search i, and either ends the search or
// moves the point.
func (a *argmax[T]) advance(s *local[T], i int) {
	r, y := &a.rows[i], a.trial.row(i)
	r.evaluations++
	s.tau = r.tau
	a.expand(s, a.at, i, r.row, y)
	kernel.Sub(s.rest, a.x.row(r.row), s.grad)
	finite := isFinite(kernel.SumSquares(s.rest))
	switch {
	case !finite && !r.searching || r.evaluations == mostEvaluations:
		a.finish(r, y, finite)
		return
	case r.searching && !a.accept(r, y, s.rest, finite):
		return
	}
	a.newton(r, s)
	// A maximum that is softer than φ is near enough to its own argmax when what is
	// left is less than what its softness adds: then it becomes sharper.
	for r.tau > a.Tau && r.first <= r.tau {
		r.tau = max(r.tau/4, a.Tau)
		s.tau = r.tau
		a.expand(s, a.at, i, r.row, y)
		kernel.Sub(s.rest, a.x.row(r.row), s.grad)
		a.newton(r, s)
	}
	if !(r.first > 0) || math.IsInf(r.first, 1) { // at the solution, or beyond numbers
		a.finish(r, y, finite)
		return
	}
	copy(r.from, y)
	kernel.Add(y, y, r.along)
	if r.tau == a.Tau && norm(r.along) <= a.accuracy()*max(norm(r.from), .01*math.Sqrt(float64(a.d))) {
		a.finish(r, y, true)
		return
	}
	r.t, r.lo, r.hi, r.atLo, r.atHi, r.searching = 1, 0, math.Inf(1), r.first, 0, true
}

// newton finds the direction ∇²φ⁻¹(x − ∇φ) and the slope along it.
func (a *argmax[T]) newton(r *search[T], s *local[T]) {
	a.factor(s, false)
	a.solve(s, r.along, s.rest)
	r.first = float64(kernel.Dot(s.rest, r.along))
}

func norm[T kernel.Float](x []T) float64 { return math.Sqrt(float64(squared(x))) }

func isFinite[T kernel.Float](v T) bool { return v-v == 0 }

// accuracy is the length of a last step, relative to the solution. Exact Newton steps
// leave its square.
func (a *argmax[T]) accuracy() float64 {
	_, narrow := any(T(0)).(float32)
	switch {
	case narrow && a.squares != nil:
		return 1e-4
	case narrow:
		return 1e-5
	}
	return 1e-10
}

// accept says whether the trial point ends the line search. If not, it moves it.
func (a *argmax[T]) accept(r *search[T], y, rest []T, finite bool) bool {
	slope := float64(kernel.Dot(rest, r.along))
	if !finite {
		slope = math.Inf(-1)
	}
	if slope >= -mostBelow*r.first && slope <= mostLeft*r.first {
		return true
	}
	if r.tau == a.Tau && !r.softened && slope < 0 {
		// Newton's model of φ holds on one piece, and the point lies on another. From
		// where the step began a softer maximum is followed down to φ.
		r.softened, r.searching = true, false
		r.tau = max(16*a.Tau, .1*r.first)
		copy(y, r.from)
		return false
	}
	if slope > 0 {
		r.lo, r.atLo = r.t, slope
	} else {
		r.hi, r.atHi = r.t, slope
	}
	switch {
	case math.IsInf(r.hi, 1):
		if r.t >= 1<<mostDoublings {
			return true
		}
		r.t *= 4
	case math.IsInf(r.atHi, -1):
		r.t = (r.lo + r.hi) / 2
	default:
		share := r.atLo / (r.atLo - r.atHi)
		r.t = r.lo + min(max(share, .3), .7)*(r.hi-r.lo)
	}
	if r.hi-r.lo <= 1e-7*r.hi { // a step of the slope: nothing between them can be told apart
		return true
	}
	kernel.Affine(y, T(r.t), r.along, 0)
	kernel.Add(y, y, r.from)
	return false
}

func (a *argmax[T]) finish(r *search[T], y []T, finite bool) {
	out := a.y.row(r.row)
	copy(out, y)
	if !finite {
		for j := range out {
			out[j] = T(math.NaN())
		}
	}
	r.done = true
}

// nearest finds where a search begins: of the points y_k at which ∇φ_k(y_k) = x
// the one whose piece gives the least φ_k*(x), for φ* ≤ φ_k*.
//
//	A_k⁻¹ = D_k⁻¹ − M_kᵀM_k,  φ_k*(x) = ½⟨x − C_k, A_k⁻¹(x − C_k)⟩ − b_k
type nearest[T kernel.Float] struct {
	*softMaximum[T]
	inverse  []T // D_k⁻¹, (K, d)
	scaled   []T // D_k⁻¹C_k, (K, d), with C_k = 0 where rows have their own
	constant []T // ½⟨C_k, D_k⁻¹C_k⟩ − b_k, likewise, with b_k = 0 where rows have their own
	m        []T // M_k, (K·r, d)
	mc       []T // M_kC_k, (K·r)
	mx       []T // M_k·x, (n, K·r)
	squares  []T // ½x², (n, d)
	value    []T // φ_k*(x), (n, K)
	factor   func(lo, hi int)
	lower    []T // (K, r²)
	origin   []T // 0, (d)
	rest     []T // x_i − C_k of a row, and D_k⁻¹ of it, (2, d)
}

func newNearest[T kernel.Float](f *softMaximum[T], n int) *nearest[T] {
	k, r, d := f.Pieces, f.Rank, f.d
	s := &nearest[T]{
		softMaximum: f, inverse: make([]T, k*d), scaled: make([]T, k*d), constant: make([]T, k),
		m: make([]T, k*r*d), mc: make([]T, k*r), mx: make([]T, n*k*r), squares: make([]T, n*d), value: make([]T, n*k), lower: make([]T, k*r*r), origin: make([]T, d), rest: make([]T, 2*d),
	}
	s.factor = func(lo, hi int) {
		for k := lo; k < hi; k++ {
			s.factorPiece(k)
		}
	}
	return s
}

// prepare forms what depends on the weights alone.
func (s *nearest[T]) prepare() { kernel.Parallel(s.Pieces, 1, s.factor) }

// factorPiece forms M_k = R⁻¹F_kD_k⁻¹, where R is the lower factor of
// I + F_kD_k⁻¹F_kᵀ.
func (s *nearest[T]) factorPiece(k int) {
	r, d := s.Rank, s.d
	inverse, scaled, c := s.inverse[k*d:(k+1)*d], s.scaled[k*d:(k+1)*d], s.origin
	if !s.ownCenters {
		c = s.centers.row(k)
	}
	for j, v := range s.diagonal.row(k) {
		inverse[j] = 1 / v
	}
	kernel.Mul(scaled, inverse, c)
	s.constant[k] = kernel.Dot(scaled, c)/2 - s.shared(k)
	lower := s.lower[k*r*r : (k+1)*r*r]
	for a := range r {
		row := s.m[(k*r+a)*d : (k*r+a+1)*d]
		kernel.Mul(row, s.row(k, a), inverse)
		for b := range a + 1 {
			lower[a*r+b] = kernel.Dot(row, s.row(k, b))
		}
		lower[a*r+a]++
	}
	choleskyInPlace(lower, r, math.Inf(-1))
	for a := range r {
		row := s.m[(k*r+a)*d : (k*r+a+1)*d]
		for b := range a {
			kernel.Axpy(row, -lower[a*r+b], s.m[(k*r+b)*d:(k*r+b+1)*d])
		}
		kernel.Affine(row, 1/lower[a*r+a], row, 0)
		s.mc[k*r+a] = kernel.Dot(row, c)
	}
}

// evaluate finds φ_k*(x_i) for all k.
func (s *nearest[T]) evaluate(x Matrix[T]) {
	n, d, kr := x.Rows, s.d, s.Pieces*s.Rank
	if s.ownCenters {
		s.evaluateOwn(x)
		return
	}
	gemm(false, true, n, kr, d, 1, x.Data, s.m, 0, s.mx)
	for i := range n {
		row := s.mx[i*kr : (i+1)*kr]
		kernel.Sub(row, row, s.mc)
		value := s.value[i*s.Pieces : (i+1)*s.Pieces]
		for k, c := range s.constant {
			value[k] = c - squared(row[k*s.Rank:(k+1)*s.Rank])/2
		}
	}
	squares := s.squares[:n*d]
	kernel.Mul(squares, x.Data, x.Data)
	kernel.Affine(squares, .5, squares, 0)
	gemm(false, true, n, s.Pieces, d, 1, squares, s.inverse, 1, s.value)
	gemm(false, true, n, s.Pieces, d, -1, x.Data, s.scaled, 1, s.value)
	if s.ownOffsets {
		value := s.value[:n*s.Pieces]
		kernel.Sub(value, value, s.offsets.Data[:n*s.Pieces])
	}
}

// evaluateOwn is evaluate for centers of each row: from x_i − C_k in place of x_i.
func (s *nearest[T]) evaluateOwn(x Matrix[T]) {
	d, r := s.d, s.Rank
	rest, scaled := s.rest[:d], s.rest[d:]
	for i := range x.Rows {
		for k := range s.Pieces {
			kernel.Sub(rest, x.row(i), s.center(i, k))
			kernel.Mul(scaled, rest, s.inverse[k*d:(k+1)*d])
			mx := s.mx[(i*s.Pieces+k)*r : (i*s.Pieces+k+1)*r]
			for a := range mx {
				mx[a] = kernel.Dot(s.m[(k*r+a)*d:(k*r+a+1)*d], rest)
			}
			s.value[i*s.Pieces+k] = (kernel.Dot(rest, scaled)-squared(mx))/2 - s.offset(i, k)
		}
	}
}

// place writes the start for row i, the point x, into y.
func (s *nearest[T]) place(y, x []T, i int) {
	best, value := 0, s.value[i*s.Pieces:(i+1)*s.Pieces]
	for k, v := range value {
		if v < value[best] {
			best = k
		}
	}
	d := s.d
	if s.ownCenters {
		kernel.Sub(y, x, s.center(i, best))
		x = y
	}
	kernel.Mul(y, x, s.inverse[best*d:(best+1)*d])
	kernel.Sub(y, y, s.scaled[best*d:(best+1)*d])
	for a, c := range s.mx[(i*s.Pieces+best)*s.Rank : (i*s.Pieces+best+1)*s.Rank] {
		row := best*s.Rank + a
		kernel.Axpy(y, -c, s.m[row*d:(row+1)*d])
	}
}

// gemm is a product of matrices without gaps.
func gemm[T kernel.Float](transA, transB bool, m, n, k int, alpha T, a, b []T, beta T, c []T) {
	lda, ldb := k, n
	if transA {
		lda = m
	}
	if transB {
		ldb = k
	}
	blas.Gemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, n)
}
