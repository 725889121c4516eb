package experiments

import (
	"bytes"
	"math"
	"path/filepath"
	"testing"

	"cmf/data/table"
	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"

	"golang.org/x/sys/cpu"
)

// testdata/saved holds checkpoints that an earlier version wrote after 5 steps, for a table
// and for pictures in principal directions, with the points that it drew from them and its
// values at points: samples.npy, densities.npy, gradients.npy.
var saved = filepath.Join("testdata", "saved")

// sameBits says whether this processor has the instructions with which the arrays of
// testdata/saved were computed; others round products differently.
var sameBits = cpu.X86.HasAVX512F

func TestEarlierCheckpointsDrawTheSame(t *testing.T) {
	for _, c := range []struct{ name, points, count string }{
		{"samples", "points.csv", "64"},
		{"cartoon", "samples.npy", "4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := filepath.Join(saved, c.name)
			env := earlier(t, "CMF_CHECKPOINT="+filepath.Join(folder, "checkpoint.safetensors"),
				"CMF_POINTS="+filepath.Join(folder, c.points), "CMF_COUNT="+c.count, "CMF_MIXING=20")
			if _, err := run.Execute(t.Context(), Generate, env, nil, new(bytes.Buffer)); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"samples.npy", "densities.npy", "gradients.npy"} {
				want, err := table.ReadBatch(filepath.Join(folder, file))
				if err != nil {
					t.Fatal(err)
				}
				got, err := table.ReadBatch(filepath.Join(env["CMF_OUT"], file))
				if err != nil {
					t.Fatal(err)
				}
				if got.Rows != want.Rows || got.Cols != want.Cols {
					t.Fatalf("%s has shape (%d, %d), want (%d, %d)", file, got.Rows, got.Cols, want.Rows, want.Cols)
				}
				for i, v := range want.Data {
					off := math.Abs(float64(got.Data[i] - v))
					if sameBits && off > 0 || !(off <= 1e-3*(1+math.Abs(float64(v)))) {
						t.Fatalf("%s: value %d is %v, want %v", file, i, got.Data[i], v)
					}
				}
			}
		})
	}
}

func TestEarlierCheckpointsGoOn(t *testing.T) {
	resume := func(name string) []string {
		return []string{
			"CMF_RESUME=" + filepath.Join(saved, name, "checkpoint.safetensors"), "CMF_PRESET=quick", "CMF_STEPS=8",
			"CMF_BATCH=32", "CMF_MIXING=20", "CMF_THREADS=1",
		}
	}
	t.Run("samples", func(t *testing.T) {
		env := earlier(t, append(resume("samples"), "CMF_DATA_FILE="+filepath.Join(saved, "samples", "points.csv"), "CMF_COUNT=64",
			"CMF_PARTICLES=64", "CMF_HIDDEN=8,8")...)
		r, err := run.Execute(t.Context(), Samples, env, nil, new(bytes.Buffer))
		checkResumed(t, r, err, 2.303497, 2.73309, 2.345627)
	})
	t.Run("cartoon", func(t *testing.T) {
		env := earlier(t, append(resume("cartoon"), "CMF_DATA_DIR="+t.TempDir(), "CMF_SIDE=8",
			"CMF_COMPONENTS=6", "CMF_KNOTS=2", "CMF_PICTURES=1000", "CMF_SAMPLES=64", "CMF_PARTICLES=32", "CMF_HIDDEN=8")...)
		r, err := run.Execute(t.Context(), Cartoon, env, nil, new(bytes.Buffer))
		checkResumed(t, r, err, 28.66729, 22.29759, 27.32312)
	})
}

// earlier are variables for a run with the products of testdata/saved if this processor has
// them.
func earlier(t *testing.T, variables ...string) config.Environment {
	t.Helper()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // nothing is downloaded
	env := config.Variables("CMF_OUT=" + t.TempDir()).With(variables...)
	if sameBits {
		env["CMF_BLAS"] = "native"
	}
	return env
}

// checkResumed compares the losses of the steps after a checkpoint.
func checkResumed(t *testing.T, r *run.Run, err error, want ...float64) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	curves, err := report.ReadMetricsLog(r.Folder)
	if err != nil {
		t.Fatal(err)
	}
	got := curves["loss"]
	if len(got.Y) != len(want) || got.X[0] != 6 {
		t.Fatalf("losses of steps %v; want those of 6 to 8", got.X)
	}
	tolerance := 1e-3
	if sameBits {
		tolerance = 1e-5
	}
	for k, v := range want {
		if math.Abs(got.Y[k]-v) > tolerance*v {
			t.Errorf("losses %.7g, want %.7g", got.Y, want)
			break
		}
	}
}
