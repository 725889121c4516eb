//go:build unix

package study

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/internal/inputs"
	"cmf/experiments/internal/outcome"
	"cmf/experiments/report"
	"cmf/graph"
)

// A run that is killed at any moment goes on, and ends at the bits of one that was not.
func TestKilledRunsGoOn(t *testing.T) {
	r := execute(t, Interruption, "CMF_PRESET=quick", "CMF_SEED=6")
	table, err := os.ReadFile(r.Path("table.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", table)
	m := r.Report.Metrics
	if len(r.Report.Notes) > 0 || m["identical"] != m["kills"] {
		t.Errorf("%v of %v runs that were ended went on to the same bits: %s", m["identical"], m["kills"], strings.Join(r.Report.Notes, "\n"))
	}
	// The moments depend on the machine: a strike may come too late.
	if m["kills"]+m["late"] != 5 || m["kills"] < 2 || m["resumed"] < 1 || m["share"] != 1 {
		t.Errorf("want five strikes, most of them in time, got %v", m)
	}
	if rows := strings.Count(string(table), "\n| gaussian | "); rows != 5 {
		t.Errorf("table.md has %d strikes, want 5", rows)
	}
	if _, err := os.Stat(r.Path("index.html")); err != nil {
		t.Error(err)
	}
	differencesAreSeen(t, r.Path(filepath.Join("whole", "gaussian")))
}

// The death of a rank ends all, and the same number of them goes on to the same bits.
func TestKilledRanksGoOn(t *testing.T) {
	launcher, err := exec.LookPath("mpirun.openmpi")
	if err != nil {
		t.Skip("no Open MPI is installed: looked for mpirun.openmpi")
	}
	t.Setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
	t.Setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
	r := execute(t, Interruption, "CMF_PRESET=quick", "CMF_STRIKES=KILL@write", "CMF_RANKS=2", "CMF_LAUNCHER="+launcher+" --oversubscribe")
	if m := r.Report.Metrics; len(r.Report.Notes) > 0 || m["kills"]+m["late"] != 1 || m["identical"] != m["kills"] {
		t.Errorf("%v: %s", m, strings.Join(r.Report.Notes, "\n"))
	}
	if whole, err := outcome.Report(r.Path(filepath.Join("whole", "gaussian"))); err != nil || whole.Machine.Ranks != 2 {
		t.Errorf("the run that was left alone had %d ranks, %v", whole.Machine.Ranks, err)
	}
}

// differencesAreSeen alters copies of a finished run, each in one thing.
func differencesAreSeen(t *testing.T, whole string) {
	t.Helper()
	for _, c := range []struct {
		file, want string
		alter      func(text string) string
	}{
		{"", "", nil},
		{"metrics.jsonl", "row of metrics 000001 differs", func(text string) string { return strings.Replace(text, ":", ": ", 1) }},
		{"cmfma/metrics.jsonl", "is missing", func(text string) string { return text[:strings.LastIndex(text[:len(text)-1], "\n")+1] }},
		{"new.npy", "array new.npy is new", func(string) string { return "x" }},
		{"checkpoint.safetensors", "tensor ", func(text string) string {
			c, err := graph.ParseCheckpoint([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			c.Tensors["bank.y"].F32[0]++
			altered, err := c.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			return string(altered)
		}},
		{"report.json", "number of the report ", func(text string) string {
			var r report.Report
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				t.Fatal(err)
			}
			r.Metrics["cmfgen.uvp_percent"]++
			altered, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(altered)
		}},
	} {
		folder := t.TempDir()
		if err := os.CopyFS(folder, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		if c.alter != nil {
			path := filepath.Join(folder, c.file)
			text, _ := os.ReadFile(path) // new.npy is not there
			if err := os.WriteFile(path, []byte(c.alter(string(text))), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		found, err := outcome.Differences(whole, folder)
		if err != nil || (len(found) > 0) != (c.alter != nil) || !strings.Contains(strings.Join(found, "\n"), c.want) {
			t.Errorf("%s altered: found %q, error %v; want %q", c.file, found, err, c.want)
		}
	}
	torn := t.TempDir()
	if err := os.WriteFile(filepath.Join(torn, "metrics.jsonl"), []byte(`{"step":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := outcome.Whole(torn); err == nil || !strings.Contains(err.Error(), "torn line") {
		t.Errorf("a torn line of metrics: %v", err)
	}
}

// The study ends soon after its context, and says so.
func TestInterruptionIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	folder := t.TempDir()
	begun := time.Now()
	r, err := Interruption.Execute(ctx, config.Variables("CMF_OUT="+folder), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); r.Report.Stop.Reason != report.Interrupted || took > 10*time.Second {
		t.Errorf("after %v: %+v", took, r.Report.Stop)
	}
}

// What cannot be carried out is refused by name.
func TestInterruptionRefuses(t *testing.T) {
	inputs.TestVariables(t, inputs.Command{Experiment: Interruption})
	for variable, want := range map[string]string{
		"CMF_EXPERIMENTS=toy3d":       "allowed are gaussian, toy2d",
		"CMF_EXPERIMENTS=toy2d,toy2d": "named twice",
		"CMF_STRIKES=INT; STOP":       `"STOP" is no strike`,
		"CMF_STRIKES=KILL@lunch":      `"KILL@lunch" is no strike`,
		"CMF_STRIKES=KILL@load/":      `"KILL@load/" is no strike`,
		"CMF_STRIKES=INT; ":           "a run has no strike",
		"CMF_RANKS=0":                 "allowed are 1 to 64",
	} {
		_, err := Interruption.Execute(t.Context(), config.Variables(variable, "CMF_OUT="+t.TempDir()), io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), variable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", variable, err)
		}
	}
	_, err := Interruption.Execute(t.Context(), config.Variables("CMF_RANKS=2", "CMF_LAUNCHER=no-such-mpirun -v", "CMF_OUT="+t.TempDir()), io.Discard)
	if err == nil || !strings.HasPrefix(err.Error(), "CMF_LAUNCHER=no-such-mpirun -v: it is to start the ranks of CMF_RANKS=2") {
		t.Errorf("without a launcher: %v", err)
	}
	t.Run("outside the module", func(t *testing.T) {
		folder := t.TempDir()
		t.Chdir(folder)
		_, err := Interruption.Execute(t.Context(), config.Variables("CMF_PRESET=quick", "CMF_OUT="+folder), io.Discard)
		if err == nil || !strings.Contains(err.Error(), "run the study in a folder of it") {
			t.Errorf("error %v", err)
		}
		t.Setenv("PATH", folder)
		_, err = Interruption.Execute(t.Context(), config.Variables("CMF_PRESET=quick", "CMF_OUT="+folder), io.Discard)
		if err == nil || !strings.Contains(err.Error(), "built by the Go tool") {
			t.Errorf("error %v", err)
		}
	})
}
