package sampling_test

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"
)

func TestULAHasTheBiasOfItsStep(t *testing.T) {
	const lambda, gamma, n = 2, 1, 100_000
	c := problem.ChainsAt(t, n, 1, 0)
	info := problem.Run(t, sampling.Langevin{Step: gamma}, problem.ScalarEnergy{H: 1. / lambda, Q: 0}, c, 40)
	want := lambda / (1 - gamma/(2.*lambda))
	problem.Within(t, "variance", problem.Moment(c, 2), want, want*math.Sqrt(2./n))
	problem.Within(t, "mean", problem.Moment(c, 1), 0, math.Sqrt(want/n))
	problem.Within(t, "virial", info.Virial, want/lambda, want/lambda*math.Sqrt(2./n))
	if info.Step != gamma {
		t.Errorf("the step is %g, want %d", info.Step, gamma)
	}
}

func TestMALAHasNoBias(t *testing.T) {
	const lambda, n = 2, 100_000
	c := problem.ChainsAt(t, n, 1, 0)
	info := problem.Run(t, sampling.Langevin{Adjusted: true, Step: 1.5, Freeze: true}, problem.ScalarEnergy{H: 1. / lambda, Q: 0}, c, 60)
	problem.Within(t, "variance", problem.Moment(c, 2), lambda, lambda*math.Sqrt(2./n))
	problem.Within(t, "mean energy", info.MeanEnergy, .5, math.Sqrt(.5/n))
	if info.Acceptance < .5 || info.Acceptance > .95 {
		t.Errorf("the acceptance is %g: the test shows little", info.Acceptance)
	}
}

// Moments of e^{−y²/2−y⁴/4} are compared with quadrature.
func TestMALAOnAQuartic(t *testing.T) {
	const n = 100_000
	w := problem.ScalarEnergy{H: 1, Q: 1}
	var mass, want2, want4, want8 float64
	for y := -6.0; y <= 6; y += 1e-3 {
		p := math.Exp(-w.At(y))
		mass, want2, want4, want8 = mass+p, want2+p*y*y, want4+p*math.Pow(y, 4), want8+p*math.Pow(y, 8)
	}
	want2, want4, want8 = want2/mass, want4/mass, want8/mass
	c := problem.ChainsAt(t, n, 1, 1)
	problem.Run(t, sampling.Langevin{Adjusted: true, Step: .4, Freeze: true}, w, c, 60)
	problem.Within(t, "E y", problem.Moment(c, 1), 0, math.Sqrt(want2/n))
	problem.Within(t, "E y²", problem.Moment(c, 2), want2, math.Sqrt((want4-want2*want2)/n))
	problem.Within(t, "E y⁴", problem.Moment(c, 4), want4, math.Sqrt((want8-want4*want4)/n))
}

// With a dense preconditioner other than the target's covariance, MALA keeps N(m, Σ) and
// finds it from elsewhere; ULA with P = Σ reaches Σ/(1 − γ/2).
func TestLangevinInADenseMetric(t *testing.T) {
	const n, d = 20_000, 10
	w := problem.RandomGaussian(t, d, 1)
	own, err := potential.PreconditionerFromHessian(w.H)
	if err != nil {
		t.Fatal(err)
	}
	other, err := potential.PreconditionerFromHessian(problem.RandomGaussian(t, d, 2).H)
	if err != nil {
		t.Fatal(err)
	}
	exact := func() *sampling.Chains {
		c := problem.ChainsAt(t, n, d, 0)
		own.Root(c.Y, problem.NormalBatch(n, d, "exact"))
		for i := range n {
			for j, m := range w.Mean {
				batch.Row(c.Y, i)[j] += m
			}
		}
		return c
	}
	for _, test := range []struct {
		name      string
		sampler   sampling.Langevin
		start     *sampling.Chains
		steps     int
		inflation float64
	}{
		{"MALA from the target", sampling.Langevin{Adjusted: true, Preconditioner: other, Step: .05}, exact(), 20, 1},
		{"MALA from a point", sampling.Langevin{Adjusted: true, Preconditioner: own, Step: .5}, problem.ChainsAt(t, n, d, 3), 60, 1},
		{"ULA", sampling.Langevin{Preconditioner: own, Step: .5}, problem.ChainsAt(t, n, d, 3), 40, 1 / .75},
	} {
		info := problem.Run(t, test.sampler, w, test.start, test.steps)
		if info.Acceptance < .3 || info.Acceptance > .9 {
			t.Errorf("%s: the acceptance is %g: the test shows little", test.name, info.Acceptance)
		}
		mean, cov := meanAndCovariance(test.start)
		for i := range d {
			si := w.Cov.At(i, i) * test.inflation
			problem.Within(t, fmt.Sprintf("%s: mean %d", test.name, i), mean[i], float64(w.Mean[i]), math.Sqrt(si/n))
			for j := range i + 1 {
				s, sj := w.Cov.At(i, j)*test.inflation, w.Cov.At(j, j)*test.inflation
				problem.Within(t, fmt.Sprintf("%s: covariance %d, %d", test.name, i, j), cov.At(i, j), s, math.Sqrt((s*s+si*sj)/n))
			}
		}
		problem.Within(t, test.name+": virial", info.Virial, test.inflation, test.inflation*math.Sqrt(2./(n*d)))
	}
}

func TestMALAReachesItsTarget(t *testing.T) {
	const n, d = 2000, 20
	w := problem.RandomGaussian(t, d, 1)
	preconditioner, err := potential.PreconditionerFromHessian(w.H)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []sampling.Langevin{
		{Step: 1e-3}, {Step: 20}, {}, {Step: 1e-3, Target: .8}, {Step: 20, Gain: 2, Decay: .6},
	} {
		l.Adjusted, l.Preconditioner = true, preconditioner
		c := problem.ChainsAt(t, n, d, 0)
		problem.Run(t, l, w, c, 60)
		l.Freeze = true
		held := c.Step
		info := problem.Run(t, l, w, c, 60)
		if want := cmp.Or(l.Target, .574); math.Abs(info.Acceptance-want) > .03 {
			t.Errorf("%+v: the acceptance is %g, want %g", l, info.Acceptance, want)
		}
		if info.Step != held || c.Step != held {
			t.Errorf("%+v: the frozen step went from %g to %g", l, held, info.Step)
		}
	}
}

func TestLangevinReplacesLostParticles(t *testing.T) {
	const n = 50
	walled := problem.Wall{Potential: problem.ScalarEnergy{H: 1, Q: 0}, At: 2}
	for _, test := range []struct {
		name  string
		w     potential.Potential
		l     sampling.Langevin
		first float32 // the first particle
		count func(sampling.Info) bool
	}{
		{"not finite at the start", problem.ScalarEnergy{H: 1, Q: 0}, sampling.Langevin{Step: .1}, float32(math.NaN()), func(i sampling.Info) bool { return i.Restarted == 1 }},
		{"the same under MALA", problem.ScalarEnergy{H: 1, Q: 0}, sampling.Langevin{Adjusted: true}, float32(math.Inf(1)), func(i sampling.Info) bool { return i.Restarted == 1 }},
		{"over the energy limit", problem.ScalarEnergy{H: 1, Q: 0}, sampling.Langevin{Step: .1}, 1000, func(i sampling.Info) bool { return i.Restarted == 1 }},
		{"out of the domain", walled, sampling.Langevin{Step: .5}, 0, func(i sampling.Info) bool { return i.Restarted > 10 && i.Rejected == 0 }},
		{"the same under MALA", walled, sampling.Langevin{Adjusted: true, Step: .5}, 0, func(i sampling.Info) bool { return i.Rejected > 10 && i.Restarted == 0 }},
	} {
		c := problem.ChainsAt(t, n, 1, 0)
		c.Y.Data[0] = test.first
		info := problem.Run(t, test.l, test.w, c, 20)
		if !test.count(info) {
			t.Errorf("%s: the counts are %+v", test.name, info)
		}
		for i, y := range c.Y.Data {
			if !(math.Abs(float64(y)) < 10) || c.Value[i] != float32(problem.ScalarEnergy{H: 1, Q: 0}.At(float64(y))) {
				t.Errorf("%s: particle %d is at %g with the energy %g", test.name, i, y, c.Value[i])
			}
		}
	}
	c := problem.ChainsAt(t, n, 1, 3)
	if _, err := (sampling.Langevin{Step: .1}).Run(t.Context(), walled, c, 1, random.New(1, "lost", 0)); err == nil || c.Fresh {
		t.Errorf("all particles are lost, but the error is %v and fresh %t", err, c.Fresh)
	}
}

// Only the virial shows that a bank has run away as a whole.
func TestVirialOfABankThatRanAway(t *testing.T) {
	c := problem.ChainsAt(t, 1000, 1, 0)
	for i := range c.Y.Data {
		c.Y.Data[i] = float32(100 * random.New(1, "away", uint64(i)).NormFloat64())
	}
	info := problem.Run(t, sampling.Langevin{}, problem.ScalarEnergy{H: 1, Q: 0}, c, 0)
	problem.Within(t, "virial", info.Virial, 1e4, 1e4*math.Sqrt(2./1000))
	if info.Restarted != 0 {
		t.Errorf("%d particles were put on others that are no better", info.Restarted)
	}
}

func TestLangevinRefuses(t *testing.T) {
	if _, err := sampling.NewLangevin("hmc"); err == nil || !strings.Contains(err.Error(), "mala, ula") {
		t.Errorf("an unknown sampler gave %v, want the known ones", err)
	}
	preconditioner, err := potential.DiagonalPreconditioner([]float64{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	short := problem.ChainsAt(t, 3, 1, 0)
	short.Value = short.Value[:2]
	for name, test := range map[string]struct {
		l     sampling.Langevin
		c     *sampling.Chains
		steps int
	}{
		"dimension":      {sampling.Langevin{}, problem.ChainsAt(t, 3, 2, 0), 1},
		"preconditioner": {sampling.Langevin{Preconditioner: preconditioner}, problem.ChainsAt(t, 3, 1, 0), 1},
		"steps":          {sampling.Langevin{}, problem.ChainsAt(t, 3, 1, 0), -1},
		"Step":           {sampling.Langevin{Step: math.NaN()}, problem.ChainsAt(t, 3, 1, 0), 1},
		"Target":         {sampling.Langevin{Target: 1}, problem.ChainsAt(t, 3, 1, 0), 1},
		"values":         {sampling.Langevin{}, short, 1},
	} {
		if _, err := test.l.Run(t.Context(), problem.ScalarEnergy{H: 1, Q: 0}, test.c, test.steps, random.New(1, name, 0)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s gave the error %v", name, err)
		}
	}
}

func BenchmarkLangevin(b *testing.B) {
	for _, d := range []int{2, 784} {
		w := scalarEnergies{d}
		c := problem.ChainsAt(b, 256, d, 0)
		rng := random.New(1, "benchmark", 0)
		b.Run(fmt.Sprintf("256x%d", d), func(b *testing.B) {
			for b.Loop() {
				if _, err := (sampling.Langevin{Adjusted: true, Step: .1}).Run(b.Context(), w, c, 10, rng); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
