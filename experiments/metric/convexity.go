package metric

import (
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Convexity tells how far a potential is from a convex one whose conjugates were found.
type Convexity struct {
	Violation float64 // the most of w((1−t)x + tx′) − (1−t)w(x) − tw(x′) over |w(x)| + |w(x′)| + 1; 0 if convex
	Curvature float64 // the least of ⟨v, ∇²w(x)v⟩/‖v‖²
	Gap       float64 // the most of w(x) − ⟨x,y⟩ − w(x′) + ⟨x′,y⟩ over the same scale; 0 if x = ∇w*(y)
}

// ConvexityOf looks at a potential along random segments between the rows of x, (n, d), in
// random directions there, and at the inequality of Fenchel and Young for the y, (n, d), whose
// conjugates x are.
func ConvexityOf(w potential.Curved, x, y blas32.General, rng *random.Stream) (c Convexity, err error) {
	n, d := x.Rows, x.Cols
	other, middle := batch.New(n, d), batch.New(n, d)
	mix := make([]float64, n)
	for i := range n {
		mix[i] = rng.Float64()
		j := rng.IntN(n)
		for k := range d {
			a, b := x.Data[i*d+k], x.Data[j*d+k]
			other.Data[i*d+k] = b
			middle.Data[i*d+k] = float32((1-mix[i])*float64(a) + mix[i]*float64(b))
		}
	}
	wx, wo, wm := make([]float32, n), make([]float32, n), make([]float32, n)
	for _, e := range []struct {
		at    blas32.General
		value []float32
	}{{x, wx}, {other, wo}, {middle, wm}} {
		if err := w.Eval(e.at, e.value, blas32.General{}); err != nil {
			return c, err
		}
	}
	v, hv := batch.New(n, d), batch.New(n, d)
	rng.Normals(v.Data)
	if err := w.HessVec(x, v, hv); err != nil {
		return c, err
	}
	worst, curvature, gap := math.Inf(-1), math.Inf(1), math.Inf(1)
	for i := range n {
		scale := math.Abs(float64(wx[i])) + math.Abs(float64(wo[i])) + 1
		worst = max(worst, (float64(wm[i])-(1-mix[i])*float64(wx[i])-mix[i]*float64(wo[i]))/scale)
		var vhv, vv, inner, innerOther float64
		for k := range d {
			vhv += float64(v.Data[i*d+k]) * float64(hv.Data[i*d+k])
			vv += float64(v.Data[i*d+k]) * float64(v.Data[i*d+k])
			inner += float64(x.Data[i*d+k]) * float64(y.Data[i*d+k])
			innerOther += float64(other.Data[i*d+k]) * float64(y.Data[i*d+k])
		}
		curvature = min(curvature, vhv/vv)
		gap = min(gap, (float64(wo[i])+inner-float64(wx[i])-innerOther)/scale)
	}
	return Convexity{max(0, worst), curvature, max(0, -gap)}, nil
}
