package solvers

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/transport"

	"gonum.org/v1/gonum/blas/blas32"
)

// HessVec makes the bowl Curved: its Hessian is diag(s).
func (b *bowl) HessVec(_, v, hv blas32.General) error {
	for i := range v.Rows {
		for k, q := range batch.Row(v, i) {
			batch.Row(hv, i)[k] = b.s[k] * q
		}
	}
	return nil
}

// Probes are signs, differ from step to step, and have solutions.
func TestCMFGenOffersProbes(t *testing.T) {
	c, f := newLoop(t)
	f.inputs = []*Kind{BatchProbe, BatchSolved}
	f.s[0] = .25
	var last []float32
	for range 3 {
		s := slices.Clone(f.s)
		if info, err := c.Step(); err != nil || info.Numbers["probes_unsolved"] != 0 {
			t.Fatalf("%g probes unsolved, error %v", info.Numbers["probes_unsolved"], err)
		}
		probe, solved := f.seen[BatchProbe], f.seen[BatchSolved]
		var sum float64
		for i := range 32 {
			for k, v := range batch.Row(probe, i) {
				sum += float64(v)
				if v*v != 1 || !(math.Abs(float64(s[k]*batch.Row(solved, i)[k]-v)) < 1e-3) {
					t.Fatalf("row %d: probe %v, solved %v where the curvature is %v", i, v, batch.Row(solved, i)[k], s[k])
				}
			}
		}
		if math.Abs(sum) > 40 || slices.Equal(last, probe.Data) {
			t.Errorf("64 signs sum to %g, or are those of the step before", sum)
		}
		last = slices.Clone(probe.Data)
	}
	c.Potential = struct{ potential.Potential }{f.bowl}
	if _, err := c.Step(); err == nil || !strings.Contains(err.Error(), "not Curved") {
		t.Errorf("a potential without Hessian–vector products: %v", err)
	}
}

// Barycentres belong to the plan between the batches that the loss sees; partners are a
// permutation of y.
func TestCMFGenOffersPartners(t *testing.T) {
	c, f := newLoop(t)
	f.inputs = []*Kind{BatchBarycentre, BatchPaired}
	info, err := c.Step()
	if err != nil {
		t.Fatal(err)
	}
	want := batch.New(32, 2)
	if _, err := new(transport.Sinkhorn).Barycentres(want, f.seen[BatchData], f.seen[BatchGibbs]); err != nil {
		t.Fatal(err)
	}
	for i, v := range f.seen[BatchBarycentre].Data {
		if math.Abs(float64(v-want.Data[i])) > 1e-5 {
			t.Fatalf("entry %d of the barycentres is %v, want %v", i, v, want.Data[i])
		}
	}
	if marginal := info.Numbers["sinkhorn_marginal_error"]; !(marginal > 0 && marginal < 2e-3) {
		t.Errorf("the marginal error is %g", marginal)
	}
	sorted := func(b blas32.General) []float32 { return slices.Sorted(slices.Values(b.Data)) }
	if !slices.Equal(sorted(f.seen[BatchPaired]), sorted(f.seen[BatchGibbs])) {
		t.Error("the partners are not a permutation of y")
	}
}

// Conjugate solves start at the guess; rows whose guess is not finite start at the
// particles' last solutions. An error of the guess ends the step.
func TestCMFGenGuess(t *testing.T) {
	c, f := newLoop(t)
	f.s[0], f.s[1] = .1, 3
	iterations := func(guess func(y, x blas32.General) error) (mean float64, masked int) {
		c.Guess = guess
		info, err := c.Step()
		if err != nil {
			t.Fatal(err)
		}
		return info.Conjugate.MeanIterations(), info.Masked
	}
	cold, _ := iterations(nil)
	exact := func(y, x blas32.General) error {
		for i := range y.Rows {
			for k, v := range batch.Row(y, i) {
				batch.Row(x, i)[k] = v/f.s[k] + f.c[k]
			}
		}
		return nil
	}
	if warm, masked := iterations(exact); !(warm < .1 && cold > 1) || masked > 0 {
		t.Errorf("%g iterations without a guess, %g from an exact one, %d rows masked", cold, warm, masked)
	}
	if _, masked := iterations(func(_, x blas32.General) error { x.Data[5] = float32(math.NaN()); return nil }); masked > 0 {
		t.Errorf("a guess that is not finite masks %d rows", masked)
	}
	sorry := errors.New("sorry")
	c.Guess = func(_, _ blas32.General) error { return sorry }
	if _, err := c.Step(); !errors.Is(err, sorry) {
		t.Errorf("an error of the guess: %v", err)
	}
}
