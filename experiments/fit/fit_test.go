package fit_test

import (
	"math"
	"strings"
	"testing"

	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
)

// Every choice of loss, source, start, sampler, solver, machine and backend of products
// fits two moons, with conjugates that are solved and a convex potential.
func TestEveryChoiceFits(t *testing.T) {
	for _, c := range [][]string{
		{},
		{"CMF_LOSS=pairs"},
		{"CMF_LOSS=dual+0.1*pairs"},
		{"CMF_SOURCE=gaussian"},
		{"CMF_INIT=identity"},
		{"CMF_SAMPLER=ula"},
		{"CMF_CONJUGATE=lbfgs"},
		{"CMF_CONJUGATE=newton"},
		{"CMF_BLAS=gonum"},
		{"CMF_THREADS=1"},
		{"CMF_UNIT=maximum"},
	} {
		t.Run(strings.Join(c, " "), func(t *testing.T) {
			r, err := plane.Run(t, c...)
			if err != nil {
				t.Fatal(err)
			}
			m := r.Report.Metrics
			// A Gaussian fit is at 0.0115, the untrained start at 0.175.
			if !(m["energy_distance"] < .006) {
				t.Errorf("energy distance %.4f", m["energy_distance"])
			}
			if m["conjugate_converged"] < .99 || math.IsNaN(m["conjugate_residual_max"]) {
				t.Errorf("share of conjugates solved: %v", m["conjugate_converged"])
			}
			if m["convexity_violation"] > 1e-6 || m["least_curvature"] <= 0 || m["fenchel_young_violation"] > 1e-5 {
				t.Errorf("not convex: violation %g, least curvature %g, Fenchel–Young %g", m["convexity_violation"], m["least_curvature"], m["fenchel_young_violation"])
			}
			t.Logf("energy distance %.4f", m["energy_distance"])
		})
	}
}

// The first losses on Gorgonia's machine equal those on the compiled plan, to rounding.
func TestTapeMachineTrainsAlike(t *testing.T) {
	var losses [2][]float64
	for i, vm := range []string{"plan", "tape"} {
		r, err := plane.Run(t, "CMF_VM="+vm, "CMF_STEPS=10")
		if err != nil {
			t.Fatal(err)
		}
		curves, err := report.ReadMetricsLog(r.Folder)
		if err != nil {
			t.Fatal(err)
		}
		losses[i] = curves["loss"].Y
	}
	for k, plan := range losses[0] {
		if tape := losses[1][k]; math.Abs(plan-tape) > 1e-4*math.Abs(plan) {
			t.Errorf("step %d: loss %v on plan, %v on tape", k+1, plan, tape)
		}
	}
}

// The same seed gives the same numbers; another seed gives others.
func TestRunsRepeat(t *testing.T) {
	var loss []float64
	for _, seed := range []string{"7", "7", "8"} {
		r, err := plane.Run(t, "CMF_SEED="+seed, "CMF_STEPS=40")
		if err != nil {
			t.Fatal(err)
		}
		curves, err := report.ReadMetricsLog(r.Folder)
		if err != nil {
			t.Fatal(err)
		}
		loss = append(loss, curves["loss"].Y[39])
	}
	if loss[0] != loss[1] || loss[0] == loss[2] {
		t.Errorf("losses at step 40 with seeds 7, 7, 8: %v", loss)
	}
}
