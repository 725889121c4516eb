package conjugate

import (
	"cmp"
	"context"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// lbfgsMemory is how many steps the inverse Hessian is built from. Twelve need up to 5 %
// fewer evaluations than seven; three need up to 12 % more.
const lbfgsMemory = 7

// LBFGS is the conjugate solver x ← x + t·B(y − ∇w(x)), where B ≈ ∇²w(x)⁻¹ is the
// limited-memory BFGS matrix that starts from a multiple of P and uses the row's last
// seven steps; t comes from a line search that starts at 1. To moderate precision it
// needs the fewest evaluations of the solvers, and 25 vectors of memory for each row.
//
// Source: D. C. Liu, J. Nocedal, "On the Limited Memory BFGS Method for Large Scale
// Optimization", Mathematical Programming 45 (1989), 503–528.
type LBFGS struct {
	// Tolerance is the relative residual at which a row has converged. 0 means
	// 1e-3.
	Tolerance float64

	// MaxIterations is the number of trial points of a row. 0 means 200.
	MaxIterations int

	ws workspace
}

var _ Solver = (*LBFGS)(nil)

// Solve implements Solver.
func (b *LBFGS) Solve(ctx context.Context, w potential.Potential, y, x blas32.General, p *potential.Preconditioner) (Info, error) {
	l := lockstep{
		tolerance: cmp.Or(b.Tolerance, 1e-3),
		maxIter:   cmp.Or(b.MaxIterations, 200),
		newSearch: newLBFGSSearch,
	}
	return l.solve(ctx, &b.ws, w, y, x, p)
}

// lbfgsSearch is a row's line search from its last accepted point, with the residual
// there and the steps before it.
type lbfgsSearch struct {
	line    lineSearch
	r, pr   []float32
	started bool

	pairs [lbfgsMemory]lbfgsPair // a ring: pair k is at k modulo its length
	count int                    // pairs ever stored
	scale float64                // factor on P: sᵀΔg/ΔgᵀPΔg of the newest pair
}

// lbfgsPair is a step s and the change Δg of ∇w along it. Keeping PΔg as well lets
// the recursion start from P·r, which the batch has computed for all rows at once.
type lbfgsPair struct {
	s, g, pg []float32
	inverse  float64 // 1/sᵀΔg
	alpha    float64
}

func newLBFGSSearch(d int) rowSearch {
	buffer := make([]float32, (4+3*lbfgsMemory)*d)
	s := &lbfgsSearch{
		line: lineSearch{x: carve(&buffer, d), d: carve(&buffer, d)},
		r:    carve(&buffer, d),
		pr:   carve(&buffer, d),
	}
	for i := range s.pairs {
		s.pairs[i] = lbfgsPair{s: carve(&buffer, d), g: carve(&buffer, d), pg: carve(&buffer, d)}
	}
	return s
}

func (s *lbfgsSearch) reset() { s.started, s.count, s.scale = false, 0, 1 }

func (s *lbfgsSearch) next(t trial) {
	if s.started {
		if !s.line.advance(t) {
			return
		}
		s.remember(t)
	}
	s.started = true
	copy(s.r, t.r)
	copy(s.pr, t.pr)
	s.direction(s.line.d, t.r)
	s.line.begin(t.x, s.r, s.pr)
}

// remember stores the step from the last accepted point to t. If rounding has hidden
// its curvature, all steps are forgotten.
func (s *lbfgsSearch) remember(t trial) {
	p := s.pair(s.count)
	kernel.Sub(p.s, t.x, s.line.x)
	kernel.Sub(p.g, s.r, t.r)
	kernel.Sub(p.pg, s.pr, t.pr)
	curvature, size := batch.Inner(p.s, p.g), batch.Inner(p.g, p.pg)
	if !(curvature > 0 && size > 0) {
		s.count, s.scale = 0, 1
		return
	}
	p.inverse, s.scale = 1/curvature, curvature/size
	s.count++
}

// direction writes B·r into d by the two-loop recursion; q holds r and is overwritten.
// The first loop runs on r and P·r side by side: P·(r − Σ αΔg) = P·r − Σ α·PΔg.
func (s *lbfgsSearch) direction(d, q []float32) {
	oldest := max(0, s.count-lbfgsMemory)
	copy(d, s.pr)
	for k := s.count - 1; k >= oldest; k-- {
		p := s.pair(k)
		p.alpha = p.inverse * batch.Inner(p.s, q)
		batch.AddScaled(q, -p.alpha, p.g)
		batch.AddScaled(d, -p.alpha, p.pg)
	}
	kernel.Affine(d, float32(s.scale), d, 0)
	for k := oldest; k < s.count; k++ {
		p := s.pair(k)
		batch.AddScaled(d, p.alpha-p.inverse*batch.Inner(p.g, d), p.s)
	}
}

func (s *lbfgsSearch) pair(k int) *lbfgsPair { return &s.pairs[k%lbfgsMemory] }
