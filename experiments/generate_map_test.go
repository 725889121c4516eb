package experiments

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/monge"
	"cmf/experiments/run"
	"cmf/solvers/exact"
	"cmf/solvers/random"
)

// The model of a map between two tables maps further rows from its checkpoint to the same
// numbers, and says what it cannot do.
func TestGenerateMaps(t *testing.T) {
	write := func(header []string, purpose string, n int) string {
		path := t.TempDir() + "/points.csv"
		x := exact.StandardGaussian(2).Sample(n, random.New(1, purpose, 0))
		if err := data.WriteCSV(path, header, x); err != nil {
			t.Fatal(err)
		}
		return path
	}
	points := write([]string{"b", "a"}, "points", 50)
	r := mustRun(t, monge.Transport, "CMF_SOURCE_FILE="+write([]string{"a", "b"}, "source", 400), "CMF_TARGET_FILE="+write(nil, "target", 400),
		"CMF_STEPS=20", "CMF_HIDDEN=16", "CMF_POINTS="+points)
	saved := "CMF_CHECKPOINT=" + r.Path("checkpoint.safetensors")
	again := mustRun(t, Generate, saved, "CMF_POINTS="+points)
	if !slices.Equal(readNPY(t, again, "mapped.npy").Data, readNPY(t, r, "mapped.npy").Data) {
		t.Error("the checkpoint maps differently from its run")
	}
	text, err := os.ReadFile(again.Path("mapped.csv"))
	if err != nil || !strings.HasPrefix(string(text), "a,b\n") {
		t.Errorf("mapped.csv begins with %.20q: %v", text, err)
	}
	if notes := strings.Join(again.Report.Notes, "\n"); !strings.Contains(notes, "No points are generated and no densities are evaluated") {
		t.Errorf("the notes: %s", notes)
	}
	for variables, want := range map[string]string{
		"":             "CMF_POINTS=: the model maps rows of its source",
		"CMF_COUNT=10": "CMF_COUNT=10: the model maps rows of its source",
		"CMF_POINTS=" + write([]string{"a", "c"}, "other", 9): `it lacks the columns ["b"]; the model has ["a" "b"]`,
	} {
		env := config.Variables("CMF_OUT="+t.TempDir(), saved)
		if variables != "" {
			env = env.With(variables)
		}
		if _, err := run.Execute(t.Context(), Generate, env, nil, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", variables, err, want)
		}
	}
}
