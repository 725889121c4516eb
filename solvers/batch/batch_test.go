package batch

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// counting is an (n, d) batch of 0, 1, 2, … with pad unused numbers after each row.
func counting(n, d, pad int) blas32.General {
	b := blas32.General{Rows: n, Cols: d, Stride: d + pad, Data: make([]float32, n*(d+pad))}
	for i := range n {
		for j := range d {
			b.Data[i*b.Stride+j] = float32(i*d + j)
		}
	}
	return b
}

func values(b blas32.General) [][]float32 {
	out := make([][]float32, b.Rows)
	for i := range out {
		out[i] = append([]float32{}, Row(b, i)...)
	}
	return out
}

func same(t *testing.T, what string, got blas32.General, want ...[]float32) {
	t.Helper()
	if diff := cmp.Diff(values(got), append([][]float32{}, want...)); diff != "" {
		t.Errorf("%s (got −, want +):\n%s", what, diff)
	}
}

func TestViewsAndCopies(t *testing.T) {
	x := counting(4, 2, 3)
	same(t, "Rows", Rows(x, 1, 3), []float32{2, 3}, []float32{4, 5})
	same(t, "no Rows", Rows(x, 2, 2))
	same(t, "First of more than there are", First(x, 9), values(x)...)
	same(t, "EveryOther", EveryOther(x, 1), []float32{2, 3}, []float32{6, 7})
	same(t, "EveryOther of an odd number", EveryOther(First(x, 3), 0), []float32{0, 1}, []float32{4, 5})
	same(t, "Gathered", Gathered(x, []int{3, 0}), []float32{6, 7}, []float32{0, 1})
	same(t, "Stacked", Stacked(Rows(x, 2, 4), Rows(x, 0, 1)), []float32{4, 5}, []float32{6, 7}, []float32{0, 1})
	same(t, "WithColumns", WithColumns(First(x, 2), []float64{9, 8}), []float32{0, 1, 9}, []float32{2, 3, 8})
	same(t, "Transposed", Transposed(First(x, 2)), []float32{0, 2}, []float32{1, 3})
	same(t, "Shifted", Shifted(First(x, 1), []float64{1, -1}), []float32{-1, 2})
	if diff := cmp.Diff(Column(x, 1), []float32{1, 3, 5, 7}); diff != "" {
		t.Errorf("Column (got −, want +):\n%s", diff)
	}
	y := New(4, 2)
	Scatter(y, Rows(x, 0, 2), []int{2, 0})
	same(t, "Scatter", y, []float32{2, 3}, []float32{0, 0}, []float32{0, 1}, []float32{0, 0})
	Copy(Rows(y, 3, 4), x)
	same(t, "Copy into fewer rows", Rows(y, 2, 4), []float32{0, 1}, []float32{0, 1})
	for i := range 3 {
		if row := Row(New(3, 0), i); len(row) != 0 {
			t.Errorf("row %d without columns holds %v", i, row)
		}
	}
}

func TestMemoryIsUsedAnew(t *testing.T) {
	b := New(4, 3)
	if r := Reshaped(b, 6, 2); &r.Data[0] != &b.Data[0] || r.Rows != 6 || r.Stride != 2 {
		t.Errorf("the same size took new memory or another shape: %v", r)
	}
	if r := Reshaped(b, 7, 2); len(r.Data) != 14 {
		t.Errorf("a larger size holds %d numbers", len(r.Data))
	}
}

// Short and long rows take different code paths to the same numbers.
func TestVectors(t *testing.T) {
	for _, n := range []int{0, 1, shortRow, shortRow + 1, 40} {
		a, b := make([]float32, n), make([]float32, n)
		var inner float64
		for i := range n {
			a[i], b[i] = float32(i)/8+1, float32(n-i)/4
			inner += float64(a[i]) * float64(b[i])
		}
		if got := Inner(a, b); math.Abs(got-inner) > 1e-12*inner {
			t.Errorf("%d: Inner is %g, want %g", n, got, inner)
		}
		if got, want := Norm(a), math.Sqrt(SumSquares(a)); math.Abs(got-want) > 1e-12*want {
			t.Errorf("%d: Norm is %g, want %g", n, got, want)
		}
		sum, difference := append([]float32{}, b...), append([]float32{}, b...)
		AddScaled(sum, .5, a)
		SubtractFrom(a, difference)
		for i := range n {
			if sum[i] != b[i]+a[i]/2 || difference[i] != a[i]-b[i] {
				t.Fatalf("%d: b + a/2 = %v, a − b = %v", n, sum, difference)
			}
		}
	}
	inf := math.Inf(1)
	if Finite(inf) || Finite(math.NaN()) || !Finite(1) || AllFinite([]float64{1, inf}) || AllFinite([]float32{float32(math.NaN())}) || !AllFinite([]float32{}) {
		t.Error("what is finite is told wrongly")
	}
}

func TestMoments(t *testing.T) {
	x := FromMatrix(mat.NewDense(3, 2, []float64{0, 1, 2, 5, 4, 3}))
	mean, cov := Moments(x)
	if diff := cmp.Diff(mean, []float64{2, 3}); diff != "" {
		t.Error(diff)
	}
	if want := mat.NewSymDense(2, []float64{4, 2, 2, 4}); !mat.EqualApprox(cov, want, 1e-12) {
		t.Errorf("covariance %v, want %v", mat.Formatted(cov), mat.Formatted(want))
	}
	if got := TotalVariance(x, mean); got != 16./3 {
		t.Errorf("total variance %g", got)
	}
	if got := MeanVariance(x); got != 4 {
		t.Errorf("mean variance %g", got)
	}
	norms := NormaliseRows(x)
	if norms[0] != 1 || norms[2] != 5 || x.Data[4] != .8 {
		t.Errorf("norms %v, rows %v", norms, x.Data)
	}
	same(t, "a zero row", func() blas32.General { z := New(1, 2); NormaliseRows(z); return z }(), []float32{0, 0})
}

func TestMatrices(t *testing.T) {
	dst := New(2, 1)
	Multiply(dst, counting(2, 2, 1), FromMatrix(mat.NewDense(2, 1, []float64{2, 3})))
	same(t, "Multiply", dst, []float32{3}, []float32{13})
	Multiply(New(0, 1), New(0, 2), New(2, 1))
	if s := Symmetrised(mat.NewDense(2, 2, []float64{1, 2, 4, 3})); s.At(0, 1) != 3 || s.At(1, 1) != 3 {
		t.Errorf("symmetrised to %v", mat.Formatted(s))
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	for want, b := range map[string]blas32.General{
		"points: the shape is (-1, 2)": {Rows: -1, Cols: 2, Stride: 2},
		"points: the stride is 1":      {Rows: 2, Cols: 2, Stride: 1, Data: make([]float32, 4)},
		"points: 3 values; the shap":   {Rows: 2, Cols: 2, Stride: 2, Data: make([]float32, 3)},
	} {
		if err := Check("points", b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if err := CheckSameShape("points", b, "others", b); err == nil {
			t.Errorf("%s: two of it are of one shape", want)
		}
	}
	if err := Check("points", counting(3, 2, 1)); err != nil {
		t.Error(err)
	}
	if err := CheckSameShape("x", New(2, 2), "y", New(2, 3)); err == nil || !strings.Contains(err.Error(), "y has (2, 3)") {
		t.Errorf("error %v for two shapes", err)
	}
}
