package metric

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat/distuv"
)

func normals(n, d int, index uint64) blas32.General {
	x := batch.New(n, d)
	random.New(1, "normals", index).Normals(x.Data)
	return x
}

// Two Gaussians whose means are δ apart are told with the accuracy Φ(δ/2) at best, in whatever
// units; draws of one law with ½.
func TestClassifierOfShiftedGaussians(t *testing.T) {
	const n = 2000
	for _, c := range []struct {
		d            int
		shift, scale float64
	}{{2, 0, 1}, {2, .5, 1e-3}, {2, 2, 100}, {3, 1, 1}} {
		x, y := normals(n, c.d, 0), normals(n, c.d, 1)
		for i := range n {
			for j := range c.d {
				batch.Row(x, i)[j] *= float32(c.scale)
				batch.Row(y, i)[j] = float32(c.scale * (float64(batch.Row(y, i)[j]) + c.shift/math.Sqrt(float64(c.d))))
			}
		}
		got, err := ClassifierAccuracy(t.Context(), x, y, random.New(1, "classifier", 0))
		// The deviation of the share is at most .008. The network fits what it saw too closely, and
		// so is worse by a hundredth or two.
		if want := distuv.UnitNormal.CDF(c.shift / 2); err != nil || !(got-want < .02 && got-want > -.04) {
			t.Errorf("d = %d, shift %g: accuracy %.4f, error %v; want %.4f", c.d, c.shift, got, err, want)
		}
	}
}

// Laws of equal means and variances are told by their shapes: a ring from a Gaussian.
func TestClassifierOfShapes(t *testing.T) {
	const n = 500
	x, y := normals(n, 2, 0), normals(n, 2, 1)
	for i := range n {
		row := batch.Row(y, i)
		by := float32(math.Sqrt2 / batch.Norm(row))
		row[0], row[1] = by*row[0], by*row[1]
	}
	got, err := ClassifierAccuracy(t.Context(), x, y, random.New(1, "classifier", 0))
	if err != nil || !(got > .85) {
		t.Errorf("accuracy %.4f, error %v", got, err)
	}
	again, err := ClassifierAccuracy(t.Context(), x, y, random.New(1, "classifier", 0))
	if err != nil || again != got {
		t.Errorf("again %v, error %v; it was %v", again, err, got)
	}
}

func TestClassifierRefuses(t *testing.T) {
	x := normals(300, 2, 0)
	for want, c := range map[string]struct{ x, y blas32.General }{
		"x has 300 rows and y 299": {x, batch.First(x, 299)},
		"2 columns and y 3":        {x, normals(300, 3, 0)},
		"at least 250":             {batch.First(x, 100), batch.First(x, 100)},
	} {
		if _, err := ClassifierAccuracy(t.Context(), c.x, c.y, random.New(1, "classifier", 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
	lost := normals(300, 2, 1)
	lost.Data[7] = float32(math.NaN())
	if got, err := ClassifierAccuracy(t.Context(), x, lost, random.New(1, "classifier", 0)); err != nil || !math.IsNaN(got) {
		t.Errorf("a row that is not finite: %v, error %v", got, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ClassifierAccuracy(ended, x, x, random.New(1, "classifier", 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
