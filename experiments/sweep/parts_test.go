package sweep

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/solvers/mpi/mpitest"

	"github.com/google/go-cmp/cmp"
)

// partVariable makes the test binary one process of the sweep below.
const partVariable = "SWEEP_PART"

// parted has 24 cells, of which eight train.
var parted = func() Ablation {
	a := tinyAblation
	a.Variants = []Variant{{"trained", Settings{"ACT": "train"}}, {"plain", nil}, {"biased", Settings{"BIAS": "1"}}}
	a.Seeds = 4
	return a
}()

// lines are the lines of a diary.
func lines(diary string) []string {
	text, _ := os.ReadFile(diary)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

// sameResults fails unless two folders have the same results of all cells, to the bit, and
// nothing besides.
func sameResults(t *testing.T, want, got string) {
	t.Helper()
	read := func(folder, name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	if d := cmp.Diff(read(want, "ablation.md"), read(got, "ablation.md")); d != "" {
		t.Errorf("the table (−of one process +of several):\n%s", d)
	}
	numbers := func(folder string) [][]string {
		all, err := csv.NewReader(strings.NewReader(read(folder, "ablation.csv"))).ReadAll()
		if err != nil || len(all) != 25 {
			t.Fatalf("%d lines of cells, %v", len(all), err)
		}
		for column, name := range all[0] {
			if strings.Contains(name, "seconds") {
				for _, line := range all[1:] {
					line[column] = ""
				}
			}
		}
		return all
	}
	if d := cmp.Diff(numbers(want), numbers(got)); d != "" {
		t.Errorf("the cells (−of one process +of several):\n%s", d)
	}
	for _, set := range []string{"a", "b"} {
		for seed := range 4 {
			samples := filepath.Join("cells", "trained", set, fmt.Sprint(1+seed), "samples.npy")
			if read(want, samples) != read(got, samples) {
				t.Errorf("%s differ", samples)
			}
		}
	}
	for _, name := range []string{claimsFolder, "." + claimsFolder + "-*"} {
		if files, _ := filepath.Glob(filepath.Join(got, name)); len(files) > 0 {
			t.Errorf("%v are left", files)
		}
	}
}

// partProcess is this test's program as one process of the sweep.
func partProcess(t *testing.T, folder, diary string, variables ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = slices.Concat(os.Environ(), []string{partVariable + "=1", ablationDiary + "=" + diary, "CMF_OUT=" + folder, "CMF_PARALLEL=1"}, variables)
	out := new(bytes.Buffer)
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, out
}

// However many processes share a sweep, every cell runs once, and the results are those of one.
func TestPartsShareCells(t *testing.T) {
	whole := t.TempDir()
	if _, diary := runTiny(t, t.Context(), parted, whole); len(diary) != 24 {
		t.Fatalf("%d cells ran, want 24", len(diary))
	}
	t.Run("one is killed", func(t *testing.T) { oneOfTwoEnds(t, whole, os.Kill) })
	t.Run("one is ended", func(t *testing.T) { oneOfTwoEnds(t, whole, syscall.SIGTERM) })
	t.Run("ranks", func(t *testing.T) {
		folder, diary := t.TempDir(), filepath.Join(t.TempDir(), "diary")
		out, err := mpitest.Launchers(t)[0].Run(t, 2, partVariable+"=1", ablationDiary+"="+diary, "CMF_OUT="+folder)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		sameResults(t, whole, folder)
		if n := len(lines(diary)); n != 24 || strings.Count(out, "msg=done") != 1 || !strings.Contains(out, `part=2/2`) {
			t.Errorf("%d cells ran, want 24, and one table:\n%s", n, out)
		}
	})
}

// oneOfTwoEnds runs the sweep as two tasks of a job array, of which one is ended by a signal while it
// trains: the other goes on from its checkpoint.
func oneOfTwoEnds(t *testing.T, whole string, by os.Signal) {
	if runtime.GOOS == "windows" && by != os.Kill {
		t.Skip("Windows has no such signal")
	}
	folder, diary := t.TempDir(), filepath.Join(t.TempDir(), "diary")
	array := []string{"SLURM_ARRAY_TASK_COUNT=2", "SLURM_ARRAY_TASK_MIN=5"}
	first, firstOut := partProcess(t, folder, diary, slices.Concat(array, []string{"SLURM_ARRAY_TASK_ID=5", "ABLATION_WAITS=1"})...)
	for !slices.Contains(lines(diary), "waiting") && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	second, secondOut := partProcess(t, folder, diary, slices.Concat(array, []string{"SLURM_ARRAY_TASK_ID=6"})...)
	for len(lines(diary)) < 6 && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := first.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	err := first.Wait()
	if status := first.ProcessState.ExitCode(); by != os.Kill && status != 143 {
		t.Errorf("the one that was ended has the status %d, %v: %s", status, err, firstOut)
	}
	if err := second.Wait(); err != nil {
		t.Fatalf("%v: %s", err, secondOut)
	}
	sameResults(t, whole, folder)
	times := map[string]int{}
	for _, line := range lines(diary) {
		times[line]++
	}
	for _, set := range []string{"a", "b"} {
		for seed := range 4 {
			trained, measured := fmt.Sprintf("train %s %d false", set, 1+seed), fmt.Sprintf("measure %s %d false", set, 1+seed)
			if times[trained] != 1 || times[measured] != 2 {
				t.Errorf("%q began %d times, %q %d times; want 1 and 2", trained, times[trained], measured, times[measured])
			}
		}
	}
	if n := len(lines(diary)); times["train a 1 true"] != 1 || n != 26 {
		t.Errorf("the cell that was begun went on %d times; the diary has %d lines, want 26", times["train a 1 true"], n)
	}
	if out := firstOut.String() + secondOut.String(); strings.Count(out, "msg=done") != 1 || !strings.Contains(out, `part=1/2`) || !strings.Contains(out, "part=2/2") {
		t.Errorf("the tables are not written once, by one of two parts:\n%s", out)
	}

	late, lateOut := partProcess(t, folder, diary, "CMF_PART=3/3")
	if err := late.Wait(); err != nil || len(lines(diary)) != 26 || !strings.Contains(lateOut.String(), "all cells have ended, and the tables are written") {
		t.Errorf("one who comes late: %v, %d lines of the diary: %s", err, len(lines(diary)), lateOut)
	}
	sameResults(t, whole, folder)
}

// A cell that fails in one process is not tried by the others.
func TestPartsTellFailures(t *testing.T) {
	a := tinyAblation
	a.Seeds, a.Sets = 1, []string{"a"}
	a.Variants = []Variant{{"wrong", Settings{"ACT": "err"}}, {"plain", nil}}
	folder, diary := t.TempDir(), filepath.Join(t.TempDir(), "diary")
	t.Setenv(ablationDiary, diary)
	env := config.Variables("CMF_OUT="+folder, "CMF_PARALLEL=1")
	p, err := a.plan(env.With("CMF_PART=1/2"), nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	of, err := identity(report.ConfigOf(p.settings))
	if err != nil {
		t.Fatal(err)
	}
	other, err := openSession(folder, of, usual)
	if err != nil {
		t.Fatal(err)
	}
	c, err := other.claim("cell-1", "a cell", 1, func() {})
	if err == nil {
		err = c.close(ended, "its disk was full")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Execute(t.Context(), env.With("CMF_PART=1/2"), nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "report.json"))
	if err != nil || !strings.Contains(string(text), "failed: wrong on a, seed 1: its disk was full") {
		t.Errorf("the report of both (%v):\n%s", err, text)
	}
	if ran := lines(diary); len(ran) != 1 || ran[0] != "measure a 1 false" {
		t.Errorf("%q ran, want the other cell", ran)
	}
	if err := a.Execute(t.Context(), env.With("CMF_PART=2/2"), nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	if ran := lines(diary); len(ran) != 2 || ran[1] != "err a 1 false" {
		t.Errorf("%q ran, want the cell that failed again, after the end", ran)
	}
}

func TestParts(t *testing.T) {
	for text, want := range map[string]part{"1/1": {1, 1}, "2/4": {2, 4}, "": {}, " ": {}} {
		var p part
		if err := p.Decode(text); err != nil || p != want || p.String() != strings.TrimSpace(text) {
			t.Errorf("%q is %+v, %q, %v", text, p, p, err)
		}
	}
	if _, err := tinyAblation.plan(config.Variables("CMF_PART=1/2"), nil, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "CMF_OUT: several processes run this sweep (this one is part 1/2)") {
		t.Errorf("without a folder that they share: %v", err)
	}
	for _, text := range []string{"3/2", "0/0", "0/2", "a/b", "1", "1/2/3", "-1/2", "1/9999999"} {
		if err := new(part).Decode(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	for _, c := range []struct {
		variables string
		want      part
		from      int // of 24 cells
	}{
		{"", part{}, 0},
		{"SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=5 SLURM_ARRAY_TASK_COUNT=4", part{3, 4}, 12},
		{"SLURM_ARRAY_TASK_ID=8 SLURM_ARRAY_TASK_MIN=2 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_STEP=2", part{4, 4}, 18},
		{"SLURM_ARRAY_TASK_ID=90 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=3", part{3, 3}, 16},
		{"JOB_COMPLETION_INDEX=2", part{3, 0}, 2},
		{"JOB_COMPLETION_INDEX=2 JOB_COMPLETIONS=6", part{3, 6}, 8},
		{"JOB_COMPLETION_INDEX=27", part{28, 0}, 3},
		{"PMI_SIZE=3 PMI_RANK=1", part{2, 3}, 8},
		{"SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_STEP_ID=0 SLURM_NTASKS=3 SLURM_PROCID=1", part{5, 6}, 16},
	} {
		t.Run(c.variables, func(t *testing.T) {
			for _, v := range strings.Fields(c.variables) {
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			if p := partHere(); p != c.want || p.from(24) != c.from {
				t.Errorf("part %v from cell %d, want %v from %d", p, p.from(24), c.want, c.from)
			}
		})
	}
}
