package run

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/data/file"
	"cmf/experiments/config"
	"cmf/experiments/report"
)

type learningConfig struct {
	config.Core
	DataFile string `desc:"a file"`
}

type otherConfig struct{ config.Command }

// leaving files are what these runs write.
func writes(name string, files ...string) func(context.Context, *Run) error {
	return func(_ context.Context, r *Run) error {
		for _, f := range files {
			if err := os.MkdirAll(filepath.Dir(r.Path(f)), 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(r.Path(f), []byte(name), 0o666); err != nil {
				return err
			}
		}
		return nil
	}
}

func learning(do func(context.Context, *Run) error) Experiment {
	return Definition[learningConfig]{
		Name: "learning", Presets: map[string]func(*learningConfig){"default": nil},
		Do: func(ctx context.Context, r *Run, _ *learningConfig) error { return do(ctx, r) },
	}
}

func drawing(do func(context.Context, *Run) error) Experiment {
	return Definition[otherConfig]{
		Name: "drawing", Presets: map[string]func(*otherConfig){"default": nil},
		Do: func(ctx context.Context, r *Run, _ *otherConfig) error { return do(ctx, r) },
	}
}

func in(t *testing.T, e Experiment, variables ...string) error {
	t.Helper()
	_, err := e.Execute(t.Context(), config.Variables("CMF_THREADS=1").With(variables...), new(bytes.Buffer))
	return err
}

func filesIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && e.Name() != left {
			name, _ := filepath.Rel(folder, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// A folder has one run at a time, and a run that is refused touches nothing.
func TestOneRunAFolder(t *testing.T) {
	out := t.TempDir()
	inner := errors.New("not run")
	err := in(t, learning(func(ctx context.Context, r *Run) error {
		before := filesIn(t, out)
		inner = in(t, learning(writes("second", "a.npy")), "CMF_OUT="+out)
		if after := filesIn(t, out); !slices.Equal(before, after) {
			t.Errorf("a refused run left %v", after)
		}
		return nil
	}), "CMF_OUT="+out)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(inner, file.ErrLocked) || !strings.HasPrefix(inner.Error(), "CMF_OUT="+out+": ") {
		t.Errorf("a second run: %v", inner)
	}
	if err := in(t, learning(writes("third", "a.npy")), "CMF_OUT="+out); err != nil {
		t.Errorf("a run after the first: %v", err)
	}
}

// A run that fails before it begins writes nothing; a new one removes what earlier ones left
// once it begins, and nothing else.
func TestFolderOfEarlierRuns(t *testing.T) {
	out := t.TempDir()
	foreign := filepath.Join(out, "foreign.npy")
	if err := os.WriteFile(foreign, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	to := "CMF_OUT=" + out
	check := func(when string, want ...string) {
		t.Helper()
		slices.Sort(want)
		if got := filesIn(t, out); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	own := []string{"config.env", "foreign.npy", "index.html", "report.json"}
	if err := in(t, learning(func(context.Context, *Run) error { return errors.New("bad data") }), to); err == nil {
		t.Error("no error")
	}
	check("bad data", "foreign.npy")
	if err := in(t, learning(writes("1", "checkpoint.safetensors", "part/a.npy", "b.png", "b.svg")), to); err != nil {
		t.Fatal(err)
	}
	first := append([]string{"checkpoint.safetensors", "part/a.npy", "b.png", "b.svg"}, own...)
	for range 2 {
		if err := in(t, drawing(writes("2", "samples.npy")), to); err != nil {
			t.Fatal(err)
		}
		check("a run that learns nothing", append([]string{"samples.npy"}, first...)...)
	}
	if err := in(t, learning(func(context.Context, *Run) error { return errors.New("bad data") }), to); err == nil {
		t.Error("no error")
	}
	check("bad data again", append([]string{"samples.npy"}, first...)...)
	ctx, cancel := context.WithCancel(t.Context())
	interrupted := learning(func(ctx context.Context, _ *Run) error { cancel(); return ctx.Err() })
	if r, err := interrupted.Execute(ctx, config.Variables("CMF_THREADS=1", to), new(bytes.Buffer)); err != nil || r.Report.Stop.Reason != report.Interrupted {
		t.Errorf("an interrupt before it begins: %v", err)
	}
	check("an interrupt before it begins", append([]string{"samples.npy"}, first...)...)
	torn := func(ctx context.Context, r *Run) error {
		tear(t, filepath.Join(r.Folder, left)) // what follows is not lost
		return writes("3", "c.npy")(ctx, r)
	}
	if err := in(t, learning(torn), to, "CMF_RESUME="+filepath.Join(out, "checkpoint.safetensors")); err != nil {
		t.Fatal(err)
	}
	check("a run that goes on", append([]string{"c.npy", "samples.npy"}, first...)...)
	if err := in(t, learning(writes("4", "d.npy")), to, "CMF_DATAFILE="+foreign); err != nil {
		t.Fatal(err)
	}
	check("a run that uses a file there", append([]string{"c.npy", "d.npy", "samples.npy"}, first...)...)
	if err := in(t, learning(writes("5", "e.npy")), to); err != nil {
		t.Fatal(err)
	}
	check("a new run", append([]string{"e.npy"}, own...)...)
}

// tear leaves half a line at the end of a file.
func tear(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"experiment":"`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// An error after training, as that of a full disk, says how to repeat what follows training; one
// before it does not.
func TestErrorAfterTraining(t *testing.T) {
	full := errors.New("no space left")
	for steps, want := range map[int]string{0: "no space left", 7: "no space left; training has ended, and CMF_RESUME=%s repeats what follows"} {
		out := t.TempDir()
		checkpoint := filepath.Join(out, "checkpoint.safetensors")
		err := in(t, learning(func(_ context.Context, r *Run) error {
			r.Checkpoint, r.Report.Steps = r.Path("checkpoint.safetensors"), steps
			return errors.Join(os.WriteFile(r.Checkpoint, nil, 0o666), full)
		}), "CMF_OUT="+out)
		if want = strings.ReplaceAll(want, "%s", checkpoint); err == nil || err.Error() != want {
			t.Errorf("after %d steps: error %v; want %q", steps, err, want)
		}
	}
}
