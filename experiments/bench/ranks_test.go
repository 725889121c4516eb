package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/mpi/mpitest"
)

// TestRank is what each rank of TestBenchRanks does.
func TestRank(t *testing.T) {
	if os.Getenv("RANK_OF") == "" {
		t.Skip("it is for the ranks of another test")
	}
	r, err := run.Execute(t.Context(), Bench, config.OS(), nil, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	r.World.Finalize()
}

func TestBenchRanks(t *testing.T) {
	for _, l := range mpitest.Launchers(t) {
		folder := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		variables := []string{"RANK_OF=bench", "CMF_CASES=tiny/grad", "CMF_RUNS=3", "CMF_ROUNDS=1", "CMF_THREADS=1", "CMF_OUT=" + folder}
		if out, err := l.Command(ctx, 2, variables, os.Args[0], "-test.run=^TestRank$").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", l.Name, err, out)
		}
		text, err := os.ReadFile(filepath.Join(folder, "report.json"))
		if err != nil {
			t.Fatal(err)
		}
		var told report.Report
		if err := json.Unmarshal(text, &told); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			"tiny.alone.ms", "tiny.weak.ms", "tiny.strong.ms", "tiny.efficiency.weak", "sum_1000.ms", "sum_100000000.ms", "tiny.predicted.weak.10.1024",
		} {
			if v := told.Metrics[name]; !(v > 0) {
				t.Errorf("%s: %s is %g", l.Name, name, v)
			}
		}
		if small, large := told.Metrics["sum_1000.ms"], told.Metrics["sum_100000000.ms"]; !(small < large) {
			t.Errorf("%s: 1 kB takes %g ms, 100 MB take %g", l.Name, small, large)
		}
		table, err := os.ReadFile(filepath.Join(folder, "table.md"))
		if err != nil || !strings.Contains(string(table), "16 rows, 370 weights") {
			t.Errorf("%s: %v: %s", l.Name, err, table)
		}
		if _, err := os.Stat(filepath.Join(folder, "efficiency_tiny.png")); err != nil {
			t.Error(err)
		}
	}
}
