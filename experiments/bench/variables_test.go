package main

import (
	"os"
	"path/filepath"
	"testing"

	"cmf/experiments/internal/inputs"
)

func FuzzVariables(f *testing.F) { inputs.FuzzVariables(f, inputs.Command{Experiment: Bench}) }

func TestVariables(t *testing.T) { inputs.TestVariables(t, inputs.Command{Experiment: Bench}) }

// The benchmark has none of the variables of learning.
func TestBenchVariables(t *testing.T) {
	inputs.TestNames(t, inputs.Command{Experiment: Bench},
		"PRESET OUT VM BLAS THREADS WATCH DATA_DIR CASES RUNS TRAIN WEIGHTS KERNELS SWEEP PEER ROUNDS")
}

func TestBadInputs(t *testing.T) {
	source, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	inputs.TestBad(t, filepath.Join(source, "testdata", "bad_inputs.md"),
		inputs.Bad{Command: Bench, What: "an unknown case", Variables: "CASES=small/gard"},
		inputs.Bad{Command: Bench, What: "an empty case", Variables: "CASES=small,"},
		inputs.Bad{Command: Bench, What: "no run", Variables: "RUNS=0"},
		inputs.Bad{Command: Bench, What: "a negative number of iterations", Variables: "TRAIN=-1"},
		inputs.Bad{Command: Bench, What: "no round", Variables: "ROUNDS=0"},
		inputs.Bad{Command: Bench, What: "a word for yes", Variables: "KERNELS=perhaps"},
		inputs.Bad{Command: Bench, What: "an absent folder of weights", Variables: "CASES=tiny-trained/grad KERNELS=false SWEEP=false WEIGHTS=absent"},
		inputs.Bad{Command: Bench, What: "a variable of learning", Variables: "STEPS=10"},
	)
}
