package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cmf/data"
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

// extreme is an experiment on a law of a given scale: what it sets, and the metric
// that the table shows, over the floor where there is one.
type extreme struct {
	name   string
	set    func(t *testing.T, scale float64) map[string]string
	run    run.Experiment
	metric string
}

var extremes = []extreme{
	{"samples", func(t *testing.T, scale float64) map[string]string {
		return map[string]string{"CMF_DATA_FILE": moonsAt(t, scale), "CMF_COUNT": "256", "CMF_MIXING": "20"}
	}, Samples, "w2"},
	{"toy2d", func(t *testing.T, scale float64) map[string]string {
		return map[string]string{"CMF_DATASET": moonsAt(t, scale), "CMF_SAMPLES": "128", "CMF_MIXING": "20"}
	}, Toy2D, "w2"},
	{"gaussian", func(_ *testing.T, scale float64) map[string]string {
		v := scale * scale
		return map[string]string{"CMF_COV": fmt.Sprintf("%g,%g;%g,%g", 2*v, 1.2*v, 1.2*v, v), "CMF_POINTS": "2000", "CMF_CHAIN": "40"}
	}, Gaussian, "cmfgen.uvp_percent"},
	{"energy", func(_ *testing.T, scale float64) map[string]string {
		return map[string]string{"CMF_MIXTURE": fmt.Sprintf("1,%g,0,%g;1,%g,0,%g", -2*scale, scale/2, 2*scale, scale/2), "CMF_SAMPLES": "128", "CMF_CHAIN": "40"}
	}, Energy, "w2"},
	{"mnist", func(t *testing.T, _ float64) map[string]string {
		return map[string]string{"CMF_DATA_DIR": t.TempDir(), "CMF_HIDDEN": "64", "CMF_TRAIN": "1000", "CMF_SAMPLES": "128", "CMF_MIXING": "20", "CMF_LIKELIHOOD": "0"}
	}, MNIST, "energy_distance"},
}

// moonsAt is a file of two moons at the scale.
func moonsAt(t *testing.T, scale float64) string {
	moons, err := data.Toy("moons")
	if err != nil {
		t.Fatal(err)
	}
	x := moons.Sample(random.New(1, "points", 0), 2000)
	for i := range x.Data {
		x.Data[i] *= float32(scale)
	}
	path := filepath.Join(t.TempDir(), "moons.npy")
	if err := data.WriteNPY(path, x); err != nil {
		t.Fatal(err)
	}
	return path
}

// at runs a cell and says how it ended. A result that is not finite, a message that
// names no variable and a run that takes too long fail the test.
func (s extreme) at(t *testing.T, scale, lr float64, steps int) (end string) {
	t.Helper()
	t.Run(fmt.Sprintf("%s/scale %g/rate %g", s.name, scale, lr), func(t *testing.T) {
		t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // nothing is downloaded
		env := config.Environment{
			"CMF_OUT": t.TempDir(), "CMF_PRESET": "quick", "CMF_LR": fmt.Sprint(lr), "CMF_STEPS": fmt.Sprint(steps),
			"CMF_BATCH": "64", "CMF_HIDDEN": "16", "CMF_PARTICLES": "128", "CMF_THREADS": "1",
		}
		maps.Copy(env, s.set(t, scale))
		begun := time.Now()
		r, err := s.run.Execute(t.Context(), env, io.Discard)
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		if err != nil {
			end = err.Error()
			if !regexp.MustCompile(`CMF_(LR|SAMPLER|CONJUGATE|COV|MIXTURE|DATASET|DATA_FILE)`).MatchString(end) {
				t.Errorf("the message names no variable to change: %s", end)
			}
			return
		}
		for name, v := range r.Report.Metrics {
			// The shape of the weights' tail is NaN where few weights are above 0.
			if (math.IsNaN(v) || math.IsInf(v, 0)) && name != "weights_tail" {
				t.Errorf("%s is %g", name, v)
			}
		}
		end = fmt.Sprintf("%.3g", r.Report.Metrics[s.metric])
		if floor, ok := r.Report.Floor[s.metric]; ok {
			end = fmt.Sprintf("%.3g", r.Report.Metrics[s.metric]/floor)
		}
		if n := r.Report.Metrics["train_restored_weights"]; n > 0 {
			end += fmt.Sprintf(" (restored %g×)", n)
		}
	})
	return end
}

// At the ends of what is allowed runs end in a result or in a message that says what
// to change. With the folder DIVERGENCE_STUDY, learning rates by data scales as a table:
// the metric over data against data (mnist: the energy distance over its floor), or
// the message.
func TestRatesAndScales(t *testing.T) {
	folder := os.Getenv("DIVERGENCE_STUDY")
	if folder == "" {
		first := 0
		if testing.Short() {
			first = 1 // samples and toy2d read the same files
		}
		for _, s := range extremes[first:4] {
			s.at(t, 1e3, 1, 15)
		}
		extremes[1].at(t, 1e-3, 1e-6, 15)
		return
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	rates := []float64{1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1}
	head := "| experiment | scale |"
	for _, lr := range rates {
		head += fmt.Sprintf(" %g |", lr)
	}
	table := head + "\n|---|---|" + strings.Repeat("---|", len(rates)) + "\n"
	for _, s := range extremes {
		scales := []float64{1e-3, 1e-2, 1e-1, 1, 1e1, 1e2, 1e3}
		if s.name == "mnist" {
			scales = []float64{1}
		}
		for _, scale := range scales {
			table += fmt.Sprintf("| %s | %g |", s.name, scale)
			for _, lr := range rates {
				table += " " + s.at(t, scale, lr, 100) + " |"
			}
			table += "\n"
			if err := os.WriteFile(filepath.Join(folder, "divergence.md"), []byte(table), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Log("\n" + table)
}

// nowhere is a loss that is never finite, log(−1 − E[w(x)²]).
type nowhere struct{}

func (nowhere) Name() string { return "nowhere" }

func (nowhere) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData} }

func (nowhere) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	return s.Log(s.Affine(-1, s.Mean(s.Square(w.Value(s, batch(solvers.BatchData)))), -1))
}

// A run that diverges says what to change, in its report too, and leaves its last
// good weights, from which a run with other settings goes on.
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
		if calls++; calls > 300_000 {
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
