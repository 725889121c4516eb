package solvers

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestULAHasTheBiasOfItsStep(t *testing.T) {
	const lambda, gamma, n = 2, 1, 100_000
	c := chainsAt(t, n, 1, 0)
	info := run(t, Langevin{Step: gamma}, scalarEnergy{1. / lambda, 0}, c, 40)
	want := lambda / (1 - gamma/(2.*lambda))
	within(t, "variance", moment(c, 2), want, want*math.Sqrt(2./n))
	within(t, "mean", moment(c, 1), 0, math.Sqrt(want/n))
	within(t, "virial", info.Virial, want/lambda, want/lambda*math.Sqrt(2./n))
	if info.Step != gamma {
		t.Errorf("the step is %g, want %d", info.Step, gamma)
	}
}

func TestMALAHasNoBias(t *testing.T) {
	const lambda, n = 2, 100_000
	c := chainsAt(t, n, 1, 0)
	info := run(t, Langevin{Adjusted: true, Step: 1.5, Freeze: true}, scalarEnergy{1. / lambda, 0}, c, 60)
	within(t, "variance", moment(c, 2), lambda, lambda*math.Sqrt(2./n))
	within(t, "mean energy", info.MeanEnergy, .5, math.Sqrt(.5/n))
	if info.Acceptance < .5 || info.Acceptance > .95 {
		t.Errorf("the acceptance is %g: the test shows little", info.Acceptance)
	}
}

// Moments of e^{−y²/2−y⁴/4} against quadrature.
func TestMALAOnAQuartic(t *testing.T) {
	const n = 100_000
	w := scalarEnergy{1, 1}
	var mass, want2, want4, want8 float64
	for y := -6.0; y <= 6; y += 1e-3 {
		p := math.Exp(-w.at(y))
		mass, want2, want4, want8 = mass+p, want2+p*y*y, want4+p*math.Pow(y, 4), want8+p*math.Pow(y, 8)
	}
	want2, want4, want8 = want2/mass, want4/mass, want8/mass
	c := chainsAt(t, n, 1, 1)
	run(t, Langevin{Adjusted: true, Step: .4, Freeze: true}, w, c, 60)
	within(t, "E y", moment(c, 1), 0, math.Sqrt(want2/n))
	within(t, "E y²", moment(c, 2), want2, math.Sqrt((want4-want2*want2)/n))
	within(t, "E y⁴", moment(c, 4), want4, math.Sqrt((want8-want4*want4)/n))
}

// MALA in a dense metric that is not the target's leaves N(m, Σ) as it is, and
// finds it from elsewhere; ULA in P = Σ reaches Σ/(1 − γ/2).
func TestLangevinInADenseMetric(t *testing.T) {
	const n, d = 20_000, 10
	w := randomGaussian(t, d, 1)
	own, err := MetricFromHessian(w.h)
	if err != nil {
		t.Fatal(err)
	}
	other, err := MetricFromHessian(randomGaussian(t, d, 2).h)
	if err != nil {
		t.Fatal(err)
	}
	exact := func() *Chains {
		c := chainsAt(t, n, d, 0)
		own.Root(c.Y, normalBatch(n, d, "exact"))
		for i := range n {
			for j, m := range w.mean {
				row(c.Y, i)[j] += m
			}
		}
		return c
	}
	for _, test := range []struct {
		name      string
		sampler   Langevin
		start     *Chains
		steps     int
		inflation float64
	}{
		{"MALA from the target", Langevin{Adjusted: true, Metric: other, Step: .05}, exact(), 20, 1},
		{"MALA from a point", Langevin{Adjusted: true, Metric: own, Step: .5}, chainsAt(t, n, d, 3), 60, 1},
		{"ULA", Langevin{Metric: own, Step: .5}, chainsAt(t, n, d, 3), 40, 1 / .75},
	} {
		info := run(t, test.sampler, w, test.start, test.steps)
		if info.Acceptance < .3 || info.Acceptance > .9 {
			t.Errorf("%s: the acceptance is %g: the test shows little", test.name, info.Acceptance)
		}
		mean, cov := meanAndCovariance(test.start)
		for i := range d {
			si := w.cov.At(i, i) * test.inflation
			within(t, fmt.Sprintf("%s: mean %d", test.name, i), mean[i], float64(w.mean[i]), math.Sqrt(si/n))
			for j := range i + 1 {
				s, sj := w.cov.At(i, j)*test.inflation, w.cov.At(j, j)*test.inflation
				within(t, fmt.Sprintf("%s: covariance %d, %d", test.name, i, j), cov.At(i, j), s, math.Sqrt((s*s+si*sj)/n))
			}
		}
		within(t, test.name+": virial", info.Virial, test.inflation, test.inflation*math.Sqrt(2./(n*d)))
	}
}

func TestMALAReachesItsTarget(t *testing.T) {
	const n, d = 2000, 20
	w := randomGaussian(t, d, 1)
	metric, err := MetricFromHessian(w.h)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []Langevin{
		{Step: 1e-3}, {Step: 20}, {}, {Step: 1e-3, Target: .8}, {Step: 20, Gain: 2, Decay: .6},
	} {
		l.Adjusted, l.Metric = true, metric
		c := chainsAt(t, n, d, 0)
		run(t, l, w, c, 60)
		l.Freeze = true
		held := c.Step
		info := run(t, l, w, c, 60)
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
	walled := wall{scalarEnergy{1, 0}, 2}
	for _, test := range []struct {
		name  string
		w     Potential
		l     Langevin
		first float32 // the first particle
		count func(LangevinInfo) bool
	}{
		{"not finite at the start", scalarEnergy{1, 0}, Langevin{Step: .1}, float32(math.NaN()), func(i LangevinInfo) bool { return i.Restarted == 1 }},
		{"the same under MALA", scalarEnergy{1, 0}, Langevin{Adjusted: true}, float32(math.Inf(1)), func(i LangevinInfo) bool { return i.Restarted == 1 }},
		{"over the energy limit", scalarEnergy{1, 0}, Langevin{Step: .1}, 1000, func(i LangevinInfo) bool { return i.Restarted == 1 }},
		{"out of the domain", walled, Langevin{Step: .5}, 0, func(i LangevinInfo) bool { return i.Restarted > 10 && i.Rejected == 0 }},
		{"the same under MALA", walled, Langevin{Adjusted: true, Step: .5}, 0, func(i LangevinInfo) bool { return i.Rejected > 10 && i.Restarted == 0 }},
	} {
		c := chainsAt(t, n, 1, 0)
		c.Y.Data[0] = test.first
		info := run(t, test.l, test.w, c, 20)
		if !test.count(info) {
			t.Errorf("%s: the counts are %+v", test.name, info)
		}
		for i, y := range c.Y.Data {
			if !(math.Abs(float64(y)) < 10) || c.Value[i] != float32(scalarEnergy{1, 0}.at(float64(y))) {
				t.Errorf("%s: particle %d is at %g with the energy %g", test.name, i, y, c.Value[i])
			}
		}
	}
	c := chainsAt(t, n, 1, 3)
	if _, err := (Langevin{Step: .1}).Run(walled, c, 1, NewStream(1, "lost", 0).Rand); err == nil || c.Fresh {
		t.Errorf("all particles are lost, but the error is %v and fresh %t", err, c.Fresh)
	}
}

// A bank that has run away as a whole shows in the virial alone.
func TestVirialOfABankThatRanAway(t *testing.T) {
	c := chainsAt(t, 1000, 1, 0)
	for i := range c.Y.Data {
		c.Y.Data[i] = float32(100 * NewStream(1, "away", uint64(i)).NormFloat64())
	}
	info := run(t, Langevin{}, scalarEnergy{1, 0}, c, 0)
	within(t, "virial", info.Virial, 1e4, 1e4*math.Sqrt(2./1000))
	if info.Restarted != 0 {
		t.Errorf("%d particles were put on others that are no better", info.Restarted)
	}
}

func TestLangevinRefuses(t *testing.T) {
	if _, err := NewLangevin("hmc"); err == nil || !strings.Contains(err.Error(), "ula and mala") {
		t.Errorf("an unknown sampler gave %v, want the known ones", err)
	}
	metric, err := DiagonalMetric([]float64{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	short := chainsAt(t, 3, 1, 0)
	short.Value = short.Value[:2]
	for name, test := range map[string]struct {
		l     Langevin
		c     *Chains
		steps int
	}{
		"dimension": {Langevin{}, chainsAt(t, 3, 2, 0), 1},
		"metric":    {Langevin{Metric: metric}, chainsAt(t, 3, 1, 0), 1},
		"steps":     {Langevin{}, chainsAt(t, 3, 1, 0), -1},
		"Step":      {Langevin{Step: math.NaN()}, chainsAt(t, 3, 1, 0), 1},
		"Target":    {Langevin{Target: 1}, chainsAt(t, 3, 1, 0), 1},
		"values":    {Langevin{}, short, 1},
	} {
		if _, err := test.l.Run(scalarEnergy{1, 0}, test.c, test.steps, NewStream(1, name, 0).Rand); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s gave the error %v", name, err)
		}
	}
}

func BenchmarkLangevin(b *testing.B) {
	for _, d := range []int{2, 784} {
		w := scalarEnergies{d}
		c := chainsAt(b, 256, d, 0)
		rng := NewStream(1, "benchmark", 0).Rand
		b.Run(fmt.Sprintf("256x%d", d), func(b *testing.B) {
			for b.Loop() {
				if _, err := (Langevin{Adjusted: true, Step: .1}).Run(w, c, 10, rng); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
