package conjugate

import (
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"

	"github.com/google/go-cmp/cmp"
)

// The BFGS matrix satisfies the secant equation B·Δg = s for the newest pair, and
// is P if there are no pairs.
func TestLBFGSSecantEquation(t *testing.T) {
	rng := fixedRand()
	w := problem.NewQuadratic(6, 10, rng)
	p := inverseHessian(t, problem.NewQuadratic(6, 5, rng))
	at := func() trial {
		x, g, pr := problem.NormalRows(1, 6, 1, rng), batch.New(1, 6), batch.New(1, 6)
		if err := w.Eval(x, nil, g); err != nil {
			t.Fatal(err)
		}
		batch.SubtractFrom(make([]float32, 6), g.Data)
		p.Apply(pr, g)
		return trial{x.Data, g.Data, pr.Data, batch.Inner(g.Data, pr.Data)}
	}
	s := newLBFGSSearch(6).(*lbfgsSearch)
	s.reset()
	for k := range 2 * lbfgsMemory {
		here := at()
		copy(s.r, here.r)
		copy(s.pr, here.pr)
		d := make([]float32, 6)
		if k == 0 {
			s.direction(d, here.r)
			if diff := cmp.Diff(here.pr, d, near(0)); diff != "" {
				t.Errorf("without memory (P·r −, direction +):\n%s", diff)
			}
		}
		copy(s.line.x, here.x)
		s.remember(at())
		newest := s.pair(s.count - 1)
		copy(s.r, newest.g)
		copy(s.pr, newest.pg)
		s.direction(d, append([]float32(nil), newest.g...))
		if diff := cmp.Diff(newest.s, d, near(1e-5)); diff != "" {
			t.Errorf("%d pairs (s −, B·Δg +):\n%s", s.count, diff)
		}
	}
}
