package layers

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"
)

// softMaximum is a float64 soft maximum of quadratics in general position.
func softMaximum(t testing.TB, a Architecture) *Quadratics {
	t.Helper()
	a.Float64 = true
	q, err := NewQuadratics(a)
	if err != nil {
		t.Fatal(err)
	}
	r := random.Seeded(4, 9)
	for _, p := range q.Params().Trained() {
		p.Fill(func(int) float64 { return .6 * r.NormFloat64() })
	}
	q.Floor.Set(0, .3)
	if c := q.context; c != nil && c.Gates != nil {
		c.Gates.Fill(func(int) float64 { return r.NormFloat64() })
	} else if c != nil {
		c.Mean.Fill(func(int) float64 { return r.NormFloat64() })
		c.Scale.Fill(func(int) float64 { return .5 + r.Float64() })
	}
	return q
}

var maxima = []Architecture{
	{Dim: 3, Pieces: 1}, {Dim: 3, Pieces: 4, Tau: .7}, {Dim: 3, Pieces: 5, Rank: 2, Tau: .3},
	{Dim: 3, Pieces: 4, Tau: .7, Context: 2, ContextHidden: 3}, {Dim: 3, Pieces: 5, Rank: 2, Tau: .3, Context: 3, Classes: true},
	{Dim: 36, Pieces: 3, Rank: 2}, {Dim: 36, Pieces: 3, Rank: 2, Context: 2},
}

// conditionally is the potential given contexts of n rows, or m itself if it has none.
func conditionally(s *graph.Scope, m Conditional, n int) Potential {
	if m.Contexts() == 0 {
		return m
	}
	return m.Given(s, s.Constant("contexts", n, m.Contexts(), func(i, j int) float64 { return math.Sin(float64(1 + 3*i + 7*j)) }))
}

// The explicit derivatives of φ and of w = φ* are what reverse mode makes of their
// values; for w that is the solve's derivative in x.
func TestQuadraticsExplicitDerivatives(t *testing.T) {
	for _, a := range maxima {
		q := softMaximum(t, a)
		for name, m := range map[string]Conditional{"φ": q, "w": NewConjugate(q)} {
			n, d := 4, a.Dim
			s := graph.NewScope(tensor.Float64)
			m := conditionally(s, m, n)
			x, v := points(s, n, d), s.Input("v", 2*n, d)
			sumOver := s.Grad(s.Mul(s.Tile(2, s.Grad(m.Value(s, x), x)[0]), v), x)[0]
			byGradient := s.Grad(s.Mul(s.Tile(2, m.Gradient(s, x)), v), x)[0]
			hv := m.HessVec(s, x, v, 2)
			p := compile(t, s, map[string]*gorgonia.Node{
				"explicit ∇": m.Gradient(s, x), "reverse ∇": s.Grad(m.Value(s, x), x)[0],
				"explicit Hv": s.Unstack(2, hv), "reverse Hv": sumOver, "Hv by ∇": byGradient,
			})
			fillNormal(p.In("x"), 1)
			fillNormal(p.In("v"), 2)
			run(t, p)
			for i := range n {
				for j := range d {
					sum := p.Out("explicit Hv").At(i, j) + p.Out("explicit Hv").At(i, d+j)
					for what, pair := range map[string][2]float64{
						"∇":       {p.Out("explicit ∇").At(i, j), p.Out("reverse ∇").At(i, j)},
						"Hv":      {sum, p.Out("reverse Hv").At(i, j)},
						"Hv by ∇": {sum, p.Out("Hv by ∇").At(i, j)},
					} {
						if math.Abs(pair[0]-pair[1]) > 1e-8*(1+math.Abs(pair[0])) {
							t.Fatalf("%+v, %s, %s[%d,%d]: explicit %v, reverse mode %v", a, name, what, i, j, pair[0], pair[1])
						}
					}
				}
			}
		}
	}
}

// Losses on w and on its first three derivatives in x: their gradients in the
// weights of φ against central differences.
func TestConjugateFiniteDifferences(t *testing.T) {
	if testing.Short() {
		t.Skip("slow under the race detector, and of one thread")
	}
	for _, a := range maxima[:5] {
		q := softMaximum(t, a)
		w, d := NewConjugate(q), a.Dim
		given := func(s *graph.Scope) *Conjugate { return conditionally(s, w, 5).(*Conjugate) }
		c := func(s *graph.Scope, n *gorgonia.Node, k int) *gorgonia.Node {
			weights := s.Constant(fmt.Sprint("weights ", k), n.Shape()[0], n.Shape()[1], func(i, j int) float64 { return math.Cos(float64(3*i + 5*j + k)) })
			return s.Sum(s.Mul(n, weights))
		}
		residual := func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
			w := given(s)
			return s.Sub(s.LogDet(d, Hessian(s, w, x)), w.Value(s, w.Gradient(s, x)))
		}
		for name, loss := range map[string]func(s *graph.Scope) *gorgonia.Node{
			"value":       func(s *graph.Scope) *gorgonia.Node { return c(s, given(s).Value(s, points(s, 5, d)), 1) },
			"at solution": func(s *graph.Scope) *gorgonia.Node { return c(s, given(s).ValueAtSolution(s, points(s, 5, d)), 1) },
			"gradient":    func(s *graph.Scope) *gorgonia.Node { return c(s, s.Square(given(s).Gradient(s, points(s, 5, d))), 2) },
			"log det":     func(s *graph.Scope) *gorgonia.Node { return s.Mean(s.Square(residual(s, points(s, 5, d)))) },
			"slope of log det": func(s *graph.Scope) *gorgonia.Node {
				x := points(s, 5, d)
				return s.Mean(s.Square(s.Grad(residual(s, x), x)[0]))
			},
		} {
			if worst, weight := worstGradient(t, w, loss); worst > 1e-6 {
				t.Errorf("%+v, loss on the %s: relative error %.2g in %s; want ≤ 1e-6", a, name, worst, weight)
			}
		}
	}
}

// w and φ satisfy Fenchel–Young with equality at y = ∇w(x), in float32 too.
func TestConjugateEvaluator(t *testing.T) {
	for _, a := range maxima {
		of := a
		of.Family = NetworkQuadratics
		w, err := New(of)
		if err != nil {
			t.Fatal(err)
		}
		q := softMaximum(t, a)
		for i, p := range w.Params().All() {
			p.Fill(func(k int) float64 { return q.Params().All()[i].At(k) })
		}
		e, err := NewEvaluator(w)
		if err != nil {
			t.Fatal(err)
		}
		const n = 50
		if k := a.Context; k > 0 {
			contexts := normals(7, n, k, 0)
			blas32.Scal(.3, blas32.Vector{N: n * k, Inc: 1, Data: contexts.Data})
			given, err := e.Given(contexts)
			if err != nil {
				t.Fatal(err)
			}
			e = given.(*Evaluator)
		}
		x := normals(6, n, a.Dim, 0)
		for i := range x.Data {
			x.Data[i] *= 3
		}
		y, back := batch.New(n, a.Dim), batch.New(n, a.Dim)
		value, conjugate := make([]float32, n), make([]float32, n)
		if err := e.Eval(x, value, y); err != nil {
			t.Fatal(err)
		}
		if err := e.EvalConjugate(y, conjugate, back); err != nil {
			t.Fatal(err)
		}
		size := 20.0 // of ∇w(x), of which a solve leaves a part
		for _, v := range y.Data {
			size = max(size, math.Abs(float64(v)))
		}
		for i := range n {
			inner := 0.0
			for j := range a.Dim {
				inner += float64(x.Data[i*a.Dim+j]) * float64(y.Data[i*a.Dim+j])
				if off := math.Abs(float64(back.Data[i*a.Dim+j] - x.Data[i*a.Dim+j])); off > 1e-4*size {
					t.Fatalf("%+v: ∇φ(∇w(x)) is off by %g; images go up to %g", a, off, size)
				}
			}
			if off := math.Abs(float64(value[i]+conjugate[i]) - inner); off > 1e-4*(1+math.Abs(inner)) {
				t.Errorf("%+v: w(x) + φ(y) − ⟨x,y⟩ = %g", a, off)
			}
		}
	}
}

func TestQuadraticsErrors(t *testing.T) {
	for want, a := range map[string]Architecture{
		"dimension 0":                    {Pieces: 2},
		"of 0 quadratics":                {Dim: 2},
		"rank 3 on ℝ^2":                  {Dim: 2, Pieces: 2, Rank: 3},
		"τ = -1":                         {Dim: 2, Pieces: 2, Tau: -1},
		"no parts but Pieces, Rank and ": {Dim: 2, Pieces: 2, Hidden: []int{3}},
		`family "cubics"`:                {Dim: 2, Pieces: 2, Family: "cubics"},
		"classes are contexts of":        {Dim: 2, Pieces: 2, Classes: true},
		"2 quadratics for 3 classes":     {Dim: 2, Pieces: 2, Context: 3, Classes: true},
	} {
		if a.Family == "" {
			a.Family = NetworkQuadratics
		}
		if _, err := New(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want one that says %q", a, err, want)
		}
	}
}

// Whatever the weights and the contexts, φ and w = φ* are convex along every segment.
func TestQuadraticsGivenConvexity(t *testing.T) {
	const n = 8
	rapid.Check(t, func(rt *rapid.T) {
		a := Architecture{
			Dim: rapid.IntRange(1, 3).Draw(rt, "d"), Pieces: rapid.IntRange(3, 6).Draw(rt, "pieces"), Tau: rapid.Float64Range(.05, 2).Draw(rt, "τ"),
			Context: rapid.IntRange(1, 3).Draw(rt, "k"), Classes: rapid.Bool().Draw(rt, "classes"), Float64: true,
		}
		if !a.Classes {
			a.ContextHidden = rapid.IntRange(0, 3).Draw(rt, "features")
		}
		q, err := NewQuadratics(a)
		if err != nil {
			rt.Fatal(err)
		}
		r := random.Seeded(rapid.Uint64().Draw(rt, "seed"), 1)
		scale := rapid.Float64Range(.1, .6).Draw(rt, "scale")
		for _, p := range q.Params().All() {
			p.Fill(func(int) float64 { return scale * r.NormFloat64() })
		}
		q.Floor.Set(0, .1+math.Abs(r.NormFloat64()))
		if !a.Classes {
			q.context.Scale.Fill(func(int) float64 { return .5 })
		}
		d, k := a.Dim, a.Context
		s := graph.NewScope(tensor.Float64)
		x, c := points(s, 3*n, d), s.Input("c", 3*n, k)
		p := compile(t, s, map[string]*gorgonia.Node{"φ": q.Given(s, c).Value(s, x), "w": NewConjugate(q).Given(s, c).Value(s, x)})
		in, contexts, ts := p.In("x").F64, p.In("c").F64, make([]float64, n)
		for i := range n {
			ts[i] = r.Float64()
			for j := range d {
				a, b := 2*r.NormFloat64(), 2*r.NormFloat64()
				in[i*d+j], in[(n+i)*d+j], in[(2*n+i)*d+j] = a, b, ts[i]*a+(1-ts[i])*b
			}
			for j := range k {
				v := 2 * r.NormFloat64()
				contexts[i*k+j], contexts[(n+i)*k+j], contexts[(2*n+i)*k+j] = v, v, v
			}
		}
		run(t, p)
		for name, value := range map[string]graph.Matrix{"φ": p.Out("φ"), "w": p.Out("w")} {
			for i := range n {
				a, b := value.At(i, 0), value.At(n+i, 0)
				if above := value.At(2*n+i, 0) - ts[i]*a - (1-ts[i])*b; !(above <= 1e-7*(1+math.Abs(a)+math.Abs(b))) {
					rt.Fatalf("%s lies %v above its chord", name, above)
				}
			}
		}
	})
}
