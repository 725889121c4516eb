package layers

import (
	"testing"

	"cmf/graph"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// convolved has two convolutional layers and a dense one over pictures of
// 4×3×2. The squares of the second convolution see 3×3 pixels.
func convolved() Architecture {
	return Architecture{
		Dim: 24, Picture: [3]int{4, 3, 2}, Convolutions: []Convolution{{3, 2, 1}, {2, 2, 1}}, Hidden: []int{5},
		DiagonalSkips: true, Rank: 1, Knots: 2, Full: true,
	}
}

// A convolutional network is the dense one with the matrices of its convolutions.
func TestConvolutionsAreTiedWeights(t *testing.T) {
	for _, unit := range units {
		a := convolved()
		a.Unit, a.Tau = unit.Unit, unit.Tau
		testConvolutionsAreTiedWeights(t, a)
	}
}

func testConvolutionsAreTiedWeights(t *testing.T, a Architecture) {
	tied := single(t, a)
	a.Convolutions, a.Hidden = nil, []int{3 * 2 * 3, 2 * 1 * 2, 5}
	free := single(t, a)
	for _, p := range tied.Params().All() {
		if q := free.Params().ByName(p.Name); q.Len() == p.Len() {
			copy(q.Float32s(), p.Float32s())
		}
	}
	for l, layer := range tied.Layers {
		for p, piece := range layer {
			copy(free.Layers[l][p].Skip.Float32s(), matrixOf(piece.Skip, piece.over.skip).Data)
			if l > 0 {
				copy(free.Layers[l][p].Weigh.Float32s(), matrixOf(piece.Weigh, piece.over.weigh).Data)
			}
		}
	}
	if n := tied.Layers[1][0].Weigh.Len(); n != 2*2*3*2 {
		t.Fatalf("the second convolution has %d weights over the first", n)
	}
	const n = 30
	x, v := normals(1, n, a.Dim, 0), normals(2, n, a.Dim, 0)
	type result struct {
		value    []float32
		grad, hv blas32.General
	}
	at := func(m *ICNN) result {
		r := result{make([]float32, n), batch.New(n, a.Dim), batch.New(n, a.Dim)}
		e := evaluator(t, m)
		if err := e.Eval(x, r.value, r.grad); err != nil {
			t.Fatal(err)
		}
		if err := e.HessVec(x, v, r.hv); err != nil {
			t.Fatal(err)
		}
		return r
	}
	got, want := at(tied), at(free)
	if e := max(differ(got.value, want.value), differ(got.grad.Data, want.grad.Data), differ(got.hv.Data, want.hv.Data)); e > 1e-6 {
		t.Errorf("relative difference %.2g; want ≤ 1e-6", e)
	}
	if e := relative(curvature(t, tied, x), curvature(t, free, x)); e > 1e-6 {
		t.Errorf("the mean Hessians differ by %.2g; want ≤ 1e-6", e)
	}
}

// The gradient, in the filters, of a loss with second derivatives.
func TestConvolutionFiniteDifferences(t *testing.T) {
	a := convolved()
	a.Dim, a.Picture, a.Rank, a.Float64 = 12, [3]int{4, 3, 1}, 0, true
	for _, a.Unit = range []Unit{Softplus, Maximum} {
		m := single(t, a)
		loss := func(s *graph.Scope) *gorgonia.Node {
			x := points(s, 3, a.Dim)
			return s.Mean(s.Square(s.Sub(s.LogDet(a.Dim, Hessian(s, m, x)), m.Value(s, m.Gradient(s, x)))))
		}
		if worst, name := worstGradient(t, m, loss); worst > 1e-6 {
			t.Errorf("%s: relative error %.2g in %s; want ≤ 1e-6", a.Unit, worst, name)
		}
	}
}

// The first filters come from squares of the data's pictures, and all vary
// equally over the data.
func TestFirstFilters(t *testing.T) {
	law := law(t, 24, false)
	m, data := started(t, Architecture{Picture: [3]int{4, 3, 2}, Convolutions: []Convolution{{5, 2, 1}}, Full: true}, Start{Law: law, Spread: 3}, 2000)
	first := m.Layers[0][0]
	a := batch.New(data.Rows, first.Bias.Cols)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, data, matrixOf(first.Skip, first.over.skip), 0, a)
	for f := range 5 {
		var variance float64
		for k := f; k < a.Cols; k += 5 {
			var sum, squares float64
			for i := range a.Rows {
				v := float64(a.Data[i*a.Stride+k])
				sum += v
				squares += v * v
			}
			n := float64(a.Rows)
			variance += (squares/n - sum*sum/n/n) / float64(a.Cols/5)
		}
		if variance < 8.5 || variance > 9.5 {
			t.Errorf("filter %d varies by %.2f over the data, want 9", f, variance)
		}
	}
}
