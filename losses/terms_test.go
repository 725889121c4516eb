package losses

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// quadratic is ½Σ_k t_k·x_k² as an ICNN whose only weights that are not 0 are
// the shares t.
func quadratic(t testing.TB, shares ...float64) *layers.ICNN {
	t.Helper()
	m, err := layers.NewICNN(layers.Architecture{Dim: len(shares), Hidden: []int{1}, Float64: true})
	if err != nil {
		t.Fatal(err)
	}
	m.Share.Fill(func(k int) float64 { return shares[k] })
	return m
}

// compiled is the program of one term, and fillIn writes the rows of an input.
func compiled(t testing.TB, m layers.Potential, term Term, n int) *graph.Program {
	t.Helper()
	p, _, err := Compile(m, Sum{{1, term}}, n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fillIn(p *graph.Program, name string, values ...float64) { copy(p.In(name).F64, values) }

func value(t testing.TB, p *graph.Program) float64 {
	t.Helper()
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return p.Out("loss").At(0, 0)
}

// potentialAt gives w and ∇w at the rows of x, by a separate program.
func potentialAt(t testing.TB, m layers.Potential, x []float64) (w, g []float64) {
	t.Helper()
	s := graph.NewScope(m.Params().Dtype())
	in := s.Input("x", len(x)/m.Dim(), m.Dim())
	p, err := s.Compile(map[string]*gorgonia.Node{"w": m.Value(s, in), "g": m.Gradient(s, in)})
	if err != nil {
		t.Fatal(err)
	}
	copy(p.In("x").F64, x)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(p.Out("w").F64), slices.Clone(p.Out("g").F64)
}

func near(t testing.TB, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-11*(1+math.Abs(want))) {
		t.Errorf("%s is %.15g, want %.15g", what, got, want)
	}
}

// For ρ = N(0, σ²), w = ½tx² and y of variance 1/t, as under 𝔓_w, the likelihood is stationary
// at the closed form t = σ^{-2/3} and nowhere else.
func TestLikelihoodOfGaussian(t *testing.T) {
	const sigma = 3.
	truth := math.Pow(sigma, -2./3)
	for _, curvature := range []float64{truth, .5 * truth, 2 * truth} {
		p := compiled(t, quadratic(t, curvature), Likelihood{}, 2)
		sd := 1 / math.Sqrt(curvature)
		fillIn(p, solvers.BatchData.Name, sigma, -sigma)
		fillIn(p, solvers.BatchGibbs.Name, sd, -sd)
		cube := math.Pow(curvature, 3)
		near(t, "the value", value(t, p), cube*sigma*sigma/2-math.Log(curvature)-.5)
		slope := p.Out("gradient quadratic.share").At(0, 0)
		near(t, "the gradient", slope, 1.5*curvature*curvature*sigma*sigma-1.5/curvature)
		if curvature != truth && math.Abs(slope) < .1 {
			t.Errorf("at t = %g, the truth being %g, the gradient is %g", curvature, truth, slope)
		}
	}
}

// Averaged over all signs v, with u = H⁻¹v, the gradient of the surrogate is that of the
// likelihood; its value differs by the log-determinant minus d.
func TestLikelihoodCG(t *testing.T) {
	const d, n = 3, 8
	m := network(t, d, true)
	exact, surrogate := compiled(t, m, Likelihood{}, n), compiled(t, m, LikelihoodCG{}, n)
	s := graph.NewScope(m.Params().Dtype())
	x := s.Input("x", n, d)
	inverse := s.InverseSPD(d, layers.Hessian(s, m, x))
	h, err := s.Compile(map[string]*gorgonia.Node{"inverse": inverse})
	if err != nil {
		t.Fatal(err)
	}
	at := []float64{.3, -.8, .5}
	for i := range n {
		for _, in := range []graph.Matrix{exact.In(solvers.BatchData.Name), surrogate.In(solvers.BatchData.Name), h.In("x")} {
			copy(in.F64[i*d:(i+1)*d], at)
		}
		for j := range d {
			surrogate.In(solvers.BatchProbe.Name).F64[i*d+j] = float64(2*(i>>j&1) - 1)
			exact.In(solvers.BatchGibbs.Name).F64[i*d+j] = math.Sin(float64(i + 3*j))
		}
	}
	copy(surrogate.In(solvers.BatchGibbs.Name).F64, exact.In(solvers.BatchGibbs.Name).F64)
	if err := h.Run(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		for j := range d {
			var u float64
			for k := range d {
				u += h.Out("inverse").At(i, j*d+k) * surrogate.In(solvers.BatchProbe.Name).At(i, k)
			}
			surrogate.In(solvers.BatchSolved.Name).F64[i*d+j] = u
		}
	}
	value(t, exact)
	got := value(t, surrogate)
	for _, p := range m.Params().Trained() {
		for i, want := range exact.Out(gradient(p)).F64 {
			near(t, "the gradient in "+p.Name, surrogate.Out(gradient(p)).F64[i], want)
		}
	}
	_, g := potentialAt(t, m, at)
	energy, _ := potentialAt(t, m, g)
	noise, _ := potentialAt(t, m, exact.In(solvers.BatchGibbs.Name).F64)
	var mean float64
	for _, w := range noise {
		mean += w / n
	}
	near(t, "the surrogate's value", got, energy[0]-d-mean)
}

// The surrogate is not reported under the term's name.
func TestLikelihoodCGIsNotCalledLikelihood(t *testing.T) {
	sum := sum(t, "dual+likelihood-cg")
	o, err := NewObjective(potential(t, false), sum, 4)
	if err != nil {
		t.Fatal(err)
	}
	_, terms, err := o.Gradient(batches(sum, 4, 3))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := terms["likelihood-cg-surrogate"]; !ok || len(terms) != 2 {
		t.Errorf("terms %v", terms)
	}
}

// sinkhorn is pairs with barycentres as partners.
func TestSinkhorn(t *testing.T) {
	m := potential(t, true)
	a, b := compiled(t, m, Sinkhorn{}, 4), compiled(t, m, Pairs{}, 4)
	fill(a, sum(t, "sinkhorn"))
	copy(b.In(solvers.BatchData.Name).F64, a.In(solvers.BatchData.Name).F64)
	copy(b.In(solvers.BatchPaired.Name).F64, a.In(solvers.BatchBarycentre.Name).F64)
	near(t, "the loss", value(t, a), value(t, b))
}

// For w = ½x², ⟨x,y⟩ − w(x) − w*(y) is −½(x−y)². If a conjugate solve stops too early, w* is
// smaller, and the pair violates Fenchel–Young.
func TestENOT(t *testing.T) {
	p := compiled(t, quadratic(t, 1), ENOT{}, 3)
	fillIn(p, solvers.BatchMask.Name, .5, .5, 0)
	fillIn(p, solvers.BatchData.Name, 1, 2, 5)
	fillIn(p, solvers.BatchGibbs.Name, 3, 2, 7)
	fillIn(p, solvers.BatchConjugate.Name, 3, 0, -4)
	near(t, "the loss", value(t, p), .5*.01*2*2+.5*.99*2*2)
	// The violation at x = 2 asks for a larger w there than at x̂ = 0.
	slope := p.Out("gradient quadratic.share").At(0, 0)
	near(t, "the gradient", slope, .5*.01*2*-2*(.5*9-.5*1)+.5*.99*2*2*(0-.5*4))
}

// The loss is 0 if the image of the data has the moments of y, and |a|² if the image is
// shifted by a. If it is twice as wide, the loss is that of the covariances.
func TestMoments(t *testing.T) {
	const n, d = 6, 3
	m := potential(t, true)
	p := compiled(t, m, Moments{}, n)
	fill(p, sum(t, "moments"))
	_, g := potentialAt(t, m, p.In(solvers.BatchData.Name).F64)
	copy(p.In(solvers.BatchGibbs.Name).F64, g)
	slices.Reverse(p.In(solvers.BatchGibbs.Name).F64) // the rows in another order …
	for i := range n {
		slices.Reverse(p.In(solvers.BatchGibbs.Name).F64[i*d : (i+1)*d]) // … and no more
	}
	near(t, "the loss at equal moments", value(t, p), 0)
	for i := range n {
		p.In(solvers.BatchGibbs.Name).F64[i*d] += 3
		p.In(solvers.BatchGibbs.Name).F64[i*d+1] -= 4
	}
	near(t, "the loss at a shift", value(t, p), 25)

	q := compiled(t, quadratic(t, 2), Moments{}, 2)
	fillIn(q, solvers.BatchData.Name, 1, -1)
	fillIn(q, solvers.BatchGibbs.Name, 1, -1)
	near(t, "the loss at variances 4 and 1", value(t, q), 9)
}

// The loss of a quadratic is 0. A softplus is straight beyond the data and has the loss of the
// formula; adding a quadratic lowers it.
func TestGrowth(t *testing.T) {
	q := compiled(t, quadratic(t, .3, 5), Growth{}, 4)
	fill(q, sum(t, "growth"))
	near(t, "the loss of a quadratic", value(t, q), 0)

	m := quadratic(t, 0)
	m.Out.Fill(func(int) float64 { return 1 })
	m.Layers[0][0].Skip.Fill(func(int) float64 { return 2 })
	p := compiled(t, m, Growth{}, 4)
	points := []float64{-2, -1, 1, 2}
	fillIn(p, solvers.BatchData.Name, points...)
	slope := func(x float64) float64 { return 2 / (1 + math.Exp(-2*x)) }
	var lack, scale float64
	for _, x := range points {
		a := (slope(x) - slope(0)) * x
		b := (slope(1.5*x) - slope(x)) * x / .5
		lack += math.Pow(max(a-b, 0), 2)
		scale += a * a
	}
	loss := value(t, p)
	near(t, "the loss of a softplus", loss, lack/scale)
	m.Share.Fill(func(int) float64 { return .5 })
	if helped := value(t, p); !(helped < .8*loss && helped > 0) {
		t.Errorf("a quadratic beside the softplus brings the loss from %g to %g", loss, helped)
	}
}

// The penalty counts only the negative entries of W_l, and frees only W_l from the projection.
func TestPenalty(t *testing.T) {
	m := potential(t, true)
	m.Out.Set(0, -7)
	var want float64
	m.Layers[1][0].Weigh.Fill(func(i int) float64 {
		v := float64(i%5) - 3
		want += math.Pow(min(v, 0), 2)
		return v
	})
	near(t, "the loss", value(t, compiled(t, m, Penalty{}, 3)), want)

	for spec, free := range map[string]string{"dual": "", "dual+10*penalty": "layer1.weight"} {
		m := potential(t, false)
		o, err := NewObjective(m, sum(t, spec), 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range o.Weights() {
			if want := m.Params().ByName(w.Name).NonNegative && w.Name != free; w.NonNegative != want {
				t.Errorf("%s: weight %s is projected: %v", spec, w.Name, w.NonNegative)
			}
		}
	}
	if _, err := NewObjective(flat(t), sum(t, "dual+penalty"), 3); err == nil || !strings.Contains(err.Error(), "two or more hidden layers") {
		t.Errorf("a network of one hidden layer: %v", err)
	}
}

// flat is a float32 network of one hidden layer.
func flat(t testing.TB) *layers.ICNN {
	t.Helper()
	m, err := layers.NewICNN(layers.Architecture{Dim: 3, Hidden: []int{4}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
