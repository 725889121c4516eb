package sampling_test

import (
	"math"
	"testing"

	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/mat"
)

func TestULAFollowsTheCurvature(t *testing.T) {
	c := problem.ChainsAt(t, 100, 1, 0)
	// The estimate rises at once and falls by a tenth at a time.
	for _, test := range []struct{ h, want float64 }{{1, 1}, {100, .01}, {100, .01}, {1, 1. / 90}, {1, 1. / 81}} {
		c.Fresh = false
		info := problem.Run(t, sampling.Langevin{Step: 10}, problem.ScalarEnergy{H: test.h, Q: 0}, c, 5)
		if math.Abs(info.Step/test.want-1) > .01 {
			t.Errorf("w'' = %g: the step is %g, want %g", test.h, info.Step, test.want)
		}
	}
	if info := problem.Run(t, sampling.Langevin{Step: 10, MaxCurvature: 4}, problem.ScalarEnergy{H: 1, Q: 0}, c, 5); info.Step != .25 {
		t.Errorf("the step is %g under a curvature of 4, want .25", info.Step)
	}
}

func TestMaxCurvature(t *testing.T) {
	const d = 12
	w := problem.RandomGaussian(t, d, 3)
	var eigen mat.EigenSym
	eigen.Factorize(w.H, false)
	other := problem.RandomGaussian(t, d, 4)
	preconditioner, err := potential.PreconditionerFromHessian(other.H)
	if err != nil {
		t.Fatal(err)
	}
	var product mat.Dense
	product.Mul(other.Cov, w.H) // P·H, similar to LᵀHL
	var general mat.Eigen
	general.Factorize(&product, mat.EigenNone)
	var preconditioned float64
	for _, v := range general.Values(nil) {
		preconditioned = max(preconditioned, real(v))
	}
	rng := random.New(1, "curvature", 0)
	for _, test := range []struct {
		name string
		w    potential.Potential
		p    *potential.Preconditioner
		want float64
	}{
		{"Curved", w, nil, eigen.Values(nil)[d-1]},
		{"by differences", struct{ potential.Potential }{w}, nil, eigen.Values(nil)[d-1]},
		{"in a preconditioner", struct{ potential.Potential }{w}, preconditioner, preconditioned},
	} {
		got, err := sampling.MaxCurvature(test.w, problem.NormalBatch(4, d, "at"), test.p, 200, rng)
		if err != nil || math.Abs(got/test.want-1) > .01 {
			t.Errorf("%s: λmax is %g (%v), want %g", test.name, got, err, test.want)
		}
		few, _ := sampling.MaxCurvature(test.w, problem.NormalBatch(16, d, "at"), test.p, 10, rng)
		if few < .7*test.want || few > 1.01*test.want {
			t.Errorf("%s: λmax is %g after ten iterations, want most of %g", test.name, few, test.want)
		}
	}
	if _, err := (sampling.Langevin{}).Run(t.Context(), problem.ScalarEnergy{H: 0, Q: 0}, problem.ChainsAt(t, 3, 1, 0), 1, rng); err == nil {
		t.Error("a flat potential gave a step")
	}
}
