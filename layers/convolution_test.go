package layers

import (
	"math"
	"testing"

	"cmf/graph"
	"cmf/graph/kernel"
	"cmf/graph/op"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// convolved are networks with convolutions and every optional part: a dense layer
// on top of pictures that shrink, pictures that grow by their padding, and pictures
// that keep their size.
func convolved() []Architecture {
	every := Architecture{DiagonalSkips: true, Rank: 1, Knots: 2, Full: true}
	with := func(a Architecture) Architecture {
		every.Dim, every.Picture, every.Convolutions, every.Hidden = a.Picture[0]*a.Picture[1]*a.Picture[2], a.Picture, a.Convolutions, a.Hidden
		return every
	}
	return []Architecture{
		with(Architecture{Picture: [3]int{4, 3, 1}, Convolutions: []Convolution{{3, 2, 1, 0}, {2, 2, 1, 0}}, Hidden: []int{5}}),
		with(Architecture{Picture: [3]int{2, 2, 2}, Convolutions: []Convolution{{2, 2, 1, 1}, {2, 3, 2, 1}}}),
		with(Architecture{Picture: [3]int{3, 3, 1}, Convolutions: []Convolution{{2, 3, 1, 1}, {1, 3, 1, 1}}}),
	}
}

// matrixOf lays a convolution out as the matrix that multiplies pictures.
func matrixOf(w op.Window, kappa *graph.Param) blas32.General {
	down, across := w.Positions()
	m := batch.New(w.Inputs(), down*across*kappa.Cols)
	for p := range down {
		for q := range across {
			for tap := range w.Taps() {
				if k, ok := w.Input(tap, p, q); ok {
					copy(m.Data[k*m.Stride+(p*across+q)*kappa.Cols:], kappa.Float32s()[tap*kappa.Cols:][:kappa.Cols])
				}
			}
		}
	}
	return m
}

// sight lays out how a convolutional layer sees x.
func sight(m *ICNN, layer Layer) blas32.General {
	eye := batch.New(m.Dim(), m.Dim())
	for i := range m.Dim() {
		eye.Data[i*m.Dim()+i] = 1
	}
	return layer.viewOf(eye)
}

// A convolutional network is the dense one with the matrices of its convolutions.
func TestConvolutionsAreTiedWeights(t *testing.T) {
	for _, unit := range units {
		for _, a := range convolved() {
			a.Unit, a.Tau = unit.Unit, unit.Tau
			a.DiagonalSkips = false // after resizing they are not diagonal in x
			testConvolutionsAreTiedWeights(t, a)
		}
	}
}

func testConvolutionsAreTiedWeights(t *testing.T, a Architecture) {
	tied := single(t, a)
	widths, err := a.Widths()
	if err != nil {
		t.Fatal(err)
	}
	a.Convolutions, a.Hidden = nil, widths
	free := single(t, a)
	for _, p := range tied.Params().All() {
		if q := free.Params().ByName(p.Name); q.Len() == p.Len() {
			copy(q.Float32s(), p.Float32s())
		}
	}
	for l, layer := range tied.Layers {
		for p, piece := range layer {
			if piece.over == nil {
				continue
			}
			other := free.Layers[l][p]
			copy(other.Skip.Float32s(), product(sight(tied, layer), matrixOf(piece.over.skip, piece.Skip)).Data)
			for r, w := range piece.Ranks {
				copy(other.Ranks[r].Float32s(), product(sight(tied, layer), matrixOf(piece.over.skip, w)).Data)
			}
			if l > 0 {
				copy(other.Weigh.Float32s(), matrixOf(piece.over.weigh, piece.Weigh).Data)
			}
		}
	}
	if c := tied.Convolutions[1]; tied.Layers[1][0].Weigh.Len() != c.Size*c.Size*tied.Convolutions[0].Filters*c.Filters {
		t.Fatalf("the second convolution has %d weights over the first", tied.Layers[1][0].Weigh.Len())
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
		t.Errorf("%+v: relative difference %.2g; want ≤ 1e-6", tied.Architecture, e)
	}
	if e := relative(curvature(t, tied, x), curvature(t, free, x)); e > 1e-6 {
		t.Errorf("%+v: the mean Hessians differ by %.2g; want ≤ 1e-6", tied.Architecture, e)
	}
}

// The gradient, in the filters, of a loss with second derivatives.
func TestConvolutionFiniteDifferences(t *testing.T) {
	for i, a := range convolved() {
		a.Float64, a.Knots = true, 0
		for k, unit := range []Unit{Softplus, Maximum} {
			if a.Unit = unit; i > 0 && i%2 == k {
				continue // for time
			}
			m := single(t, a)
			loss := func(s *graph.Scope) *gorgonia.Node {
				x := points(s, 2, a.Dim)
				return s.Mean(s.Square(s.Sub(s.LogDet(a.Dim, Hessian(s, m, x)), m.Value(s, m.Gradient(s, x)))))
			}
			if worst, name := worstGradient(t, m, loss); worst > 1e-6 {
				t.Errorf("%+v: relative error %.2g in %s; want ≤ 1e-6", a, worst, name)
			}
		}
	}
}

// The filters of every layer come from squares of the data's pictures, resized
// for the layer, and all vary equally over the data. What a layer takes from the
// one below is a hundredth of that, so that the network starts as its skips.
func TestFirstFilters(t *testing.T) {
	law := law(t, 32, false)
	a := Architecture{Picture: [3]int{4, 4, 2}, Convolutions: []Convolution{{5, 2, 1, 1}, {4, 3, 2, 0}}, Full: true}
	for _, a.Unit = range []Unit{Softplus, Maximum} {
		m, data := started(t, a, Start{Law: law, Spread: 3}, 2000)
		deviations := func(a blas32.General, filters int) []float64 {
			variance := make([]float64, filters)
			for k := range a.Cols {
				var sum, squares float64
				for i := range a.Rows {
					v := float64(a.Data[i*a.Stride+k])
					sum += v
					squares += v * v
				}
				n := float64(a.Rows)
				variance[k%filters] += (squares/n - sum*sum/n/n) / float64(a.Cols/filters)
			}
			for f, v := range variance {
				variance[f] = math.Sqrt(v)
			}
			return variance
		}
		var z blas32.General
		for l, layer := range m.Layers {
			as := make([]blas32.General, len(layer))
			for p, piece := range layer {
				as[p] = piece.skippedOf(layer.viewOf(data), piece.Skip)
				for f, v := range deviations(as[p], piece.Skip.Cols) {
					if a.Unit == Softplus && math.Abs(v-3) > .03 {
						t.Errorf("filter %d of layer %d varies by %.3f over the data, want 3", f, l, v)
					}
				}
				if l > 0 {
					below := piece.weighedOf(z)
					for f, v := range deviations(below, piece.Weigh.Cols) {
						if math.Abs(v-.03) > .0003 {
							t.Errorf("%s: filter %d takes %.4f of the layer below, want .03", a.Unit, f, v)
						}
					}
					if ratio := piece.Weigh.Rate / batch.RootMeanSquare(piece.Weigh.Float32s()); math.Abs(ratio-100) > .01 {
						t.Errorf("%s: the rate of layer %d is %g times its size; want 100", a.Unit, l, ratio)
					}
					kernel.Add(as[p].Data, as[p].Data, below.Data)
				}
				for i := range as[p].Data {
					as[p].Data[i] += piece.Bias.Float32s()[i%piece.Bias.Cols]
				}
			}
			z = m.activations(as)
		}
	}
}

// Where a layer is too wide for all of the data, rows from all over it take part
// in the start.
func TestStartOfWideConvolutions(t *testing.T) {
	m := single(t, Architecture{Dim: 32 * 32, Picture: [3]int{32, 32, 1}, Convolutions: []Convolution{{127, 3, 1, 1}}})
	data := batch.New(260, m.Dim())
	for i := range data.Rows {
		data.Data[i*data.Stride] = float32(i)
	}
	part := m.fewer(data)
	const n = 1 << 24 / (127 * 32 * 32)
	if part.Rows != n || part.Cols != m.Dim() {
		t.Fatalf("%d rows of %d, want %d of %d", part.Rows, part.Cols, n, m.Dim())
	}
	for i := range part.Rows {
		if want := float32(i * 260 / n); part.Data[i*part.Stride] != want {
			t.Errorf("row %d is row %g of the data, want %g", i, part.Data[i*part.Stride], want)
		}
	}
	if all := m.fewer(batch.First(data, n)); all.Rows != n {
		t.Errorf("%d of %d rows", all.Rows, n)
	}
}
