package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"
)

// nowhere is a loss that is never finite, log(−1 − E[w(x)²]).
type nowhere struct{}

func (nowhere) Name() string { return "nowhere" }

func (nowhere) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData} }

func (nowhere) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	return s.Log(s.Affine(-1, s.Mean(s.Square(w.Value(s, batch(solvers.BatchData)))), -1))
}

// A run that diverges says what to change, also in its report. It leaves its last good
// weights, from which a run with other settings can go on.
func TestDivergedRun(t *testing.T) {
	ends := func(run func() (*run.Run, error), folder string, kind error, variable string) string {
		t.Helper()
		_, err := run()
		if !errors.Is(err, solvers.ErrDiverged) || !errors.Is(err, kind) || !strings.Contains(err.Error(), variable) {
			t.Fatalf("the error %v is not of %v or does not name %s", err, kind, variable)
		}
		text, err := os.ReadFile(filepath.Join(folder, "report.json"))
		if err != nil {
			t.Fatal(err)
		}
		var left report.Report
		if err := json.Unmarshal(text, &left); err != nil {
			t.Fatal(err)
		}
		if left.Stop.Reason != report.Diverged || !strings.Contains(left.Stop.Text, variable) || left.Metrics["train_restored_weights"] != 3 {
			t.Errorf("the report says %+v and metrics %v", left.Stop, left.Metrics)
		}
		for name, w := range exptest.LoadCheckpoint(t, folder).Tensors {
			for _, v := range w.F32 {
				if v-v != 0 {
					t.Fatalf("%s of the checkpoint is not finite", name)
				}
			}
		}
		return filepath.Join(folder, "checkpoint.safetensors")
	}

	definition := plane.Moons
	definition.Do = func(ctx context.Context, r *run.Run, c *plane.Config) error {
		x := exact.StandardGaussian(2).Sample(1000, random.New(1, "points", 0))
		w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: c.Hidden})
		if err != nil {
			return err
		}
		_, err = fit.Fit(ctx, r, &c.Core, fit.Problem{Potential: w, Start: layers.Start{Law: exact.StandardGaussian(2)}, Train: x, Decay: .98, Terms: []losses.Term{nowhere{}}})
		return err
	}
	out := t.TempDir()
	env := config.Variables("CMF_OUT="+out, "CMF_LOSS=nowhere", "CMF_LR=1", "CMF_STEPS=200", "CMF_HIDDEN=8")
	checkpoint := ends(func() (*run.Run, error) { return run.Execute(t.Context(), definition, env, nil, io.Discard) }, out, potential.ErrLoss, "CMF_LR=0.1 instead of 1")
	env = env.With("CMF_OUT="+t.TempDir(), "CMF_LOSS=dual", "CMF_LR=0.001", "CMF_RESUME="+checkpoint)
	r, err := run.Execute(t.Context(), definition, env, nil, io.Discard)
	if err != nil || r.Report.Steps != 200 || r.Report.Metrics["train_restored_weights"] > 3 {
		t.Fatalf("going on with other settings: error %v", err)
	}

	calls := 0
	energy := EnergyOf("failing", userEnergy(t, 3, func(x mat.Vector) float64 {
		if calls++; calls > 700_000 {
			return math.NaN()
		}
		return mat.Dot(x, x) / 2
	}))
	out = t.TempDir()
	ends(func() (*run.Run, error) {
		r, _, err := runEnergy(t, energy, "CMF_OUT="+out, "CMF_LOSS=monge-ampere", "CMF_STEPS=200", "CMF_HIDDEN=8", "CMF_LR=0.001", "CMF_THREADS=1")
		return r, err
	}, out, potential.ErrEnergy, "CMF_ENERGY")
}
