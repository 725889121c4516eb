//go:build unix

package latent_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/latent"
	"cmf/experiments/run"
	"cmf/experiments/train"
	"cmf/graph"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"
	"cmf/solvers/mpi"
	"cmf/solvers/mpi/mpitest"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

type spotsConfig struct {
	config.Core
	latent.Config
}

// spots learns an autoencoder of small pictures of a spot.
var spots = run.Definition[spotsConfig]{
	Name:    "spots",
	Presets: map[string]func(*spotsConfig){"default": func(c *spotsConfig) { c.Latents, c.Passes = 3, 1 }},
	Do: func(ctx context.Context, r *run.Run, c *spotsConfig) error {
		x := spotted(2000)
		u, err := c.Learn(ctx, r, &c.Core, latent.Set{Train: x, Height: 8, Width: 8, Channels: 1, Loss: autoencoder.Bernoulli})
		if err != nil || u == nil {
			return err
		}
		z, err := u.Learning(x)
		if err != nil {
			return err
		}
		again, err := u.Data(z, nil)
		if err != nil {
			return err
		}
		var sum float64
		for i, v := range again.Data {
			sum += float64(v-x.Data[i]) * float64(v-x.Data[i])
		}
		r.Report.Metrics["error"] = sum / float64(len(x.Data))
		fmt.Printf("rank %d has the error %.9f\n", r.World.Rank(), r.Report.Metrics["error"])
		return nil
	},
}

// spotted are n pictures of 8×8 pixels with a spot somewhere.
func spotted(n int) blas32.General {
	rng, x := random.New(5, "spots", 0), batch.New(n, 64)
	for i := range n {
		row, column := 1.5+5*rng.Float64(), 1.5+5*rng.Float64()
		for k := range 64 {
			down, across := float64(k/8)-row, float64(k%8)-column
			batch.Row(x, i)[k] = float32(math.Exp(-(down*down + across*across) / 3))
		}
	}
	return x
}

// ended is the variable with the step after which the last rank of a test gets a signal.
const ended = "RANK_ENDED"

// TestRank is what each rank of TestRanksLearnAnAutoencoder does.
func TestRank(t *testing.T) {
	text := os.Getenv(ended)
	if text == "" {
		t.Skip("it is for the ranks of another test")
	}
	world, err := mpi.Join()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hook := train.Hook[*latent.Training]{Step: func(l *train.Loop[*latent.Training]) error {
		if fmt.Sprint(l.Step()) == text && world.Rank() == world.Size()-1 {
			cancel()
		}
		return nil
	}}
	if _, err := run.Execute(train.WithHooks(ctx, hook), spots, config.OS(), nil, os.Stderr); err != nil {
		fmt.Println(err)
		world.Abort(1)
		t.Fatal(err)
	}
	world.Finalize()
}

// Ranks learn one autoencoder together: as good as that of one process, the same again, and
// the same where a signal to one rank ended training and CMF_RESUME went on.
func TestRanksLearnAnAutoencoder(t *testing.T) {
	l := mpitest.Launchers(t)[0]
	onRanks := func(n, signal int, folder string, variables ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		variables = append(variables, fmt.Sprint(ended, "=", signal), "CMF_OUT="+folder, "CMF_THREADS=1")
		out, err := l.Command(ctx, n, variables, os.Args[0], "-test.run=^TestRank$", "-test.v").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	folder := t.TempDir()
	one, err := run.Execute(t.Context(), spots, config.Variables("CMF_THREADS=1", "CMF_OUT="+folder), nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	whole, stopped := t.TempDir(), t.TempDir()
	out := onRanks(2, 0, whole)
	want := exptest.LoadCheckpoint(t, whole)
	var rank int
	var found [2]float64
	for line := range strings.Lines(out) {
		var v float64
		if _, err := fmt.Sscanf(line, "rank %d has the error %f", &rank, &v); err == nil {
			found[rank] = v
		}
	}
	alone := one.Report.Metrics["error"]
	t.Logf("mean squared errors: %.5f on one rank, %.5f on two", alone, found[0])
	if found[0] != found[1] || !(found[0] < 1.15*alone) || found[0] == alone {
		t.Errorf("the errors are %g, and %g on one rank", found, alone)
	}
	if want.Texts["ranks"] != "2" || want.Texts["autoencoder.noise"] == want.Texts["rank.1.autoencoder.noise"] {
		t.Errorf("the checkpoint is of %s ranks, with streams %s and %s", want.Texts["ranks"], want.Texts["autoencoder.noise"], want.Texts["rank.1.autoencoder.noise"])
	}

	onRanks(2, 77, stopped)
	resume := filepath.Join(stopped, "checkpoint.safetensors")
	if at := exptest.LoadCheckpoint(t, stopped).Texts["autoencoder.step"]; at != "78" {
		t.Errorf("training ended after step %s, want 78", at)
	}
	anew := config.Variables("CMF_THREADS=1", "CMF_OUT="+t.TempDir(), "CMF_RESUME="+resume)
	other, err := run.Execute(t.Context(), spots, anew, nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(other.Report.Notes, "\n"); !strings.Contains(notes, "on 2 ranks, and this one is on 1") || !(other.Report.Metrics["error"] < 1.15*alone) {
		t.Errorf("resumed on one rank, the error is %g, and the notes are %s", other.Report.Metrics["error"], notes)
	}
	onRanks(2, 0, stopped, "CMF_RESUME="+resume)
	same(t, want, exptest.LoadCheckpoint(t, stopped))
}

func same(t *testing.T, a, b *graph.Checkpoint) {
	t.Helper()
	for name, tensor := range a.Tensors {
		if !slices.Equal(tensor.F32, b.Tensors[name].F32) {
			t.Errorf("%s differs", name)
		}
	}
	for name, text := range a.Texts {
		if b.Texts[name] != text && !strings.Contains(name, "config") {
			t.Errorf("%s is %s, and %s", name, text, b.Texts[name])
		}
	}
}
