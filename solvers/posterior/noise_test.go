package posterior

import (
	"context"
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/internal/problem"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// inpainting is N(m, Σ) in dimension 6 with its conjugate moment potential w, and n rows
// of one observation of coordinates 0, 2 and 3.
type inpainting struct {
	law      *exact.Gaussian
	w        *exact.Quadratic
	curve    *mat.SymDense // ∇²w = Σ^{-1/3}
	mask     []bool
	hidden   []int
	observed blas32.General
}

func newInpainting(t *testing.T, n int) *inpainting {
	t.Helper()
	random := problem.RandomGaussian(t, 6, 3)
	law, err := exact.NewGaussian([]float64{.3, -.2, .5, 0, 1, -.4}, random.Cov)
	if err != nil {
		t.Fatal(err)
	}
	p := &inpainting{law: law, w: law.ConjugateMoment(), curve: law.Power(-1. / 3), hidden: []int{1, 4, 5},
		mask: []bool{true, false, true, true, false, false}, observed: batch.New(n, 6)}
	for i := range n {
		copy(batch.Row(p.observed, i), []float32{1, 0, -1, .7, 0, 0})
	}
	return p
}

// given is the mean and covariance of x given o, observed with an error of deviation s.
// It uses precisions: Λ = Σ⁻¹ + diag(m)/s². With s = 0 it is the conditional law of the
// hidden coordinates: mean m_h − Λ_hh⁻¹Λ_ho(o − m_o), covariance Λ_hh⁻¹, and variance 0
// elsewhere.
func (p *inpainting) given(t *testing.T, s float64) (mean []float64, cov *mat.SymDense) {
	t.Helper()
	precision := p.law.Power(-1)
	d := p.law.Dim()
	if s == 0 {
		s = 1e-6
	}
	for k, seen := range p.mask {
		if seen {
			precision.SetSym(k, k, precision.At(k, k)+1/(s*s))
		}
	}
	shift := mat.NewVecDense(d, nil)
	for k, seen := range p.mask {
		if seen {
			shift.SetVec(k, (float64(batch.Row(p.observed, 0)[k])-p.law.Mean[k])/(s*s))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(precision) {
		t.Fatal("no Cholesky factor")
	}
	cov = new(mat.SymDense)
	var at mat.VecDense
	if chol.InverseTo(cov) != nil || chol.SolveVecTo(&at, shift) != nil {
		t.Fatal("no inverse")
	}
	for k := range p.law.Mean {
		mean = append(mean, p.law.Mean[k]+at.AtVec(k))
	}
	return mean, cov
}

// holds checks the mean and covariance of the rows of x, which count as n independent
// ones, in the coordinates of index.
func holds(t *testing.T, x blas32.General, index []int, mean []float64, cov *mat.SymDense, n float64) {
	t.Helper()
	for _, a := range index {
		for _, b := range index {
			var got, got2 float64
			for i := range x.Rows {
				u, v := float64(batch.Row(x, i)[a])-mean[a], float64(batch.Row(x, i)[b])-mean[b]
				got, got2 = got+u/float64(x.Rows), got2+u*v/float64(x.Rows)
			}
			if a == b {
				problem.Within(t, "mean", got+mean[a], mean[a], math.Sqrt(cov.At(a, a)/n))
			}
			want := cov.At(a, b)
			problem.Within(t, "covariance", got2, want, math.Sqrt((cov.At(a, a)*cov.At(b, b)+want*want)/n))
		}
	}
}

func TestConditionalGaussian(t *testing.T) {
	const n = 40_000
	p := newInpainting(t, n)
	mean, cov := p.given(t, 0)
	c, err := p.law.Given(p.mask)
	if err != nil {
		t.Fatal(err)
	}
	x := batch.New(1, 6)
	copy(batch.Row(x, 0), batch.Row(p.observed, 0))
	if err := c.Mean(x); err != nil {
		t.Fatal(err)
	}
	for k, v := range batch.Row(x, 0) {
		if math.Abs(float64(v)-mean[k]) > 1e-4 {
			t.Errorf("coordinate %d has the conditional mean %g, want %g", k, v, mean[k])
		}
	}
	draws := batch.New(n, 6)
	copy(draws.Data, p.observed.Data)
	if err := c.Draw(draws, random.New(1, "draws", 0)); err != nil {
		t.Fatal(err)
	}
	holds(t, draws, p.hidden, mean, cov, n)
}

// The gradient of a posterior under hinges agrees with differences of its values.
func TestPosteriorGradient(t *testing.T) {
	const n, d, step = 4, 5, 1e-2
	w := problem.NewHinges(d, 12, 10, 2, random.New(5, "hinges", 0))
	p := &Noise{
		Potential: w, Mask: []bool{true, false, true, false, true}, Deviation: .5,
		Observed: problem.NormalBatch(n, d, "observed"), Points: batch.New(n, d),
		Conjugate: &conjugate.NewtonCG{Tolerance: 1e-6}, Hessian: conjugate.HessianSolver{Tolerance: 1e-6},
	}
	y, grad := problem.NormalBatch(n, d, "noise"), batch.New(n, d)
	if err := p.Eval(y, make([]float32, n), grad); err != nil {
		t.Fatal(err)
	}
	up, down := make([]float32, n), make([]float32, n)
	for k := range d {
		for _, e := range []struct {
			to    []float32
			shift float32
		}{{up, step}, {down, -2 * step}, {nil, step}} {
			for i := range n {
				batch.Row(y, i)[k] += e.shift
			}
			if e.to == nil {
				continue
			}
			if err := p.Eval(y, e.to, blas32.General{}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			want := (float64(up[i]) - float64(down[i])) / (2 * step)
			if got := float64(batch.Row(grad, i)[k]); math.Abs(got-want) > 5e-3*(1+math.Abs(want)) {
				t.Errorf("row %d, coordinate %d: the gradient is %g, differences of values %g", i, k, got, want)
			}
		}
	}
}

// Under a Gaussian, trajectories and Langevin steps on the posterior give the mean and
// covariance of the closed form, even from far away.
func TestPosteriorOfAGaussian(t *testing.T) {
	const n, s = 1500, .4
	p := newInpainting(t, n)
	mean, cov := p.given(t, s)
	preconditioner, err := Preconditioner(p.curve, p.curve, p.mask, s)
	if err != nil {
		t.Fatal(err)
	}
	all := []int{0, 1, 2, 3, 4, 5}
	for name, sample := range map[string]func(u *Noise, c *sampling.Chains) error{
		"trajectories": func(u *Noise, c *sampling.Chains) error {
			_, err := sampling.Hamiltonian{Preconditioner: preconditioner, Leaps: 4, Step: .4}.Run(t.Context(), u, c, 12, random.New(2, "sampler", 0))
			return err
		},
		"Langevin": func(u *Noise, c *sampling.Chains) error {
			_, err := sampling.Langevin{Adjusted: true, Preconditioner: preconditioner, Step: .5, Runaway: 1e9}.Run(t.Context(), u, c, 30, random.New(2, "sampler", 0))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := &Noise{Potential: p.w, Observed: p.observed, Mask: p.mask, Deviation: s, Points: batch.New(n, 6),
				Conjugate: &conjugate.LBFGS{Tolerance: 1e-5}, Hessian: conjugate.HessianSolver{Tolerance: 1e-5}}
			c, err := sampling.NewChains(batch.New(n, 6))
			if err != nil {
				t.Fatal(err)
			}
			if err := sample(u, c); err != nil {
				t.Fatal(err)
			}
			// The last proposals are not the states, so the conjugates of the states are solved for.
			x := batch.New(n, 6)
			if _, err := u.Conjugate.Solve(context.Background(), p.w, c.Y, x, nil); err != nil {
				t.Fatal(err)
			}
			holds(t, x, all, mean, cov, n)
			if u.Unconverged > 0 {
				t.Errorf("%d conjugates did not converge", u.Unconverged)
			}
		})
	}
}

func TestHamiltonianHasNoBias(t *testing.T) {
	const n, lambda = 40_000, 2
	c := problem.ChainsAt(t, n, 1, 1)
	info, err := sampling.Hamiltonian{Step: 1.6, Leaps: 2, Freeze: true}.Run(t.Context(), problem.ScalarEnergy{H: 1. / lambda, Q: 0}, c, 30, random.New(4, "trajectories", 0))
	if err != nil {
		t.Fatal(err)
	}
	problem.Within(t, "mean", problem.Moment(c, 1), 0, math.Sqrt(lambda/float64(n)))
	problem.Within(t, "variance", problem.Moment(c, 2), lambda, lambda*math.Sqrt(2./n))
	if a := info.Acceptance; a < .5 || a > .98 || info.Step != 1.6 {
		t.Errorf("the acceptance is %g, the step %g: the test shows little", a, info.Step)
	}
	c.Fresh, batch.Row(c.Y, 7)[0] = false, float32(math.NaN())
	if _, err := (sampling.Hamiltonian{}).Run(t.Context(), problem.ScalarEnergy{H: 1, Q: 0}, c, 1, random.New(4, "trajectories", 0)); err == nil || !strings.Contains(err.Error(), "particle 7") {
		t.Errorf("a start that is not finite: error %v", err)
	}
}

// Under a Gaussian, putting the observed coordinates back leaves the hidden ones their
// conditional law with its own preconditioner, but not with the identity.
func TestClampedGaussian(t *testing.T) {
	const n = 2000
	p := newInpainting(t, n)
	mean, cov := p.given(t, 0)
	law, err := p.law.Given(p.mask)
	if err != nil {
		t.Fatal(err)
	}
	preconditioner, err := law.ClampedPreconditioner(p.curve)
	if err != nil {
		t.Fatal(err)
	}
	x := batch.New(n, 6)
	loop := &Clamped{Potential: p.w, Observed: p.observed, Mask: p.mask, From: .1,
		Sampler:   sampling.Langevin{Adjusted: true, Preconditioner: preconditioner, Step: .5, Runaway: 1e9},
		Conjugate: &conjugate.LBFGS{Tolerance: 1e-5}}
	steps := 0
	info, err := loop.Run(t.Context(), x, 30, random.New(6, "clamped", 0), func(int) error { steps++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if steps != 30 || info.Acceptance < .3 || info.Unconverged > 0 || len(info.Status) != n {
		t.Errorf("%d steps with an acceptance of %g; %d conjugates missed, %d rows have a status", steps, info.Acceptance, info.Unconverged, len(info.Status))
	}
	holds(t, x, p.hidden, mean, cov, n)
	for i := range n {
		for k, seen := range p.mask {
			if seen && batch.Row(x, i)[k] != batch.Row(p.observed, i)[k] {
				t.Fatalf("row %d has %g at the observed coordinate %d, not %g", i, batch.Row(x, i)[k], k, batch.Row(p.observed, i)[k])
			}
		}
	}
}

// Observed coordinates are put back with the requested deviations.
func TestClampedAnneals(t *testing.T) {
	const n = 2000
	p := newInpainting(t, n)
	x := batch.New(n, 6)
	loop := &Clamped{Potential: p.w, Observed: p.observed, Mask: p.mask, From: 2, To: .5, Sampler: sampling.Langevin{Adjusted: true, Step: .1, Runaway: 1e9}}
	for t0, want := range []float64{2, 1, .5} {
		if got := float64(loop.deviation(t0, 3)); math.Abs(got-want) > 1e-6 {
			t.Errorf("σ of step %d is %g, want %g", t0, got, want)
		}
	}
	if _, err := loop.Run(t.Context(), x, 3, random.New(6, "annealed", 0), nil); err != nil {
		t.Fatal(err)
	}
	var squares float64
	for i := range n {
		e := float64(batch.Row(x, i)[2] - batch.Row(p.observed, i)[2])
		squares += e * e / n
	}
	problem.Within(t, "variance", squares, .25, .25*math.Sqrt(2./n))
}

func TestInpaintingRefusesWrongShapes(t *testing.T) {
	p := newInpainting(t, 3)
	none := make([]bool, 6)
	value := make([]float32, 3)
	for want, err := range map[string]error{
		"length 2": func() error {
			u := &Noise{Potential: p.w, Observed: p.observed, Mask: none[:2], Deviation: 1, Points: batch.New(3, 6)}
			return u.Eval(batch.New(3, 6), value, blas32.General{})
		}(),
		"3 points": func() error {
			u := &Noise{Potential: p.w, Observed: batch.New(2, 6), Mask: p.mask, Deviation: 1, Points: batch.New(3, 6)}
			return u.Eval(batch.New(3, 6), value, blas32.General{})
		}(),
		"deviation of 0": func() error {
			u := &Noise{Potential: p.w, Observed: p.observed, Mask: p.mask, Points: batch.New(3, 6)}
			return u.Eval(batch.New(3, 6), value, blas32.General{})
		}(),
		"0 coordinates observed": func() error { _, err := p.law.Given(none); return err }(),
		"observed has 5 entries": func() error { _, err := p.law.Given(none[:5]); return err }(),
		"4 columns": func() error {
			c, err := p.law.Given(p.mask)
			if err != nil {
				t.Fatal(err)
			}
			return c.Mean(batch.New(2, 4))
		}(),
		"0 steps": func() error {
			_, err := (&Clamped{Potential: p.w, Observed: p.observed, Mask: p.mask}).Run(t.Context(), batch.New(3, 6), 0, random.New(1, "", 0), nil)
			return err
		}(),
		"length 2 in dimension 6": func() error {
			_, err := (&Clamped{Potential: p.w, Observed: p.observed, Mask: none[:2]}).Run(t.Context(), batch.New(3, 6), 1, random.New(1, "", 0), nil)
			return err
		}(),
		"observations of shape (2, 6)": func() error {
			_, err := (&Clamped{Potential: p.w, Observed: batch.New(2, 6), Mask: p.mask}).Run(t.Context(), batch.New(3, 6), 1, random.New(1, "", 0), nil)
			return err
		}(),
		"from 1 to -1": func() error {
			_, err := (&Clamped{Potential: p.w, Observed: p.observed, Mask: p.mask, From: 1, To: -1}).Run(t.Context(), batch.New(3, 6), 1, random.New(1, "", 0), nil)
			return err
		}(),
		"-1 leaps": func() error {
			c, _ := sampling.NewChains(batch.New(3, 6))
			_, err := sampling.Hamiltonian{Leaps: -1}.Run(t.Context(), p.w, c, 1, random.New(1, "", 0))
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}
