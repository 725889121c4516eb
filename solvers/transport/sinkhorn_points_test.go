package transport

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"

	"gonum.org/v1/gonum/blas/blas32"
)

// sameRows fails the test where two batches differ.
func sameRows(t *testing.T, what string, got, want blas32.General, tolerance float64) {
	t.Helper()
	for i := range want.Rows {
		for k, w := range batch.Row(want, i) {
			if !(math.Abs(float64(batch.Row(got, i)[k]-w)) <= tolerance) {
				t.Fatalf("%s: row %d is %v, want %v", what, i, batch.Row(got, i), batch.Row(want, i))
			}
		}
	}
}

func TestBarycentresAndTheEntropicMap(t *testing.T) {
	const n, m, d = 700, 300, 3
	x, y := problem.NormalBatch(n, d, "x"), problem.NormalBatch(m, d, "y")
	for k := range y.Data {
		y.Data[k] = 2*y.Data[k] + 100 // far from the origin, where distances cancel
	}
	var s Sinkhorn
	got := batch.New(n, d)
	c, err := s.Barycentres(got, x, y)
	if err != nil {
		t.Fatal(err)
	}
	pi, want := batch.New(n, m), batch.New(n, d)
	if err := c.Matrix(pi); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		for k := range d {
			var mass, sum float64
			for j := range m {
				mass += float64(batch.Row(pi, i)[j])
				sum += float64(batch.Row(pi, i)[j]) * float64(batch.Row(y, j)[k])
			}
			batch.Row(want, i)[k] = float32(sum / mass)
		}
	}
	sameRows(t, "barycentres", got, want, 1e-3)

	transport, c, err := s.Map(x, y)
	if err != nil {
		t.Fatal(err)
	}
	epsilon, g := c.Epsilon, append([]float64(nil), c.G...)
	if _, err := s.Plan(problem.NormalBatch(n, d, "others"), problem.NormalBatch(m, d, "others")); err != nil { // the map must not share the solver's memory
		t.Fatal(err)
	}
	mapped := batch.New(n, d)
	batch.Copy(mapped, x)
	if err := transport.Apply(mapped, mapped); err != nil {
		t.Fatal(err)
	}
	sameRows(t, "the map where it was estimated", mapped, want, 1e-3)

	// The formula holds at new points, some of them far out.
	z := problem.NormalBatch(20, d, "z")
	for i := range z.Rows {
		for k := range d {
			batch.Row(z, i)[k] *= float32(i)
		}
	}
	want, got = batch.New(z.Rows, d), batch.New(z.Rows, d)
	for i := range z.Rows {
		exponent, top := make([]float64, m), math.Inf(-1)
		for j := range m {
			for k := range d {
				gap := float64(batch.Row(z, i)[k]) - float64(batch.Row(y, j)[k])
				exponent[j] -= gap * gap
			}
			exponent[j] = (exponent[j] + g[j]) / epsilon
			top = max(top, exponent[j])
		}
		var mass float64
		mean := make([]float64, d)
		for j := range m {
			w := math.Exp(exponent[j] - top)
			mass += w
			for k := range d {
				mean[k] += w * float64(batch.Row(y, j)[k])
			}
		}
		for k := range d {
			batch.Row(want, i)[k] = float32(mean[k] / mass)
		}
	}
	if err := transport.Apply(got, z); err != nil {
		t.Fatal(err)
	}
	sameRows(t, "the map at new points", got, want, 2e-3)

	z.Data[5] = float32(math.NaN())
	if err := transport.Apply(got, z); err == nil {
		t.Error("a point that is not finite was taken")
	}
	if err := transport.Apply(batch.New(2, d), z); err == nil {
		t.Error("images of the wrong shape were taken")
	}
}

// Distances must not cancel far from the origin.
func TestBarycentresFarFromTheOrigin(t *testing.T) {
	const n, far = 200, 4096 // exact in float32
	x, y := problem.NormalBatch(n, 2, "x"), problem.NormalBatch(n, 2, "y")
	for _, b := range []blas32.General{x, y} {
		for k, v := range b.Data {
			b.Data[k] = (v + far) - far // the digits that are left there
		}
	}
	want, got := batch.New(n, 2), batch.New(n, 2)
	var s Sinkhorn
	if _, err := s.Barycentres(want, x, y); err != nil {
		t.Fatal(err)
	}
	for _, b := range []blas32.General{x, y, want} {
		for k := range b.Data {
			b.Data[k] += far
		}
	}
	if _, err := s.Barycentres(got, x, y); err != nil {
		t.Fatal(err)
	}
	sameRows(t, "barycentres", got, want, 1e-2)
}

// A shift by v leaves the plan's entropy unchanged and adds |v|² to the cost.
func TestSinkhornDivergenceOfAShift(t *testing.T) {
	x, y := problem.NormalBatch(300, 4, "x"), batch.New(300, 4)
	for i := range x.Rows {
		for k := range 4 {
			batch.Row(y, i)[k] = batch.Row(x, i)[k] + float32(k)
		}
	}
	s := Sinkhorn{Tolerance: 1e-4}
	for name, c := range map[string]struct {
		x, y blas32.General
		want float64
	}{"itself": {x, x, 0}, "a shift": {x, y, 14}, "the other way": {y, x, 14}} {
		if got, err := s.Divergence(c.x, c.y); err != nil || math.Abs(got-c.want) > 1e-3 {
			t.Errorf("%s: divergence %g, %v, want %g", name, got, err, c.want)
		}
	}
	near, err := s.Divergence(x, problem.NormalBatch(400, 4, "other"))
	if err != nil || near <= 0 || near > .5 {
		t.Errorf("divergence of two samples of one law %g, %v", near, err)
	}
	s.MaxIterations = 1
	if _, err := s.Divergence(x, problem.NormalBatch(400, 4, "other")); err == nil {
		t.Error("a divergence that did not converge was given")
	}
}
