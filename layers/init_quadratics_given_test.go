package layers

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// One quadratic with contexts is the closed form of the Gaussian given every context, for
// either source of noise.
func TestOneQuadraticIsTheRegression(t *testing.T) {
	x, c := linearData(t, 2000)
	given, err := exact.Regress(x, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, gaussian := range []bool{false, true} {
		o := Start{Given: given, Contexts: c, Gaussian: gaussian}
		_, e := startedQuadratics(t, o, Architecture{Pieces: 1, Context: 2, ContextHidden: 3}, x)
		at := batch.First(c, 50)
		y, want, err := o.ParticlesGiven(at, random.New(2, "points", 0))
		if err != nil {
			t.Fatal(err)
		}
		if off := differ(made(t, e, at, y).Data, want.Data); off > 1e-5 {
			t.Errorf("N(0, I) %t: ∇w* is off by %g, relative; want ≤ 1e-5", gaussian, off)
		}
	}
}

// made are the points ∇w*(y_i; c_i).
func made(t testing.TB, e *Evaluator, c, y blas32.General) blas32.General {
	t.Helper()
	w, err := e.Given(c)
	if err != nil {
		t.Fatal(err)
	}
	x := batch.New(y.Rows, y.Cols)
	if err := w.(*Evaluator).EvalConjugate(y, nil, x); err != nil {
		t.Fatal(err)
	}
	return x
}

// Two branches whose places and shares depend on the context: at every context the start
// maps the noise onto both, in their shares.
func TestQuadraticsStartOnBranches(t *testing.T) {
	const n = 8000
	share := func(c float64) float64 { return 1 / (1 + math.Exp(-1.5*c)) }
	place := func(c float64) float64 { return 3 + c }
	rng := random.New(1, "branches", 0)
	x, c := batch.New(n, 2), batch.New(n, 1)
	for i := range n {
		at, side := rng.NormFloat64(), 1.
		if rng.Float64() > share(at) {
			side = -1
		}
		c.Data[i] = float32(at)
		x.Data[2*i] = float32(side*place(at) + .3*rng.NormFloat64())
		x.Data[2*i+1] = float32(.3 * rng.NormFloat64())
	}
	given, err := exact.Regress(x, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []Architecture{{Pieces: 2, Tau: .05, Context: 1}, {Pieces: 6, Tau: .05, Context: 1}, {Pieces: 2, Rank: 1, Tau: .05, Context: 1}} {
		o := Start{Given: given, Contexts: c, Gaussian: true}
		_, e := startedQuadratics(t, o, a, x)
		for _, at := range []float32{-1, 0, 1} {
			contexts := batch.New(1000, 1)
			for i := range contexts.Data {
				contexts.Data[i] = at
			}
			y, _, err := o.ParticlesGiven(contexts, random.New(3, "noise", 0))
			if err != nil {
				t.Fatal(err)
			}
			x := made(t, e, contexts, y)
			var right, mean float64
			for i := range x.Rows {
				if v := float64(x.Data[2*i]); v > 0 {
					right += 1. / 1000
					mean += v / 1000
				}
			}
			if want := share(float64(at)); math.Abs(right-want) > .1 {
				t.Errorf("%d pieces, c = %g: the share of one branch is %.3f, want %.3f", a.Pieces, at, right, want)
			}
			if want := place(float64(at)); math.Abs(mean/right-want) > .35 {
				t.Errorf("%d pieces, c = %g: one branch is at %.3f, want %.3f", a.Pieces, at, mean/right, want)
			}
		}
	}
}

// Each class has pieces of its own, as many as its share, and a draw given a class is one of
// that class.
func TestQuadraticsStartOnClasses(t *testing.T) {
	rng := random.New(4, "classes", 0)
	x, c := batch.New(3000, 2), batch.New(3000, 3)
	center := func(class int) (float64, float64) {
		return 4 * math.Cos(2*float64(class)), 4 * math.Sin(2*float64(class))
	}
	for i := range x.Rows {
		class := []int{0, 0, 0, 1, 1, 2}[i%6]
		batch.Row(c, i)[class] = 1
		a, b := center(class)
		x.Data[2*i], x.Data[2*i+1] = float32(a+.2*float64(1+class)*rng.NormFloat64()), float32(b+.3*rng.NormFloat64())
	}
	laws, err := exact.FitClasses(x, c)
	if err != nil {
		t.Fatal(err)
	}
	o := Start{Classes: laws, Contexts: c}
	a := Architecture{Pieces: 6, Tau: .05, Context: 3, Classes: true}
	q, e := startedQuadratics(t, o, a, x)
	var pieces []int
	for k := range 3 {
		pieces = append(pieces, 0)
		for _, g := range q.context.Gates.Float32s()[k*6 : (k+1)*6] {
			if g == 0 {
				pieces[k]++
			}
		}
	}
	if !slices.Equal(pieces, []int{3, 2, 1}) {
		t.Errorf("the classes have %v pieces, want [3 2 1]", pieces)
	}
	contexts := batch.First(c, 1200)
	y, conjugates, err := o.ParticlesGiven(contexts, random.New(5, "noise", 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, drawn := range map[string]blas32.General{"the start": made(t, e, contexts, y), "the closed form": conjugates} {
		for i := range drawn.Rows {
			class := exact.Class(batch.Row(contexts, i))
			a, b := center(class)
			if off := math.Hypot(float64(drawn.Data[2*i])-a, float64(drawn.Data[2*i+1])-b); off > 3.5 {
				t.Fatalf("%s: a draw of class %d is %g from the class", name, class, off)
			}
		}
	}
	// The class of one piece is the closed form, whatever the others are.
	alone := batch.New(50, 3)
	for i := range alone.Rows {
		batch.Row(alone, i)[2] = 1
	}
	y, want, err := o.ParticlesGiven(alone, random.New(6, "noise", 0))
	if err != nil {
		t.Fatal(err)
	}
	if off := differ(made(t, e, alone, y).Data, want.Data); off > 1e-5 {
		t.Errorf("∇w* of the class of one piece is off by %g, relative; want ≤ 1e-5", off)
	}
	w, err := New(Architecture{Family: NetworkQuadratics, Dim: 2, Pieces: 6, Context: 3, Classes: true})
	if err != nil {
		t.Fatal(err)
	}
	bad := batch.New(3000, 3)
	batch.Copy(bad, c)
	bad.Data[0] = .5
	for want, o := range map[string]Start{
		"0 Gaussians":        {Contexts: c},
		"row 0 of the class": {Classes: laws, Contexts: bad},
		"class 0 of 3 has":   {Classes: laws, Contexts: batch.New(3000, 3)},
	} {
		if want == "class 0 of 3 has" {
			for i := range 3000 {
				batch.Row(o.Contexts, i)[1] = 1
			}
		}
		if err := o.Init(w, x, random.New(1, "start", 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
}
