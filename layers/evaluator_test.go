package layers

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

var _ potential.Curved = (*Evaluator)(nil)

// single is a network with weights in general position.
func single(t testing.TB, a Architecture) *ICNN {
	t.Helper()
	m, err := NewICNN(a)
	if err != nil {
		t.Fatal(err)
	}
	randomise(m, 1)
	return m
}

func evaluator(t testing.TB, m *ICNN) *Evaluator {
	t.Helper()
	e, err := NewEvaluator(m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// normals is an (n, d) batch of N(0, 1) whose rows lie pad floats apart, with
// NaN between them.
func normals(seed uint64, n, d, pad int) blas32.General {
	r := random.Seeded(seed, 13)
	b := blas32.General{Rows: n, Cols: d, Stride: d + pad, Data: make([]float32, n*(d+pad))}
	for i := range b.Data {
		b.Data[i] = float32(math.NaN())
		if i%b.Stride < d {
			b.Data[i] = float32(r.NormFloat64())
		}
	}
	return b
}

func row(b blas32.General, i int) []float32 { return b.Data[i*b.Stride:][:b.Cols] }

// differ is the largest difference of two vectors, relative to their largest
// element, or to 1.
func differ(a, b []float32) float64 {
	var worst float64
	scale := 1.0
	for i := range a {
		d := math.Abs(float64(a[i] - b[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		worst, scale = max(worst, d), max(scale, math.Abs(float64(b[i])))
	}
	return worst / scale
}

// A batch of any size gives what its rows give one by one. All sizes share one
// evaluator, so the padding of a batch holds what the batch before left.
func TestEvaluatorSizes(t *testing.T) {
	const d = 3
	m := single(t, Architecture{Dim: d, Hidden: []int{6, 5}, DiagonalSkips: true, Rank: 2, Knots: 2, Rotated: true, Full: true})
	e := evaluator(t, m)
	all := normals(1, 1200, d, 0)
	directions := normals(2, 1200, d, 0)
	value, grad, product := make([]float32, all.Rows), batch.New(all.Rows, d), batch.New(all.Rows, d)
	one := func(b blas32.General, i int) blas32.General {
		return blas32.General{Rows: 1, Cols: d, Stride: d, Data: row(b, i)}
	}
	for i := range all.Rows {
		if err := e.Eval(one(all, i), value[i:i+1], one(grad, i)); err != nil {
			t.Fatal(err)
		}
		if err := e.HessVec(one(all, i), one(directions, i), one(product, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{1200, 0, 1, 31, 32, 33, 512, 513} {
		for _, pad := range []int{0, 2} {
			x, v := normals(9, n, d, pad), normals(9, n, d, pad)
			for i := range n {
				copy(row(x, i), row(all, i))
				copy(row(v, i), row(directions, i))
			}
			val, g, hv := make([]float32, n), normals(9, n, d, pad), normals(9, n, d, pad)
			if err := e.Eval(x, val, g); err != nil {
				t.Fatal(err)
			}
			if err := e.HessVec(x, v, hv); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if e := differ(val[i:i+1], value[i:i+1]); e > 1e-6 {
					t.Fatalf("n=%d: value %d is %v, alone %v", n, i, val[i], value[i])
				}
				if differ(row(g, i), row(grad, i)) > 1e-6 || differ(row(hv, i), row(product, i)) > 1e-6 {
					t.Fatalf("n=%d: row %d is %v and %v, alone %v and %v", n, i, row(g, i), row(hv, i), row(grad, i), row(product, i))
				}
				for j := range pad {
					if between := g.Data[i*g.Stride+d+j]; !math.IsNaN(float64(between)) {
						t.Fatalf("n=%d: the gradient is written between its rows", n)
					}
				}
			}
			// The value alone, and the gradient alone.
			only, alone := make([]float32, n), batch.New(n, d)
			if err := e.Eval(x, only, blas32.General{}); err != nil {
				t.Fatal(err)
			}
			if err := e.Eval(x, nil, alone); err != nil {
				t.Fatal(err)
			}
			if differ(only, val) > 1e-6 {
				t.Errorf("n=%d: values alone differ from those with the gradient", n)
			}
			for i := range n {
				if differ(row(alone, i), row(g, i)) > 1e-6 {
					t.Errorf("n=%d: gradient %d alone differs from that with the value", n, i)
				}
			}
			if err := e.Eval(x, nil, blas32.General{}); err != nil {
				t.Error(err)
			}
		}
	}
	// Sizes are rounded up, so that few programs are compiled.
	if len(e.programs) > 16 {
		t.Errorf("%d programs for 5 sizes and 4 kinds of work", len(e.programs))
	}
}

// The evaluator in float32 against the same network in float64.
func TestEvaluatorAccuracy(t *testing.T) {
	const d, n = 4, 40
	a := Architecture{Dim: d, Hidden: []int{16, 16}, DiagonalSkips: true, Rank: 1, Rotated: true, Full: true}
	e := evaluator(t, single(t, a))
	a.Float64 = true
	s := graph.NewScope(tensor.Float64)
	x := points(s, n, d)
	m := single(t, a)
	for _, p := range m.Params().All() {
		p.Fill(func(i int) float64 { return float64(float32(p.At(i))) })
	}
	p := compile(t, s, map[string]*gorgonia.Node{"value": m.Value(s, x), "gradient": m.Gradient(s, x)})
	points := normals(3, n, d, 0)
	for i, v := range points.Data {
		p.In("x").F64[i] = float64(v)
	}
	run(t, p)
	val, grad := make([]float32, n), batch.New(n, d)
	if err := e.Eval(points, val, grad); err != nil {
		t.Fatal(err)
	}
	var value, gradient []float32
	for _, v := range p.Out("value").F64 {
		value = append(value, float32(v))
	}
	for _, v := range p.Out("gradient").F64 {
		gradient = append(gradient, float32(v))
	}
	if differ(val, value) > 1e-6 || differ(grad.Data, gradient) > 1e-6 {
		t.Errorf("relative error %.2g of the value and %.2g of the gradient; want ≤ 1e-6", differ(val, value), differ(grad.Data, gradient))
	}
}

// ∇²w·v against central differences of ∇w, in float32.
func TestEvaluatorHessVec(t *testing.T) {
	for _, unit := range units {
		testEvaluatorHessVec(t, evaluator(t, single(t, unit.everything(4, 6, 5))))
	}
}

func testEvaluatorHessVec(t *testing.T, e *Evaluator) {
	const d, n, h = 4, 50, 1e-2
	x, v, hv := normals(1, n, d, 1), normals(2, n, d, 2), normals(3, n, d, 3)
	if err := e.HessVec(x, v, hv); err != nil {
		t.Fatal(err)
	}
	at := func(step float32) blas32.General {
		moved, g := batch.New(n, d), batch.New(n, d)
		for i := range n {
			for j := range d {
				moved.Data[i*d+j] = row(x, i)[j] + step*row(v, i)[j]
			}
		}
		if err := e.Eval(moved, nil, g); err != nil {
			t.Fatal(err)
		}
		return g
	}
	up, down := at(h), at(-h)
	for i := range n {
		want := make([]float32, d)
		for j := range d {
			want[j] = (up.Data[i*d+j] - down.Data[i*d+j]) / (2 * h)
		}
		if e := differ(row(hv, i), want); e > 2e-3 {
			t.Errorf("row %d: H·v = %v, central differences %v", i, row(hv, i), want)
		}
	}
}

// A guess shortens a solve, but not beyond it: an evaluation without one does not begin where an
// earlier one with guesses did.
func TestGuessesAreForgotten(t *testing.T) {
	const n, d = 20, 3
	a := Architecture{Family: NetworkQuadratics, Dim: d, Pieces: 4, Tau: .5}
	evaluated := func(earlier bool) []float32 {
		w, err := New(a)
		if err != nil {
			t.Fatal(err)
		}
		r := random.Seeded(4, 9)
		for _, p := range w.Params().Trained() {
			p.Fill(func(int) float64 { return .6 * r.NormFloat64() })
		}
		w.(*Conjugate).phi.(*Quadratics).Floor.Set(0, .3)
		e, err := NewEvaluator(w)
		if err != nil {
			t.Fatal(err)
		}
		x, far, g := normals(1, n, d, 0), normals(2, n, d, 0), batch.New(n, d)
		for i := range far.Data {
			far.Data[i] *= 5
		}
		if earlier {
			if err := e.EvalFrom(x, far, nil, g); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Eval(x, nil, g); err != nil {
			t.Fatal(err)
		}
		return g.Data
	}
	if fresh, after := evaluated(false), evaluated(true); !slices.Equal(fresh, after) {
		t.Errorf("after an evaluation with guesses ∇w is another: %g apart", differ(fresh, after))
	}
}

func TestEvaluatorErrors(t *testing.T) {
	if _, err := NewEvaluator(full(t, Architecture{}, 2, 3)); err == nil || !strings.Contains(err.Error(), "float32") {
		t.Errorf("a float64 network: error %v", err)
	}
	e := evaluator(t, single(t, Architecture{Dim: 2, Hidden: []int{3}}))
	x := normals(1, 4, 2, 0)
	for name, err := range map[string]error{
		"5 values for 4 points":               e.Eval(x, make([]float32, 5), blas32.General{}),
		"gradient of shape (3, 2)":            e.Eval(x, nil, batch.New(3, 2)),
		"gradient of shape (4, 3)":            e.Eval(x, nil, batch.New(4, 3)),
		"points of 3 coordinates":             e.Eval(normals(1, 4, 3, 0), make([]float32, 4), blas32.General{}),
		"directions (4, 1)":                   e.HessVec(x, batch.New(4, 1), batch.New(4, 2)),
		"products (3, 2)":                     e.HessVec(x, x, batch.New(3, 2)),
		"points of 1 coordinates for a poten": e.HessVec(batch.New(4, 1), batch.New(4, 1), batch.New(4, 1)),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v; want one that says %q", err, name)
		}
	}
}

func TestArchitectureErrors(t *testing.T) {
	for want, a := range map[string]Architecture{
		"dimension 0":                         {Hidden: []int{3}},
		"at least one":                        {Dim: 2},
		"hidden width 1":                      {Dim: 2, Hidden: []int{3, 0}},
		"known are softplus, maximum":         {Dim: 2, Hidden: []int{3}, Unit: "relu"},
		"τ = -1; it must be":                  {Dim: 2, Hidden: []int{3}, Unit: Maximum, Tau: -1},
		"τ = NaN; it must be":                 {Dim: 2, Hidden: []int{3}, Unit: Maximum, Tau: math.NaN()},
		"τ = 2 without units of kind maximum": {Dim: 2, Hidden: []int{3}, Tau: 2},
		"rank -1":                             {Dim: 2, Hidden: []int{3}, Rank: -1},
		"dimension -1; it ":                   {Dim: -1, Hidden: []int{3}},
		"2×3×1 numbers":                       {Dim: 5, Picture: [3]int{2, 3, 1}, Convolutions: []Convolution{{1, 1, 1, 0}}},
		"0×0×0 numbers":                       {Dim: 5, Convolutions: []Convolution{{1, 1, 1, 0}}},
		"a picture of 2×3;":                   {Dim: 6, Picture: [3]int{2, 3, 1}, Convolutions: []Convolution{{1, 3, 1, 0}}},
		"a picture of 1×2;":                   {Dim: 6, Picture: [3]int{2, 3, 1}, Convolutions: []Convolution{{1, 2, 1, 0}, {1, 2, 1, 0}}},
		"needs 1 to 65536":                    {Dim: 6, Picture: [3]int{2, 3, 1}, Convolutions: []Convolution{{0, 1, 1, 0}}},
		"65536 filters":                       {Dim: 6, Picture: [3]int{2, 3, 1}, Convolutions: []Convolution{{1 << 17, 1, 1, 0}}},
		"more than 2²⁷":                       {Dim: 1 << 16, Picture: [3]int{1 << 8, 1 << 8, 1}, Convolutions: []Convolution{{1, 1, 1, 0}}},
		"padding of less":                     {Dim: 6, Picture: [3]int{2, 3, 1}, Convolutions: []Convolution{{1, 2, 1, 2}}},
		"Padding:-1}":                         {Dim: 6, Picture: [3]int{2, 3, 1}, Convolutions: []Convolution{{1, 2, 1, -1}}},
		"stride of at leas":                   {Dim: 6, Picture: [3]int{2, 3, 1}, Convolutions: []Convolution{{1, 1, 0, 0}}},
	} {
		if m, err := NewICNN(a); err == nil || m != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v; want one that says %q", a, err, want)
		}
	}
	m := single(t, Architecture{Dim: 2, Hidden: []int{3, 4}, DiagonalSkips: true, Rank: 1, Rotated: true, Full: true})
	var frozen, positive []string
	for _, p := range m.Params().All() {
		if p.Frozen {
			frozen = append(frozen, p.Name)
		}
		if p.NonNegative {
			positive = append(positive, p.Name)
		}
	}
	if want := []string{"quadratic.floor", "quadratic.center", "quadratic.basis"}; !slices.Equal(frozen, want) {
		t.Errorf("frozen are %v, want %v", frozen, want)
	}
	if want := []string{"layer0.diagonal", "layer1.weight", "layer1.diagonal", "out", "quadratic.share"}; !slices.Equal(positive, want) {
		t.Errorf("non-negative are %v, want %v", positive, want)
	}
	if s := fmt.Sprint(m.Layers[1][0].Weigh.Rows, m.Layers[1][0].Weigh.Cols, m.Layers[1][0].Skip.Rows, m.Layers[1][0].Skip.Cols); s != "3 4 2 4" {
		t.Errorf("shapes %s of the second layer", s)
	}
}
