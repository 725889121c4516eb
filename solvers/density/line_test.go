package density

import (
	"testing"

	"cmf/solvers/line"
)

// solved is the potential of a mixture, from the fixed point on the line.
func solved(t testing.TB, rho *line.Mixture) *line.Potential {
	t.Helper()
	p, err := line.Solver{}.Conjugate(rho)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Converged {
		t.Fatalf("residual %g after %d iterations", p.Residual, p.Iterations)
	}
	return p
}

func mustMixture(t testing.TB, components ...line.Component) *line.Mixture {
	t.Helper()
	m, err := line.NewMixture(components...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
