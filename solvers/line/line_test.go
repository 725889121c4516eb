package line

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/solvers/internal/problem"
)

func mustMixture(t testing.TB, components ...Component) *Mixture {
	t.Helper()
	m, err := NewMixture(components...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func solved(t testing.TB, solve func(Density) (*Potential, error), rho Density) *Potential {
	t.Helper()
	p, err := solve(rho)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Converged {
		t.Fatalf("residual %g after %d iterations", p.Residual, p.Iterations)
	}
	return p
}

// N(m, σ²) has the conjugate moment potential w = ½σ^{-2/3}(x−c)²,
// c = m/(1+σ^{2/3}), and the moment measure with 𝔓_u = N(0, 1/σ²).
func TestLineGaussian(t *testing.T) {
	for _, c := range []struct{ mean, sd float64 }{{0, .5}, {0, 1}, {1, 2}, {-3, .2}, {.1, 6}, {0, .01}} {
		rho := mustMixture(t, Component{1, c.mean, c.sd})
		scale := math.Pow(c.sd, 2./3)
		center := c.mean / (1 + scale)
		w := solved(t, Solver{}.Conjugate, rho)
		u := solved(t, Solver{}.Moment, rho)
		problem.CloseTo(t, "mean of 𝔓_w", w.Mean, center, 1e-6)
		problem.CloseTo(t, "variance of 𝔓_w", w.Variance, scale, 1e-6)
		problem.CloseTo(t, "log Z_w", w.LogZ, math.Log(2*math.Pi*scale)/2, 1e-6)
		problem.CloseTo(t, "mean of 𝔓_u", u.Mean, 0, 1e-6)
		problem.CloseTo(t, "variance of 𝔓_u", u.Variance, 1/(c.sd*c.sd), 1e-6/(c.sd*c.sd))
		problem.CloseTo(t, "log Z_u", u.LogZ, math.Log(2*math.Pi)/2-math.Log(c.sd), 1e-6)
		// The slope is right as far out as 20 standard deviations of ρ.
		for _, z := range []float64{-20, -9, -1, 0, 2, 8, 20} {
			x := c.mean + z*c.sd
			problem.CloseTo(t, fmt.Sprintf("w′ at %g of N(%g, %g²)", x, c.mean, c.sd), w.Slope(x), (x-center)/scale, 1e-5*(1+math.Abs(x)/scale))
			problem.CloseTo(t, fmt.Sprintf("(w*)′(w′) at %g", x), w.ConjugateSlope(w.Slope(x)), x, 1e-9*(1+math.Abs(x)))
			problem.CloseTo(t, fmt.Sprintf("w at %g", x), w.Value(x), (x-center)*(x-center)/scale/2, 1e-5*(1+x*x/scale))
			y := z / c.sd
			problem.CloseTo(t, fmt.Sprintf("u′ at %g", y), u.Slope(y), c.sd*c.sd*y, 1e-6*(1+c.sd*c.sd*math.Abs(y)))
			problem.CloseTo(t, fmt.Sprintf("u at %g", y), u.Value(y), c.sd*c.sd*y*y/2, 1e-5*(1+z*z))
		}
		for _, p := range []float64{1e-9, .1, .5, .999} {
			q := Quantile(rho, p)
			problem.CloseTo(t, "quantile of 𝔓_w", w.GibbsQuantile(p), w.Slope(q), 1e-9*(1+math.Abs(q)/scale))
			problem.CloseTo(t, "quantile of 𝔓_u", u.GibbsQuantile(p), (q-c.mean)/(c.sd*c.sd), 1e-5*(1+1/c.sd))
		}
	}
}

// These are the figures of the published table of references. A solver with one table of
// one tail, and a domain that covers only ρ, misses them.
func TestLineReferences(t *testing.T) {
	at := []float64{-2, -1, 0, .5, 1, 2}
	for _, c := range []struct {
		rho                  *Mixture
		mean, variance, logZ float64
		slope                []float64
	}{
		{mustMixture(t, Component{1, 0, .5}), 0, .629961, .687891, []float64{-3.174649, -1.587420, 0, .793703, 1.587420, 3.174649}},
		{mustMixture(t, Component{.5, -2, .5}, Component{.5, 2, .5}), 0, 1.969269, 1.492160, []float64{-1.114729, -.050581, 0, .003001, .050581, 1.114729}},
	} {
		w := solved(t, Solver{}.Conjugate, c.rho)
		problem.CloseTo(t, "mean", w.Mean, c.mean, 1e-4)
		problem.CloseTo(t, "variance", w.Variance, c.variance, 1e-4)
		problem.CloseTo(t, "log Z", w.LogZ, c.logZ, 1e-4)
		for i, x := range at {
			problem.CloseTo(t, fmt.Sprintf("w′(%g)", x), w.Slope(x), c.slope[i], 2e-4)
		}
	}
}

// Twice the nodes give the same figures for unequal weights, unequal widths, three
// components, and components of deviation 0.05 at distance 10.
func TestLineNodes(t *testing.T) {
	for _, rho := range []*Mixture{
		mustMixture(t, Component{.2, -2, .5}, Component{.8, 1, .2}),
		mustMixture(t, Component{.3, -3, 1}, Component{.2, 0, .3}, Component{.5, 4, .6}),
		mustMixture(t, Component{.5, -5, .05}, Component{.5, 5, .05}),
		mustMixture(t, Component{.3, 0, .05}, Component{.7, 10, .05}),
		mustMixture(t, Component{.9, 0, 3}, Component{.1, 20, .05}),
	} {
		for name, solve := range map[string]func(Solver) (*Potential, error){
			"conjugate": func(o Solver) (*Potential, error) { return o.Conjugate(rho) },
			"moment":    func(o Solver) (*Potential, error) { return o.Moment(rho) },
		} {
			one, err := solve(Solver{Nodes: 4001})
			if err != nil {
				t.Fatal(err)
			}
			two, err := solve(Solver{Nodes: 8001})
			if err != nil {
				t.Fatal(err)
			}
			if one.Residual > 1e-6 || two.Residual > 1e-6 {
				t.Errorf("%s %v: residuals %g and %g", name, rho.Components, one.Residual, two.Residual)
			}
			problem.CloseTo(t, name+" mean", one.Mean, two.Mean, 1e-4)
			problem.CloseTo(t, name+" variance", one.Variance, two.Variance, 1e-4)
			problem.CloseTo(t, name+" log Z", one.LogZ, two.LogZ, 1e-4)
			for _, p := range []float64{1e-6, .001, .1, .25, .55, .9, .999} {
				x := Quantile(one.rho, p)
				problem.CloseTo(t, fmt.Sprintf("%s map at the quantile %g of %v", name, p, rho.Components), one.monge.at(x), two.monge.at(x), 1e-4)
				if name == "conjugate" {
					problem.CloseTo(t, "w at "+fmt.Sprint(x), one.Value(x), two.Value(x), 1e-4)
				}
			}
		}
	}
}

// laplace is ½e^{−|x|}, a law that is not a mixture of normals.
type laplace struct{}

func (laplace) LogPDF(x float64) float64 { return -math.Abs(x) - math.Ln2 }

func (laplace) LogLower(x float64) float64 { return laplace{}.LogUpper(-x) }

func (laplace) LogUpper(x float64) float64 {
	if x > 0 {
		return -x - math.Ln2
	}
	return math.Log1p(-math.Exp(x) / 2)
}

func (laplace) Mean() float64 { return 0 }

func (laplace) Variance() float64 { return 2 }

// For any density, w′ takes ρ to 𝔓_w, and 𝔓_w is the Gibbs factor of w. Both are checked
// by quadrature of the result alone.
func TestLinePushesForward(t *testing.T) {
	for name, rho := range map[string]Density{
		"Laplace": laplace{},
		"mixture": mustMixture(t, Component{.2, -2, .5}, Component{.8, 1, .2}),
	} {
		w := solved(t, Solver{}.Conjugate, rho)
		u := solved(t, Solver{}.Moment, rho)
		for _, p := range []float64{.01, .3, .5, .9} {
			q := Quantile(rho, p)
			problem.CloseTo(t, fmt.Sprintf("%s: P(Y ≤ w′(quantile %g))", name, p), gibbsMass(w, w.Slope(q)), p, 1e-5)
			problem.CloseTo(t, fmt.Sprintf("%s: P(Y ≤ (u*)′(quantile %g))", name, p), gibbsMass(u, u.ConjugateSlope(q-rho.Mean())), p, 1e-5)
		}
		const h = 1e-4
		for _, p := range []*Potential{w, u} {
			for _, x := range []float64{-1.3, -.2, .4, .9} {
				problem.CloseTo(t, name+": difference quotient of the potential", (p.Value(x+h)-p.Value(x-h))/(2*h), p.Slope(x), 1e-4)
			}
			if least := p.Value(p.ConjugateSlope(0)); math.Abs(least) > 1e-12 {
				t.Errorf("%s: the least value is %g", name, least)
			}
		}
	}
}

// gibbsMass is ∫_{−∞}^x of the Gibbs factor by the midpoint rule.
func gibbsMass(p *Potential, x float64) float64 {
	const n = 20000
	from := p.GibbsQuantile(1e-9)
	var sum float64
	for i := range n {
		sum += p.GibbsPDF(from+(x-from)*(float64(i)+.5)/n) * (x - from) / n
	}
	return sum
}

// A translation of ρ leaves its moment measure unchanged, and a reflection reflects both
// potentials.
func TestLineSymmetries(t *testing.T) {
	rho := mustMixture(t, Component{.2, -2, .5}, Component{.8, 1, .2})
	moved := mustMixture(t, Component{.2, 5, .5}, Component{.8, 8, .2})
	mirror := mustMixture(t, Component{.8, -1, .2}, Component{.2, 2, .5})
	solver := Solver{Nodes: 2001}
	w, v := solved(t, solver.Conjugate, rho), solved(t, solver.Conjugate, mirror)
	u, s, r := solved(t, solver.Moment, rho), solved(t, solver.Moment, moved), solved(t, solver.Moment, mirror)
	for _, x := range []float64{-3, -.7, 0, .4, 2} {
		problem.CloseTo(t, "reflected w′", -v.Slope(-x), w.Slope(x), 1e-5)
		problem.CloseTo(t, "reflected w", v.Value(-x), w.Value(x), 1e-5)
		problem.CloseTo(t, "reflected u′", -r.Slope(-x), u.Slope(x), 1e-5)
		problem.CloseTo(t, "u′ of the translation", s.Slope(x), u.Slope(x), 1e-5)
		problem.CloseTo(t, "u of the translation", s.Value(x), u.Value(x), 1e-5)
	}
}

func TestLineSolverErrors(t *testing.T) {
	rho := mustMixture(t, Component{1, 0, 1})
	for want, solver := range map[string]Solver{
		"LineSolver.Nodes is 10":          {Nodes: 10},
		"LineSolver.Damping is 1.5":       {Damping: 1.5},
		"LineSolver.Tolerance is -1":      {Tolerance: -1},
		"LineSolver.MaxIterations is -1;": {MaxIterations: -1},
	} {
		if _, err := solver.Conjugate(rho); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", solver, err, want)
		}
	}
	if _, err := (Solver{}).Conjugate(uniform{}); err == nil || !strings.Contains(err.Error(), "must be positive on the whole line") {
		t.Errorf("a uniform law: error %v", err)
	}
}

// uniform is the uniform law on [−1, 1], which the solver refuses.
type uniform struct{}

func (uniform) LogPDF(x float64) float64 {
	if math.Abs(x) > 1 {
		return math.Inf(-1)
	}
	return -math.Ln2
}

func (uniform) LogLower(x float64) float64 { return math.Log(min(1, max(0, (1+x)/2))) }

func (uniform) LogUpper(x float64) float64 { return math.Log(min(1, max(0, (1-x)/2))) }

func (uniform) Mean() float64 { return 0 }

func (uniform) Variance() float64 { return 1. / 3 }

// The plain fixed point, η = 1, diverges when Var ρ > 1; damping converges.
func ExampleSolver() {
	rho, err := NewMixture(Component{.7, 0, 1.5}, Component{.3, 4, 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("Var ρ = %.2f\n", rho.Variance())
	for _, damping := range []float64{1, .5, 0} {
		w, err := Solver{Damping: damping, MaxIterations: 60}.Conjugate(rho)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("η = %g: converged %v, residual below 1e-8 %v\n", damping, w.Converged, w.Residual < 1e-8)
	}
	// Output:
	// Var ρ = 5.23
	// η = 1: converged false, residual below 1e-8 false
	// η = 0.5: converged true, residual below 1e-8 true
	// η = 0: converged true, residual below 1e-8 true
}
