package op

import (
	"slices"

	"cmf/graph/blas"
	"cmf/graph/kernel"
)

// softMaximum evaluates a soft maximum of quadratics and factors its Hessian.
// Products over a whole batch are matrix products; the rest is done row by row,
// over the few pieces that are active there.
type softMaximum[T kernel.Float] struct {
	Quadratics
	d                                   int
	factors, diagonal, centers, offsets Matrix[T]
	ownCenters, ownOffsets              bool // of each row

	squares []T // A_k = diag D_k + F_kᵀF_k, (K, d²), or by entries (d(d+1)/2, K) if small; nil where factors are used instead
	columns []T // Cᵀ, (d, K), if small and not of each row
	locals  *locals[T]
}

// mostDense is the largest dimension in which the Hessian of a row is factored as
// a dense matrix even if all factors together have fewer rows.
const mostDense = 32

// mostSlopes is the number of pieces whose slopes enter a Newton step that is not exact.
const mostSlopes = 16

// mostExact is the number of rows of factors and slopes with which a Newton step is exact.
const mostExact = 64

// mostSmall is the largest dimension in which vectors over the pieces are faster than
// vectors over the coordinates.
const mostSmall = 6

func (f *softMaximum[T]) small() bool { return f.d <= mostSmall }

func newSoftMaximum[T kernel.Float](q Quadratics, weights []Matrix[T]) *softMaximum[T] {
	f := &softMaximum[T]{Quadratics: q, factors: weights[0], diagonal: weights[1], centers: weights[2], offsets: weights[3]}
	f.d = f.diagonal.Cols
	f.ownCenters = f.centers.Rows != f.Pieces || f.centers.Cols != f.d
	f.ownOffsets = f.offsets.Rows > 1
	if f.small() {
		f.squares, f.columns = make([]T, f.d*(f.d+1)/2*f.Pieces), make([]T, f.d*f.Pieces)
	} else if f.d <= mostDense || 3*f.Rank >= f.d {
		f.squares = make([]T, f.Pieces*f.d*f.d)
	}
	f.locals = &locals[T]{f.newLocal, make(chan *local[T], kernel.Threads())}
	for range kernel.Threads() {
		f.locals.give(f.newLocal())
	}
	return f
}

// factor of piece k, one of its r rows.
func (f *softMaximum[T]) row(k, j int) []T { return f.factors.row(k*f.Rank + j) }

// center is C_k of row i.
func (f *softMaximum[T]) center(i, k int) []T {
	if f.ownCenters {
		return f.centers.row(i)[k*f.d : (k+1)*f.d]
	}
	return f.centers.row(k)
}

// offset is b_k of row i.
func (f *softMaximum[T]) offset(i, k int) T {
	if f.ownOffsets {
		return f.offsets.row(i)[k]
	}
	return f.offsets.Data[k]
}

// addOwn adds the parts of φ_k(y) that are of row i alone.
func (f *softMaximum[T]) addOwn(values []T, i int, y []T) {
	if f.ownOffsets {
		kernel.Add(values, values, f.offsets.row(i))
	}
	if f.ownCenters {
		for k := range values {
			values[k] += kernel.Dot(y, f.center(i, k))
		}
	}
}

// prepare forms what depends on the weights alone.
func (f *softMaximum[T]) prepare() {
	if f.small() {
		f.prepareSmall()
		return
	}
	if f.squares == nil {
		return
	}
	d, r := f.d, f.Rank
	for k := range f.Pieces {
		a := f.squares[k*d*d : (k+1)*d*d]
		fk := f.factors.Data[k*r*d : (k+1)*r*d]
		blas.Gemm(true, false, d, d, r, 1, fk, d, fk, d, 0, a, d)
		for j, v := range f.diagonal.row(k) {
			a[j*d+j] += v
		}
	}
}

// points holds what matrix products give for the rows of a batch.
type points[T kernel.Float] struct {
	factored []T // F·y, (n, K·r); A_k·y, (n, K·d), where there are squares
	pieces   []T // φ_k(y) without what is of each row alone, (n, K)
	halves   []T // ½y², (n, d)
}

func (f *softMaximum[T]) newPoints(n int) *points[T] {
	if f.small() {
		return nil // a row needs no products over the batch
	}
	width := f.Rank
	if f.squares != nil {
		width = f.d
	}
	return &points[T]{make([]T, n*f.Pieces*width), make([]T, n*f.Pieces), make([]T, n*f.d)}
}

// evaluate fills p for the rows of y.
func (f *softMaximum[T]) evaluate(p *points[T], y Matrix[T]) {
	if p == nil {
		return
	}
	n, d, r := y.Rows, f.d, f.Rank
	if f.squares != nil {
		f.evaluateDense(p, y)
		return
	}
	blas.Gemm(false, true, n, f.Pieces*r, d, 1, y.Data, d, f.factors.Data, d, 0, p.factored, f.Pieces*r)
	for i := range n {
		row := p.pieces[i*f.Pieces : (i+1)*f.Pieces]
		for k := range row {
			part := p.factored[(i*f.Pieces+k)*r : (i*f.Pieces+k+1)*r]
			row[k] = f.shared(k) + squared(part)/2
		}
	}
	halves := p.halves[:n*d]
	kernel.Mul(halves, y.Data[:n*d], y.Data[:n*d])
	kernel.Affine(halves, .5, halves, 0)
	blas.Gemm(false, true, n, f.Pieces, d, 1, halves, d, f.diagonal.Data, d, 1, p.pieces, f.Pieces)
	if !f.ownCenters {
		blas.Gemm(false, true, n, f.Pieces, d, 1, y.Data, d, f.centers.Data, d, 1, p.pieces, f.Pieces)
	}
}

// shared is b_k where all rows have the same, and 0 otherwise.
func (f *softMaximum[T]) shared(k int) T {
	if f.ownOffsets {
		return 0
	}
	return f.offsets.Data[k]
}

// evaluateDense is evaluate by the squares: φ_k(y) = ½⟨y, A_k·y⟩ + ⟨C_k, y⟩ + b_k.
func (f *softMaximum[T]) evaluateDense(p *points[T], y Matrix[T]) {
	n, d := y.Rows, f.d
	gemm(false, true, n, f.Pieces*d, d, 1, y.Data, f.squares, 0, p.factored)
	for i := range n {
		row, at := p.pieces[i*f.Pieces:(i+1)*f.Pieces], y.row(i)
		for k := range row {
			row[k] = f.shared(k) + kernel.Dot(at, p.square(f, i, k))/2
		}
	}
	if !f.ownCenters {
		gemm(false, true, n, f.Pieces, d, 1, y.Data, f.centers.Data, 1, p.pieces)
	}
}

// square is A_k·y of row i.
func (p *points[T]) square(f *softMaximum[T], i, k int) []T {
	at := (i*f.Pieces + k) * f.d
	return p.factored[at : at+f.d]
}

func squared[T kernel.Float](x []T) (sum T) {
	if len(x) >= 16 {
		return kernel.SumSquares(x)
	}
	for _, v := range x {
		sum += v * v
	}
	return sum
}

// local is the memory for one row: the softmax, the pieces that are active, and
// the factored Hessian.
type local[T kernel.Float] struct {
	tau      float64 // τ, which a search may take larger
	softmax  []T     // (K)
	active   []int   // the pieces of some weight, the heaviest first
	slopes   []T     // ∇φ_k of the active pieces, (K, d)
	grad     []T     // ∇φ, (d)
	weighted []T     // softmax ⊙ G_i, (K)
	rest     []T     // x − ∇φ, (d)
	lower    []T     // Cholesky factor of a dense Hessian, (d, d)
	wide     []float64
	inverse  []T // D̄⁻¹, (d)
	columns  []T // U with ∇²φ = D̄ + UᵀU, (q, d); Cᵀ of the row, (d, K), if small
	scaled   []T // U·D̄⁻¹, (q, d)
	inner    []T // the Cholesky factor of I + U·D̄⁻¹·Uᵀ, (q, q)
	q        int
	part     []T // of a solve
}

func (f *softMaximum[T]) newLocal() *local[T] {
	d, k := f.d, f.Pieces
	s := &local[T]{tau: f.Tau, softmax: make([]T, k), weighted: make([]T, k), active: make([]int, 0, k), slopes: make([]T, k*d), grad: make([]T, d), rest: make([]T, d), part: make([]T, max(d, k*(f.Rank+1)))}
	if f.squares != nil {
		s.lower, s.wide = make([]T, d*d), make([]float64, d*d+d)
		if f.small() && f.ownCenters {
			s.columns = make([]T, d*k)
		}
	} else {
		s.inverse, s.columns = make([]T, d), make([]T, mostExact*d)
	}
	return s
}

// locals lends one local to each thread. A channel that never blocks allocates nothing,
// as waiting for a mutex may.
type locals[T kernel.Float] struct {
	make func() *local[T]
	free chan *local[T]
}

func (p *locals[T]) take() *local[T] {
	select {
	case s := <-p.free:
		return s
	default:
		return p.make()
	}
}

func (p *locals[T]) give(s *local[T]) {
	select {
	case p.free <- s:
	default: // there are enough
	}
}

// negligible is the weight below which a piece is left out: it is less than the
// rounding of what the others add up to.
func negligible[T kernel.Float]() T {
	if _, narrow := any(T(0)).(float32); narrow {
		return 1e-9
	}
	return 1e-18
}

// expand fills the softmax, the slopes of the active pieces and the gradient of
// the point y, which is row i of p and has the weights of row own.
func (f *softMaximum[T]) expand(s *local[T], p *points[T], i, own int, y []T) {
	if f.small() {
		f.expandSmall(s, own, y)
		return
	}
	copy(s.softmax, p.pieces[i*f.Pieces:(i+1)*f.Pieces])
	f.addOwn(s.softmax, own, y)
	kernel.Affine(s.softmax, T(1/s.tau), s.softmax, 0)
	softmaxOf(s.softmax, s.softmax)
	s.active = s.active[:0]
	for k, v := range s.softmax {
		if v > negligible[T]() {
			s.active = append(s.active, k)
		}
	}
	if f.squares == nil {
		s.sortActive()
	}
	clear(s.grad)
	for m, k := range s.active {
		g := s.slopes[m*f.d : (m+1)*f.d]
		if f.squares != nil {
			kernel.Add(g, p.square(f, i, k), f.center(own, k))
		} else {
			kernel.Mul(g, f.diagonal.row(k), y)
			kernel.Add(g, g, f.center(own, k))
			for j, v := range p.factored[(i*f.Pieces+k)*f.Rank : (i*f.Pieces+k+1)*f.Rank] {
				kernel.Axpy(g, v, f.row(k, j))
			}
		}
		kernel.Axpy(s.grad, s.softmax[k], g)
	}
}

// sortActive puts the heaviest pieces first.
func (s *local[T]) sortActive() {
	slices.SortStableFunc(s.active, func(a, b int) int {
		switch {
		case s.softmax[a] > s.softmax[b]:
			return -1
		case s.softmax[a] < s.softmax[b]:
			return 1
		}
		return a - b
	})
}

// expandSmall is expand by vectors over the pieces: G_i = Σ_j A_ij·y_j + C_i holds
// coordinate i of all slopes, and φ = b + ½Σ_i y_i·(G_i + C_i) all values.
func (f *softMaximum[T]) expandSmall(s *local[T], own int, y []T) {
	k, columns := f.Pieces, f.columns
	if f.ownCenters {
		columns = s.columns
		f.transpose(columns, own)
	}
	copy(s.softmax, f.offsets.row(0))
	if f.ownOffsets {
		copy(s.softmax, f.offsets.row(own))
	}
	for i, yi := range y {
		g, c := s.slopes[i*k:(i+1)*k], columns[i*k:(i+1)*k]
		copy(g, c)
		for j, yj := range y {
			kernel.Axpy(g, yj, f.entry(i, j))
		}
		kernel.Axpy(s.softmax, yi/2, g)
		kernel.Axpy(s.softmax, yi/2, c)
	}
	kernel.Affine(s.softmax, T(1/s.tau), s.softmax, 0)
	softmaxOf(s.softmax, s.softmax)
	for i := range y {
		s.grad[i] = kernel.Dot(s.softmax, s.slopes[i*k:(i+1)*k])
	}
}

// entry is the vector of the (i, j) elements of all A_k.
func (f *softMaximum[T]) entry(i, j int) []T {
	if i < j {
		i, j = j, i
	}
	at := (i*(i+1)/2 + j) * f.Pieces
	return f.squares[at : at+f.Pieces]
}

// prepareSmall lays weights out as vectors over the pieces.
func (f *softMaximum[T]) prepareSmall() {
	if !f.ownCenters {
		f.transpose(f.columns, 0)
	}
	for i := range f.d {
		for j := range i + 1 {
			for k, to := 0, f.entry(i, j); k < f.Pieces; k++ {
				to[k] = 0
				if i == j {
					to[k] = f.diagonal.row(k)[i]
				}
				for r := range f.Rank {
					to[k] += f.row(k, r)[i] * f.row(k, r)[j]
				}
			}
		}
	}
}

// transpose writes Cᵀ of a row, (d, K).
func (f *softMaximum[T]) transpose(to []T, own int) {
	for k := range f.Pieces {
		for i, v := range f.center(own, k) {
			to[i*f.Pieces+k] = v
		}
	}
}

// factorSmall is factor after expandSmall.
func (f *softMaximum[T]) factorSmall(s *local[T]) {
	k := f.Pieces
	for i := range f.d {
		g := s.slopes[i*k : (i+1)*k]
		kernel.Affine(g, 1, g, -s.grad[i])
		kernel.Mul(s.weighted, s.softmax, g)
		for j := range i + 1 {
			s.lower[i*f.d+j] = kernel.Dot(s.softmax, f.entry(i, j)) + kernel.Dot(s.weighted, s.slopes[j*k:(j+1)*k])/T(s.tau)
		}
	}
	f.factorWide(s)
}
