package solvers

import (
	"math"
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/optim"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
)

// CMFGen with points that stand still learns the Monge map between two Gaussians: ∇w takes
// ρ to the law of the points. Their number is no multiple of the minibatch, and each has
// its turn.
func TestCMFGenStill(t *testing.T) {
	variances, others := []float64{4, .25, 1}, []float64{1, 2.25, 9}
	target, err := exact.NewGaussian([]float64{2, 0, -1}, mat.NewDiagDense(3, slices.Clone(variances)))
	if err != nil {
		t.Fatal(err)
	}
	source, err := exact.NewGaussian([]float64{-1, 3, 0}, mat.NewDiagDense(3, slices.Clone(others)))
	if err != nil {
		t.Fatal(err)
	}
	const n = 5000
	y := source.Sample(n, random.New(1, "source", 0))
	state, err := NewStillState(y, y, 128, random.New(1, "test", 0))
	if err != nil {
		t.Fatal(err)
	}
	schedule, err := optim.NewSchedule("cosine", .01, 1500, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := newBowl(3)
	c := &CMFGen{
		Potential: b, Objective: b, Data: law{target, random.New(1, "data", 0)}, Still: true, State: state,
		Conjugate: &conjugate.BarzilaiBorwein{}, Adam: optim.Adam{LR: .03, Schedule: schedule},
	}
	c.Sampler.Adjusted = true // not used
	for k := range 1500 {
		info, err := c.Step()
		if err != nil || info.Skipped {
			t.Fatalf("step %d: %v, skipped %t", k, err, info.Skipped)
		}
	}
	if want := 1500 * 128 % n; state.Next != want {
		t.Errorf("the next minibatch begins at row %d, want %d", state.Next, want)
	}
	if !slices.Equal(state.Bank.Y.Data, y.Data) {
		t.Error("points moved")
	}
	for k, v := range variances {
		slope := math.Sqrt(others[k] / v)
		if got := float64(b.s[k]); math.Abs(got-slope) > .05*slope {
			t.Errorf("slope along axis %d is %g, want %g", k, got, slope)
		}
		if got, want := float64(b.c[k]), target.Mean[k]-source.Mean[k]/slope; math.Abs(got-want) > .15 {
			t.Errorf("centre along axis %d is %g, want %g", k, got, want)
		}
	}
	for _, size := range []int{0, n + 1} {
		if _, err := NewStillState(y, y, size, random.New(1, "", 0)); err == nil {
			t.Errorf("minibatches of %d from %d points were accepted", size, n)
		}
	}
	if _, err := NewStillState(y, batch.New(n, 2), 10, random.New(1, "", 0)); err == nil {
		t.Error("partners of another width were accepted")
	}
}
