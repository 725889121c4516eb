//go:build unix

package fit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
	"cmf/experiments/run"

	"github.com/google/go-cmp/cmp"
)

// interruptedPlane is a run with some variables that was interrupted after some steps.
func interruptedPlane(t *testing.T, steps int, variables ...string) *run.Run {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := run.Execute(fit.WithHooks(ctx, plane.At(steps, cancel)), plane.Moons, config.Variables("CMF_OUT="+t.TempDir()).With(variables...), nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// filesOf are the files of a run's folder, without those for TensorBoard.
func filesOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), report.EventsBegin) {
			return err
		}
		text, err := os.ReadFile(path)
		files[e.Name()] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A full disk ends a run with an error that names the file. What was written before
// stays, nothing is left half-written, and once there is room the run goes on to the same
// bits.
func TestFullDisk(t *testing.T) {
	whole, err := plane.Run(t, "CMF_STEPS=200")
	if err != nil {
		t.Fatal(err)
	}
	r := interruptedPlane(t, 12, "CMF_STEPS=200")
	before := filesOf(t, r.Folder)
	enough := len(filesOf(t, whole.Folder)["checkpoint.safetensors"]) + 1000 // for any checkpoint, but not for all metrics
	file := r.Path("checkpoint.safetensors")
	for _, c := range []struct {
		bytes int // the size that a file may have
		want  []string
	}{
		{2000, []string{"metrics log", "metrics.jsonl", "file too large"}},
		{enough / 2, []string{"checkpoint", file, "file too large"}},
		{enough, []string{"metrics log", "metrics.jsonl", "file too large"}},
	} {
		said := goOnWithFileSize(t, r.Folder, c.bytes)
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%d bytes: %s; want an error with %q", c.bytes, said, want)
			}
		}
		after := filesOf(t, r.Folder)
		for name := range after {
			if _, ok := before[name]; !ok {
				t.Errorf("%d bytes: %s is left", c.bytes, name)
			}
		}
		if lines := after["metrics.jsonl"]; !strings.HasPrefix(lines, before["metrics.jsonl"]) || !strings.HasSuffix(lines, "}\n") {
			t.Errorf("%d bytes: metrics.jsonl is not whole", c.bytes)
		}
		if plane.StepIn(t, r.Folder) < 12 {
			t.Errorf("%d bytes: the checkpoint went back", c.bytes)
		}
	}
	if _, err := run.Execute(t.Context(), plane.Moons, config.Variables("CMF_STEPS=200", "CMF_OUT="+r.Folder, "CMF_RESUME="+file), nil, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	want, got := exptest.LoadCheckpoint(t, whole.Folder), exptest.LoadCheckpoint(t, r.Folder)
	if diff := cmp.Diff(want.Tensors, got.Tensors); diff != "" {
		t.Errorf("the weights differ after the disk was full:\n%s", diff)
	}
	if diff := cmp.Diff(exptest.LinesOf(t, whole.Folder), exptest.LinesOf(t, r.Folder)); diff != "" {
		t.Errorf("the metrics differ after the disk was full:\n%s", diff)
	}
}

// fileSize is the variable with which goOnWithFileSize gives its process the limit and the folder.
const fileSize = "TEST_FILE_SIZE"

// goOnWithFileSize goes on with the run of a folder in another process, whose files may
// have so many bytes, and returns its output.
func goOnWithFileSize(t *testing.T, folder string, bytes int) string {
	t.Helper()
	p := exec.Command(os.Args[0], "-test.run=^TestGoOnWithFileSize$")
	p.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", fileSize, bytes, folder))
	said, _ := p.CombinedOutput() // the output says how it fails
	return string(said)
}

// This is the process of goOnWithFileSize.
func TestGoOnWithFileSize(t *testing.T) {
	size, folder, ok := strings.Cut(os.Getenv(fileSize), " ")
	if !ok {
		t.Skip("a part of TestFullDisk")
	}
	bytes, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	env := config.Variables("CMF_STEPS=200", "CMF_OUT="+folder, "CMF_RESUME="+filepath.Join(folder, "checkpoint.safetensors"))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes}); err != nil {
		t.Fatal(err)
	}
	if _, err := run.Execute(t.Context(), plane.Moons, env, nil, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// A run whose folder is removed ends with an error that names what it cannot write.
func TestLostFolder(t *testing.T) {
	r := interruptedPlane(t, 12, "CMF_STEPS=30")
	out := r.Folder
	env := config.Variables("CMF_STEPS=30", "CMF_OUT="+out, "CMF_RESUME="+r.Path("checkpoint.safetensors"))
	lose := plane.At(20, func() {
		if err := os.RemoveAll(out); err != nil {
			t.Error(err)
		}
	})
	_, err := run.Execute(fit.WithHooks(t.Context(), lose), plane.Moons, env, nil, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(out, "checkpoint.safetensors")) || strings.Contains(err.Error(), "goes on") {
		t.Errorf("error %v", err)
	}
}

// The counts in metrics.jsonl go on from where they were.
func TestTallyIsStored(t *testing.T) {
	r := interruptedPlane(t, 6, "CMF_STEPS=12")
	c := exptest.LoadCheckpoint(t, r.Folder)
	c.Texts["tally.restarted"], c.Texts["tally.skipped"] = "7", "3"
	file := filepath.Join(t.TempDir(), "checkpoint.safetensors") // no metrics beside it
	if err := c.Save(file); err != nil {
		t.Fatal(err)
	}
	rest, err := plane.Run(t, "CMF_STEPS=12", "CMF_RESUME="+file)
	if err != nil {
		t.Fatal(err)
	}
	curves, err := report.ReadMetricsLog(rest.Folder)
	if err != nil {
		t.Fatal(err)
	}
	if x, y := curves["restarted"].X, curves["restarted"].Y; len(x) != 6 || x[0] != 7 || y[0] < 7 || curves["skipped"].Y[5] != 3 {
		t.Errorf("restarted %v at steps %v, skipped %v", y, x, curves["skipped"].Y)
	}
	if text := exptest.LoadCheckpoint(t, rest.Folder).Texts["tally.skipped"]; text != "0x1.8p+01" {
		t.Errorf("the next checkpoint counts %s skipped batches", text)
	}
	if rest.Report.Metrics["train_skipped_batches"] != 3 {
		t.Errorf("the report counts %v skipped batches", rest.Report.Metrics["train_skipped_batches"])
	}
}

// A file that is not a checkpoint, or is one of another run, is refused with a message
// that names the difference. A difference that is allowed is noted.
func TestResumeFromAnother(t *testing.T) {
	r := interruptedPlane(t, 5, "CMF_STEPS=10")
	file := r.Path("checkpoint.safetensors")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(t.TempDir(), "torn.safetensors")
	if err := os.WriteFile(torn, whole[:len(whole)*2/3], 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value string
		want        []string
	}{
		{"CMF_RESUME", torn, []string{"CMF_RESUME=" + torn, "damaged"}},
		{"CMF_HIDDEN", "16", []string{"another architecture", "CMF_HIDDEN=32,32 (here 16)"}},
		{"CMF_BATCH", "64", []string{`"bank.y"`, "CMF_BATCH=128 (here 64)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := plane.Run(t, "CMF_STEPS=10", "CMF_RESUME="+file, c.name+"="+c.value)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v; want one with %q", err, want)
				}
			}
		})
	}
	rest, err := plane.Run(t, "CMF_STEPS=10", "CMF_RESUME="+file, "CMF_LR=0.02")
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(rest.Report.Notes, "\n"); !strings.Contains(notes, "CMF_LR=0.01 (here 0.02)") || strings.Contains(notes, "CMF_OUT") {
		t.Errorf("notes %q", notes)
	}
	curves, err := report.ReadMetricsLog(rest.Folder)
	if err != nil {
		t.Fatal(err)
	}
	if x := curves["loss"].X; len(x) != 10 || x[0] != 1 {
		t.Errorf("a run that goes on in another folder has metrics at steps %v", x)
	}
}
