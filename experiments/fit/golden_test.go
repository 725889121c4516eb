package fit_test

import (
	"bytes"
	"maps"
	"math"
	"runtime"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
	"cmf/experiments/run"
)

// The losses of short runs equal recorded ones, so that no change of numbers goes
// unnoticed. After an intended change, replace them by those that the test prints.
func TestGoldenCurves(t *testing.T) {
	// On amd64 the instruction sets and the three backends of products agree to about
	// 1e-5 after 30 steps. Other processors may fuse and order sums differently.
	tolerance := 1e-4
	if runtime.GOARCH != "amd64" {
		tolerance = 1e-3
	}
	for _, c := range []struct {
		name       string
		definition run.Definition[plane.Config]
		variables  map[string]string
		want       []float64 // the loss at steps 1, 10, 20, 30
	}{
		{"CMFGen, dual", plane.Moons, nil, []float64{1.91878, 1.686857, 1.483022, 1.483887}},
		{"CMFGen, pairs by ULA and L-BFGS", plane.Moons, map[string]string{"CMF_LOSS": "pairs", "CMF_SAMPLER": "ula", "CMF_CONJUGATE": "lbfgs"}, []float64{1.347168, 1.059678, .3497639, .4024761}},
		{"CMFGen, enot", plane.Moons, map[string]string{"CMF_LOSS": "dual+0.1*enot"}, []float64{1.927729, 1.690664, 1.482661, 1.495568}},
		{"CMFGen, likelihood", plane.Moons, map[string]string{"CMF_LOSS": "likelihood"}, []float64{.8357971, .2197821, -.3803114, -.7428871}},
		{"CMFGen, Sinkhorn", plane.Moons, map[string]string{"CMF_LOSS": "dual+0.1*sinkhorn"}, []float64{2.010529, 1.748103, 1.410797, 1.586143}},
		{"CMFGen, units of kind maximum", plane.Moons, map[string]string{"CMF_UNIT": "maximum"}, []float64{2.287813, 1.690745, 1.740606, 1.600752}},
		{"CMFGen, quadratics", plane.Moons, map[string]string{"CMF_POTENTIAL": "quadratics"}, []float64{1.478271, 1.544387, 1.282338, 1.485807}},
		{"CMFMA, monge-ampere", valley, nil, []float64{3.504395, 3.242392, 1.526293, 9.90166}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_STEPS=30")
			maps.Copy(env, c.variables)
			r, err := run.Execute(t.Context(), c.definition, env, nil, new(bytes.Buffer))
			if err != nil {
				t.Fatal(err)
			}
			curves, err := report.ReadMetricsLog(r.Folder)
			if err != nil {
				t.Fatal(err)
			}
			loss := curves["loss"].Y
			got := []float64{loss[0], loss[9], loss[19], loss[29]}
			for k, want := range c.want {
				if math.Abs(got[k]-want) > tolerance*math.Abs(want) {
					t.Fatalf("losses %.7g, want %.7g within %g of each", got, c.want, tolerance)
				}
			}
			t.Logf("losses %.7g", got)
		})
	}
}
