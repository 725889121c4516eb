package metric

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// bowl is w(x) = ½ Σ a_k x_k².
type bowl []float64

func (w bowl) Dim() int { return len(w) }

func (w bowl) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		for k, v := range batch.Row(x, i) {
			if value != nil && k == 0 {
				value[i] = 0
			}
			if value != nil {
				value[i] += float32(w[k]) * v * v / 2
			}
			if grad.Rows > 0 {
				batch.Row(grad, i)[k] = float32(w[k]) * v
			}
		}
	}
	return nil
}

func (w bowl) HessVec(x, v, hv blas32.General) error {
	for i := range x.Rows {
		for k, a := range batch.Row(v, i) {
			batch.Row(hv, i)[k] = float32(w[k]) * a
		}
	}
	return nil
}

// A bowl is convex with conjugates x, a saddle is not, and of wrong conjugates the inequality tells.
func TestConvexity(t *testing.T) {
	const n = 200
	x, y := batch.New(n, 2), batch.New(n, 2)
	random.New(1, "points", 0).Normals(x.Data)
	for _, c := range []struct {
		w                bowl
		off              float32 // of the conjugates
		violated, gapped bool
	}{{w: bowl{1, 3}}, {w: bowl{1, -3}, violated: true, gapped: true}, {w: bowl{1, 3}, off: 1, gapped: true}} {
		if err := c.w.Eval(x, nil, y); err != nil {
			t.Fatal(err)
		}
		for i := range y.Data {
			y.Data[i] += c.off
		}
		got, err := ConvexityOf(c.w, x, y, random.New(1, "checks", 0))
		if err != nil {
			t.Fatal(err)
		}
		least := math.Min(c.w[0], c.w[1])
		if got.Curvature < least-1e-6 || got.Curvature > least+.2 {
			t.Errorf("%v: least curvature %g, want about %g", c.w, got.Curvature, least)
		}
		if (got.Violation > 1e-3) != c.violated || (got.Gap > 1e-3) != c.gapped {
			t.Errorf("%v, conjugates off by %g: violation %g, gap %g", c.w, c.off, got.Violation, got.Gap)
		}
	}
}
