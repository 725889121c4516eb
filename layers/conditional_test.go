package layers

import (
	"math"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"
)

var (
	_ Conditional           = (*ICNN)(nil)
	_ Conditional           = (*Conjugate)(nil)
	_ Conditional           = (*Quadratics)(nil)
	_ potential.Conditional = (*Evaluator)(nil)
	_ potential.Rowwise     = (*Evaluator)(nil)
)

// With contexts, the explicit gradient and Hessian–vector network are what reverse mode
// makes of the value, for one direction and for several.
func TestConditionalDerivatives(t *testing.T) {
	for _, unit := range units {
		for _, hidden := range []int{0, 4} {
			a := unit.everything(3, 5, 4)
			a.Context, a.ContextHidden, a.Float64 = 2, hidden, true
			m := single(t, a)
			const n, d = 4, 3
			s := graph.NewScope(tensor.Float64)
			x, v := points(s, n, d), s.Input("v", 2*n, d)
			w := m.Given(s, s.Input("c", n, 2))
			gv := s.Grad(s.Mul(s.Tile(2, s.Grad(w.Value(s, x), x)[0]), v), x)[0]
			p := compile(t, s, map[string]*gorgonia.Node{
				"g": w.Gradient(s, x), "grad": s.Grad(w.Value(s, x), x)[0], "hv": w.HessVec(s, x, v, 2), "sum": gv,
			})
			for i, name := range []string{"x", "v", "c"} {
				fillNormal(p.In(name), uint64(i))
			}
			run(t, p)
			for i := range n {
				for j := range d {
					if a, b := p.Out("g").At(i, j), p.Out("grad").At(i, j); math.Abs(a-b) > 1e-11*(1+math.Abs(a)) {
						t.Errorf("∇w[%d,%d]: explicit %v, reverse mode %v", i, j, a, b)
					}
					if a, b := p.Out("hv").At(i, j)+p.Out("hv").At(n+i, j), p.Out("sum").At(i, j); math.Abs(a-b) > 1e-11*(1+math.Abs(a)) {
						t.Errorf("Hv[%d,%d]: explicit %v, reverse mode %v", i, j, a, b)
					}
				}
			}
		}
	}
}

// The derivatives of the value in x and in every weight of the context are those of finite
// differences.
func TestConditionalFiniteDifferences(t *testing.T) {
	const n, d, k, h = 3, 2, 2, 1e-5
	m := single(t, Architecture{Dim: d, Hidden: []int{4, 3}, Context: k, ContextHidden: 3, Float64: true})
	s := graph.NewScope(tensor.Float64)
	x := points(s, n, d)
	w := m.Given(s, s.Input("c", n, k))
	loss := s.Add(s.Sum(w.Value(s, x)), s.Sum(s.Square(w.Gradient(s, x))))
	out := map[string]*gorgonia.Node{"loss": loss}
	trained := m.Params().Trained()
	nodes := []*gorgonia.Node{x}
	for _, p := range trained {
		nodes = append(nodes, s.Param(p))
	}
	for i, g := range s.Grad(loss, nodes...) {
		if g == nil {
			t.Fatalf("the loss does not depend on %v", nodes[i])
		}
		if i == 0 {
			out["x"] = g
		} else {
			out[trained[i-1].Name] = g
		}
	}
	p := compile(t, s, out)
	fillNormal(p.In("x"), 1)
	fillNormal(p.In("c"), 2)
	check := func(name string, values []float64) {
		run(t, p)
		explicit := p.Out(name)
		want := make([]float64, len(values))
		for i := range want {
			want[i] = explicit.At(i/explicit.Cols, i%explicit.Cols)
		}
		for i, v := range values {
			var side [2]float64
			for j, step := range []float64{h, -h} {
				values[i] = v + step
				run(t, p)
				side[j] = p.Out("loss").At(0, 0)
			}
			values[i] = v
			if got := (side[0] - side[1]) / (2 * h); math.Abs(got-want[i]) > 1e-6*(1+math.Abs(got)) {
				t.Errorf("∂/∂%s[%d] is %v, by differences %v", name, i, want[i], got)
			}
		}
	}
	check("x", p.In("x").F64)
	for _, w := range trained {
		check(w.Name, w.Float64s())
	}
}

// Whatever the weights and the contexts, w is convex in x along every segment.
func TestConditionalConvexity(t *testing.T) {
	const n = 8
	rapid.Check(t, func(rt *rapid.T) {
		d, k := rapid.IntRange(1, 3).Draw(rt, "d"), rapid.IntRange(1, 3).Draw(rt, "k")
		m := single(t, Architecture{
			Dim: d, Context: k, ContextHidden: rapid.IntRange(0, 3).Draw(rt, "features"),
			Hidden: rapid.SliceOfN(rapid.IntRange(1, 5), 1, 3).Draw(rt, "hidden"),
			Unit:   rapid.SampledFrom([]Unit{Softplus, Maximum}).Draw(rt, "unit"),
			Full:   rapid.Bool().Draw(rt, "full"), DiagonalSkips: rapid.Bool().Draw(rt, "diagonal skips"),
			Float64: true,
		})
		r := random.Seeded(rapid.Uint64().Draw(rt, "seed"), 1)
		scale := rapid.Float64Range(.1, 2).Draw(rt, "scale")
		for _, p := range m.Params().All() {
			p.Fill(func(int) float64 { return scale * r.NormFloat64() })
		}
		m.Floor.Fill(func(int) float64 { return math.Abs(r.NormFloat64()) })
		m.Project()
		s := graph.NewScope(tensor.Float64)
		x, c := points(s, 3*n, d), s.Input("c", 3*n, k)
		p := compile(t, s, map[string]*gorgonia.Node{"w": m.Given(s, c).Value(s, x)})
		in, contexts := p.In("x").F64, p.In("c").F64
		ts := make([]float64, n)
		for i := range n {
			ts[i] = r.Float64()
			for j := range d {
				a, b := 3*r.NormFloat64(), 3*r.NormFloat64()
				in[i*d+j], in[(n+i)*d+j], in[(2*n+i)*d+j] = a, b, ts[i]*a+(1-ts[i])*b
			}
			for j := range k {
				v := 3 * r.NormFloat64()
				contexts[i*k+j], contexts[(n+i)*k+j], contexts[(2*n+i)*k+j] = v, v, v
			}
		}
		run(t, p)
		w := p.Out("w")
		for i := range n {
			a, b := w.At(i, 0), w.At(n+i, 0)
			if above := w.At(2*n+i, 0) - ts[i]*a - (1-ts[i])*b; above > 1e-12*(1+math.Abs(a)+math.Abs(b)) {
				rt.Fatalf("w lies %v above its chord", above)
			}
		}
	})
}

// linearData is x = Kc + noise in the plane with contexts of two numbers.
func linearData(t testing.TB, n int) (x, c blas32.General) {
	t.Helper()
	r := random.New(1, "linear", 0)
	c, x = batch.New(n, 2), batch.New(n, 2)
	r.Normals(c.Data)
	for i := range n {
		a, at := batch.Row(c, i), batch.Row(x, i)
		e, f := r.NormFloat64(), r.NormFloat64()
		at[0] = float32(.5 + float64(a[0]) - .3*float64(a[1]) + .7*e)
		at[1] = float32(-.2 + .4*float64(a[1]) + .3*e + .9*f)
	}
	return x, c
}

// Every hidden feature bends at a context of the data.
func TestFeaturesBendInTheData(t *testing.T) {
	x, c := linearData(t, 300)
	for i := range c.Rows {
		batch.Row(c, i)[0] += 7 // far from 0, where features without the data would bend
	}
	given, err := exact.Regress(x, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := single(t, Architecture{Dim: 2, Hidden: []int{4}, Context: 2, ContextHidden: 8})
	if err := (Start{Given: given, Contexts: c}).Init(m, x, random.New(1, "init", 0)); err != nil {
		t.Fatal(err)
	}
	f := m.context
	for j := range f.Features.Cols {
		least := math.Inf(1)
		for i := range c.Rows {
			a := f.Bias.At(j)
			for k, v := range batch.Row(c, i) {
				a += f.Features.At(k*f.Features.Cols+j) * (float64(v) - f.Mean.At(k)) * f.Scale.At(k)
			}
			least = min(least, math.Abs(a))
		}
		if least > 1e-5 {
			t.Errorf("feature %d comes no nearer to 0 than %g", j, least)
		}
	}
}

// A start whose quadratic has the whole curvature is the closed form of the Gaussian given
// every context; with hinges, the data's images under ∇w(·; c) have its mean.
func TestConditionalStart(t *testing.T) {
	x, c := linearData(t, 4000)
	given, err := exact.Regress(x, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []Architecture{
		{Dim: 2, Hidden: []int{16}, Context: 2, Full: true},
		{Dim: 2, Hidden: []int{16, 8}, Context: 2, ContextHidden: 8, Rotated: true},
	} {
		m, err := NewICNN(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, share := range []float64{1, .2} {
			if err := (Start{Given: given, Contexts: c, Share: share}).Init(m, x, random.New(1, "init", 0)); err != nil {
				t.Fatal(err)
			}
			const n = 200
			w, err := evaluator(t, m).Given(batch.First(c, n))
			if err != nil {
				t.Fatal(err)
			}
			image := batch.New(n, 2)
			if err := w.Eval(batch.First(x, n), nil, image); err != nil {
				t.Fatal(err)
			}
			centers, err := given.Centers(batch.First(c, n))
			if err != nil {
				t.Fatal(err)
			}
			var gap [2]float64
			for i := range n {
				law, err := given.Given(batch.Row(c, i))
				if err != nil {
					t.Fatal(err)
				}
				at := make([]float64, 2)
				batch.Widen(at, batch.Row(x, i))
				_, want, err := law.ConjugateMoment().At(at)
				if err != nil {
					t.Fatal(err)
				}
				for j, v := range batch.Row(image, i) {
					gap[j] += float64(v-batch.Row(centers, i)[j]) / n
					if share == 1 && math.Abs(float64(v)-want[j]) > 1e-4 {
						t.Errorf("∇w of row %d along axis %d is %v; the closed form has %v", i, j, v, want[j])
					}
				}
			}
			if math.Hypot(gap[0], gap[1]) > .25 { // of 200 points of deviation about 1
				t.Errorf("share %g: images of the data are %v from the mean of the noise", share, gap)
			}
		}
	}
}

// What a start with contexts cannot have is refused, each for itself.
func TestConditionalStartRefuses(t *testing.T) {
	x, c := linearData(t, 100)
	given, err := exact.Regress(x, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := exact.Regress(x, blas32.General{Rows: c.Rows, Cols: 1, Stride: c.Stride, Data: c.Data}, 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewICNN(Architecture{Dim: 2, Hidden: []int{4}, Context: 2})
	if err != nil {
		t.Fatal(err)
	}
	for want, starts := range map[string][]Start{
		"needs a regression of the data":         {{Contexts: c}, {Contexts: c, Given: narrow}},
		"with a given source or noise that is c": {{Contexts: c, Given: given, Source: exact.StandardGaussian(2)}, {Contexts: c, Given: given, Carry: .2}},
	} {
		for _, start := range starts {
			if err := start.Init(m, x, random.New(1, "init", 0)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v; want one that says %q", err, want)
			}
		}
	}
}

// Rows keep their contexts in any subset, in any order, and beyond one chunk; one context
// serves all rows.
func TestEvaluatorGiven(t *testing.T) {
	m := single(t, Architecture{Dim: 2, Hidden: []int{5, 4}, Context: 3, ContextHidden: 4})
	q, err := NewQuadratics(Architecture{Dim: 2, Pieces: 6, Tau: .5, Context: 3, ContextHidden: 4})
	if err != nil {
		t.Fatal(err)
	}
	r := random.Seeded(1, 1)
	for _, p := range q.Params().All() {
		p.Fill(func(int) float64 { return math.Abs(.5 * r.NormFloat64()) })
	}
	for name, w := range map[string]Network{"icnn": m, "quadratics": NewConjugate(q)} {
		t.Run(name, func(t *testing.T) { checkEvaluatorGiven(t, w) })
	}
}

func checkEvaluatorGiven(t *testing.T, m Network) {
	const n, d = 700, 2
	e, err := NewEvaluator(m)
	if err != nil {
		t.Fatal(err)
	}
	x, c := normals(1, n, d, 0), normals(2, n, 3, 0)
	w, err := e.Given(c)
	if err != nil {
		t.Fatal(err)
	}
	all, grad := make([]float32, n), batch.New(n, d)
	if err := w.Eval(x, all, grad); err != nil {
		t.Fatal(err)
	}
	rows := []int{650, 3, 3, 17}
	some := make([]float32, len(rows))
	if err := w.Of(rows).Of([]int{0, 1, 2, 3}).Eval(batch.Gathered(x, rows), some, blas32.General{}); err != nil {
		t.Fatal(err)
	}
	one, err := e.Given(batch.Gathered(c, []int{17}))
	if err != nil {
		t.Fatal(err)
	}
	same := make([]float32, n)
	if err := one.Eval(x, same, blas32.General{}); err != nil {
		t.Fatal(err)
	}
	for k, i := range rows {
		if some[k] != all[i] {
			t.Errorf("row %d has the value %v among others and %v among all", i, some[k], all[i])
		}
	}
	if same[17] != all[17] {
		t.Errorf("row 17 has the value %v, and with one context for all %v", all[17], same[17])
	}
	if e.Explicit() {
		conjugate := batch.New(n, d)
		if err := w.(*Evaluator).EvalConjugate(grad, nil, conjugate); err != nil {
			t.Fatal(err)
		}
		if off := differ(conjugate.Data, x.Data); off > 1e-3 {
			t.Errorf("∇φ(∇w(x)) is off by %g", off)
		}
		part := batch.New(len(rows), d)
		if err := w.Of(rows).(*Evaluator).EvalConjugate(batch.Gathered(grad, rows), nil, part); err != nil {
			t.Fatal(err)
		}
		if off := differ(part.Data, batch.Gathered(conjugate, rows).Data); off > 0 {
			t.Errorf("∇φ of some rows is off by %g", off)
		}
	}
	h, err := potential.MeanHessian(w, x)
	if err != nil {
		t.Fatal(err)
	}
	if mat.Det(h) <= 0 {
		t.Errorf("the mean Hessian has the determinant %v", mat.Det(h))
	}
	// By products along axes it is the same.
	axis, product := batch.New(n, d), batch.New(n, d)
	for j := range d {
		for i := range n {
			clear(batch.Row(axis, i))
			batch.Row(axis, i)[j] = 1
		}
		if err := w.HessVec(x, axis, product); err != nil {
			t.Fatal(err)
		}
		for k, v := range batch.Means(product) {
			if math.Abs(h.At(j, k)-v) > 1e-3*(1+math.Abs(v)) {
				t.Errorf("entry (%d, %d) of the mean Hessian is %v, by products %v", j, k, h.At(j, k), v)
			}
		}
	}
	for name, err := range map[string]error{
		"give them by Given":               e.Eval(x, all, blas32.General{}),
		"699 points with 700 contexts":     w.Eval(batch.First(x, n-1), nil, batch.First(grad, n-1)),
		"contexts of shape (700, 2)":       errOf(e.Given(x)),
		"no curvature estimates":           errOf(NewCurvature(m)),
		"hidden features of contexts with": errOf(NewICNN(Architecture{Dim: 1, Hidden: []int{1}, ContextHidden: 1})),
		"contexts beside convolutions":     errOf(New(Architecture{Dim: 4, Context: 1, Picture: [3]int{2, 2, 1}, Convolutions: []Convolution{{2, 1, 1, 0}}})),
		"classes are contexts of":          errOf(NewICNN(Architecture{Dim: 4, Context: 1, Hidden: []int{1}, Classes: true})),
		"needs a regression":               Start{Contexts: c}.Init(m, x, random.New(1, "init", 0)),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v; want one that says %q", err, name)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }
