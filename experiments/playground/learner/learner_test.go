package learner_test

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/experiments"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/playground/learner"
	"cmf/experiments/run"
	"cmf/experiments/train"
	"cmf/layers"
	"cmf/solvers/line"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

func few(o learner.Options) learner.Options {
	o.Set, o.Width, o.Layers, o.Batch, o.Steps, o.Seed = "moons", 16, 2, 64, 12, 3
	return o
}

var kinds = map[string]learner.Options{
	"icnn":       {Loss: "dual", Potential: layers.NetworkICNN, Source: learner.Gibbs, Sampler: "mala"},
	"quadratics": {Loss: "dual", Potential: layers.NetworkQuadratics, Source: learner.Gibbs, Sampler: "mala"},
	"baseline":   {Loss: "dual+0.1*pairs", Potential: layers.NetworkICNN, Source: learner.Gaussian, Sampler: "ula"},
}

// The playground learns as the command toy2d, to the same bits, and its checkpoint is the
// same model: generate draws the same points from it as the playground.
func TestLearnsAsToy2D(t *testing.T) {
	for name, o := range kinds {
		t.Run(name, func(t *testing.T) {
			o := few(o)
			folder, points := t.TempDir(), "10000"
			if o.Potential == layers.NetworkQuadratics {
				points = "4000"
			}
			env := config.Variables("CMF_PRESET=quick", "CMF_DATASET=moons", "CMF_HIDDEN=16,16", "CMF_POINTS="+points, "CMF_BATCH=64", "CMF_PARTICLES=1024", "CMF_STEPS=12", "CMF_SEED=3",
				"CMF_THREADS=1", "CMF_LOSS="+o.Loss, "CMF_POTENTIAL="+string(o.Potential), "CMF_SOURCE="+o.Source, "CMF_SAMPLER="+string(o.Sampler), "CMF_OUT="+folder)
			ctx, cancel := context.WithCancel(t.Context())
			ctx = train.WithHooks(ctx, fit.Hook{End: func(*fit.Loop) error {
				cancel() // what follows is not needed
				return nil
			}})
			if _, err := run.Execute(ctx, experiments.Toy2D, env, nil, io.Discard); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			want, err := fit.LoadModel(filepath.Join(folder, "checkpoint.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			l := learned(t, o)
			got := loaded(t, l)
			for _, pair := range [][2]blas32.General{{got.State.Bank.Y, want.State.Bank.Y}, {got.State.Partners, want.State.Partners}} {
				if !slices.Equal(pair[0].Data, pair[1].Data) {
					t.Fatal("the particles differ")
				}
			}
			for _, p := range want.Evaluator.Potential().Params().All() {
				if !slices.Equal(p.Float32s(), got.Evaluator.Potential().Params().ByName(p.Name).Float32s()) {
					t.Errorf("the weights %s differ", p.Name)
				}
			}
			draw, err := want.Draw(t.Context(), 100, 20, random.New(3, "generation", 0))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(drawn(t, l, 100, 20).Data, draw.Points.Data) {
				t.Error("the points drawn differ")
			}
		})
	}
}

func learned(t *testing.T, o learner.Options) *learner.Learner {
	t.Helper()
	l, err := learner.New(o, blas32.General{})
	if err != nil {
		t.Fatal(err)
	}
	for !l.Finished() {
		if _, err := l.Step(); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func drawn(t *testing.T, l *learner.Learner, n, mixing int) blas32.General {
	t.Helper()
	d, err := l.Draw(n, mixing)
	if err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		if done, err = d.Step(); err != nil {
			t.Fatal(err)
		}
	}
	return d.Points()
}

// loaded is the model of the checkpoint, as a command reads it.
func loaded(t *testing.T, l *learner.Learner) *fit.Model {
	t.Helper()
	text, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "checkpoint.safetensors")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := fit.LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The checkpoint of an unfinished training has the averaged weights and the units of the
// points, and taking it changes nothing of the training.
func TestCheckpointWhileLearning(t *testing.T) {
	o := few(kinds["icnn"])
	points := blas32.General{Rows: 300, Cols: 2, Stride: 2, Data: make([]float32, 600)}
	random.New(1, "points", 0).Normals(points.Data)
	for i := range points.Data {
		points.Data[i] = 1000 + 50*points.Data[i]
	}
	take := func(at int) *learner.Learner {
		l, err := learner.New(o, points)
		if err != nil {
			t.Fatal(err)
		}
		for l.State().Step < 8 {
			if l.State().Step == at {
				m := loaded(t, l)
				draw := drawn(t, l, 50, 10)
				other, err := m.Draw(t.Context(), 50, 10, random.New(o.Seed, "generation", 0))
				if err != nil {
					t.Fatal(err)
				}
				x, err := m.Units().Data(other.Points, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(x.Data, draw.Data) {
					t.Errorf("the model draws %v, the playground %v", x.Data[:4], draw.Data[:4])
				}
				if v := new(learner.Viewer); true {
					if _, err := l.See(v); err != nil {
						t.Error(err)
					}
				}
			}
			if _, err := l.Step(); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	if a, b := take(5), take(-1); !slices.Equal(a.State().Bank.Y.Data, b.State().Bank.Y.Data) {
		t.Error("a checkpoint changes what is learned")
	}
}

func TestRefusals(t *testing.T) {
	good := few(kinds["icnn"])
	for want, change := range map[string]func(o *learner.Options){
		"unknown toy set":                     func(o *learner.Options) { o.Set = "moon" },
		"unknown term":                        func(o *learner.Options) { o.Loss = "dul" },
		"the term monge-ampere":               func(o *learner.Options) { o.Loss = "monge-ampere" },
		"unknown method":                      func(o *learner.Options) { o.Sampler = "hmc" },
		"source \"noise\": allowed are gibbs": func(o *learner.Options) { o.Source = "noise" },
		"potential \"mlp\": allowed are icnn": func(o *learner.Options) { o.Potential = "mlp" },
		"width 0: allowed are 1 to 256":       func(o *learner.Options) { o.Width = 0 },
		"steps 0: allowed are 1 to 100000":    func(o *learner.Options) { o.Steps = 0 },
		"batch 1: allowed are 2 to 1024":      func(o *learner.Options) { o.Batch = 1 },
		"layers 9: allowed are 1 to 4":        func(o *learner.Options) { o.Layers = 9 },
	} {
		o := good
		change(&o)
		if _, err := learner.New(o, blas32.General{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// An energy is learned from its values: the residual falls, and the images of the particles
// come to follow its law.
func TestLearnsAnEnergy(t *testing.T) {
	o := few(kinds["icnn"])
	o.Loss, o.Steps, o.Batch, o.Width = "monge-ampere", 600, 128, 24
	l, err := learner.NewEnergy(o, []learner.Bump{{X: -1, Y: 0, SD: .5}, {X: 1.2, Y: .4, SD: .4}})
	if err != nil {
		t.Fatal(err)
	}
	const steps, some = 600, 10
	distance := func() float64 {
		d, err := l.Distance()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first, last, before, after := 0., 0., distance(), 0.
	for !l.Finished() {
		info, err := l.Step()
		if err != nil {
			t.Fatal(err)
		}
		step := l.State().Step
		if step <= some {
			first += info.Loss / some
		}
		if step > steps-some {
			last += info.Loss / some
		}
		if step > steps/2 && step%(steps/2/some) == 0 {
			after += distance() / some // which minibatches of particles there are changes it
		}
	}
	if !(last < first/5) || !(after < before/2) || !(after < .1) {
		t.Errorf("the variance of the residual went from %.3f to %.3f, the distance from %.3f to %.3f", first, last, before, after)
	}
	m := loaded(t, l)
	if got := m.Units().Dim(2); got != 2 {
		t.Errorf("units of %d coordinates", got)
	}
	if _, err := learner.NewEnergy(o, nil); err == nil {
		t.Error("no bumps are accepted")
	}
}

// On the line the learned potential comes to the fixed point.
func TestLearnsOnTheLine(t *testing.T) {
	o := few(kinds["icnn"])
	o.Steps, o.Batch, o.Width, o.Layers = 300, 128, 32, 2
	l, err := learner.NewLine(o, []line.Component{{Weight: .5, Mean: -1.5, SD: .5}, {Weight: .5, Mean: 1.5, SD: .5}})
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.See()
	if err != nil {
		t.Fatal(err)
	}
	for !l.Finished() {
		if _, err := l.Step(); err != nil {
			t.Fatal(err)
		}
	}
	after, err := l.See()
	if err != nil {
		t.Fatal(err)
	}
	if !l.Exact.Converged || !(after.UVP < before.UVP/5) || !(after.UVP < 2) {
		t.Errorf("fixed point to %.2g; UVP from %.2f %% to %.2f %%", after.Residual, before.UVP, after.UVP)
	}
	var mass float64
	for i := 1; i < len(after.X); i++ {
		mass += float64((after.X[i] - after.X[i-1]) * after.Learned[i])
	}
	if math.Abs(mass-1) > .02 {
		t.Errorf("the learned Gibbs factor has the mass %.3f", mass)
	}
}
