//go:build unix

package experiments

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/report"
	"cmf/graph"
	"cmf/solvers/random"

	gocmp "github.com/google/go-cmp/cmp"
)

// strike is how a process is ended.
type strike struct {
	signals []syscall.Signal // one after the other
	writing bool             // while it writes a checkpoint, else at a random moment
}

func (s strike) String() string {
	names := map[syscall.Signal]string{syscall.SIGINT: "SIGINT", syscall.SIGTERM: "SIGTERM", syscall.SIGKILL: "SIGKILL"}
	var words []string
	for _, v := range s.signals {
		words = append(words, names[v])
	}
	if s.writing {
		words = append(words, "while writing")
	}
	return strings.Join(words, " ")
}

var (
	interrupt = strike{signals: []syscall.Signal{syscall.SIGINT}}
	impatient = strike{signals: []syscall.Signal{syscall.SIGINT, syscall.SIGINT}}
	terminate = strike{signals: []syscall.Signal{syscall.SIGTERM}}
	kill      = strike{signals: []syscall.Signal{syscall.SIGKILL}}
	killWrite = strike{signals: []syscall.Signal{syscall.SIGKILL}, writing: true}
)

// victim is a command of an experiment, small, with what it leaves uninterrupted.
type victim struct {
	name      string
	variables []string
	command   string
	steps     int
	rows      int           // of metrics, in all
	rest      time.Duration // from the last of them to the end
	whole     string        // folder
}

// A run that is killed at any moment goes on, and ends at the bits of one that was
// not. With INTERRUPTION_STUDY naming a folder, many kills of five experiments, and
// the table of them.
func TestKilledRunsGoOn(t *testing.T) {
	study := os.Getenv("INTERRUPTION_STUDY")
	victims := []*victim{{name: "gaussian", variables: []string{"CMF_COV=2,0,0;0,1,0;0,0,1", "CMF_STEPS=600", "CMF_HIDDEN=16", "CMF_BATCH=64", "CMF_PARTICLES=512", "CMF_POINTS=500", "CMF_CHAIN=20"}}}
	plan := [][]strike{{interrupt}, {kill}, {killWrite, terminate}, {impatient}}
	folder := t.TempDir()
	if study != "" {
		folder = study
		points := filepath.Join(folder, "points.csv")
		writePoints(t, points)
		victims = []*victim{
			victims[0],
			{name: "toy2d", variables: []string{"CMF_PRESET=quick", "CMF_STEPS=100", "CMF_HIDDEN=32", "CMF_BATCH=128", "CMF_POINTS=5000", "CMF_SAMPLES=256"}},
			{name: "energy", variables: []string{"CMF_PRESET=quick", "CMF_STEPS=400", "CMF_HIDDEN=32", "CMF_BATCH=128", "CMF_SAMPLES=256", "CMF_CHAIN=20"}},
			{name: "samples", variables: []string{"CMF_DATA_FILE=" + points, "CMF_STEPS=200", "CMF_HIDDEN=32", "CMF_BATCH=128", "CMF_LOSS=dual+amortised", "CMF_COUNT=1000"}},
			{name: "mnist", variables: []string{"CMF_PRESET=quick", "CMF_DATA_DIR=" + filepath.Join(folder, "none"), "CMF_TRAIN=1000", "CMF_STEPS=24", "CMF_HIDDEN=32",
				"CMF_BATCH=64", "CMF_PARTICLES=128", "CMF_SAMPLES=64", "CMF_MIXING=20", "CMF_LIKELIHOOD=0"}},
		}
		plan = [][]strike{
			{interrupt}, {interrupt}, {interrupt}, {interrupt, interrupt}, {kill}, {kill}, {kill}, {killWrite}, {killWrite, kill},
			{terminate}, {impatient}, {kill, interrupt, killWrite},
		}
	}
	rng := random.Seeded(1, 2)
	table := "| experiment | signal | metrics written | checkpoint at step | steps resumed | identical |\n|---|---|---:|---:|---:|---|\n"
	for _, v := range victims {
		v.build(t, folder)
		for k, strikes := range plan {
			out := filepath.Join(folder, fmt.Sprintf("%s-%d", v.name, k))
			lines := v.strikeAndResume(t, rng, out, strikes)
			same := "yes"
			if diff := v.differs(t, lines.folder); diff != "" {
				t.Errorf("%s, %v: the run differs after an interruption:\n%s", v.name, strikes, diff)
				same = "no"
			}
			for _, line := range lines.text {
				table += line + same + " |\n"
			}
		}
	}
	t.Log("\n" + table)
	if study != "" {
		if err := os.WriteFile(filepath.Join(folder, "table.md"), []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// build makes the command and runs it without interruption.
func (v *victim) build(t *testing.T, folder string) {
	t.Helper()
	v.command = filepath.Join(folder, v.name)
	if out, err := exec.Command("go", "build", "-o", v.command, "./"+v.name).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", v.name, err, out)
	}
	v.whole = filepath.Join(folder, v.name+"-whole")
	start := time.Now()
	if err := v.start(t, v.whole, "").wait(); err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	v.rows, v.steps = rowsIn(v.whole), exptest.StepIn(t, v.whole)
	v.rest = time.Since(lastRow(v.whole, start))
}

// process is a running command.
type process struct {
	*exec.Cmd
	said  bytes.Buffer
	ended chan error
}

func (p *process) wait() error {
	if err := <-p.ended; err != nil {
		return fmt.Errorf("%w\n%s", err, &p.said)
	}
	return nil
}

// await waits until something is so, or the process has ended.
func (p *process) await(so func() bool) {
	for !so() && len(p.ended) == 0 {
		time.Sleep(100 * time.Microsecond)
	}
}

func (v *victim) start(t *testing.T, out, resume string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(v.command), ended: make(chan error, 1)}
	p.Env = config.Variables("CMF_THREADS=1", "CMF_OUT="+out, "CMF_RESUME="+resume).With(v.variables...).Process()
	p.Stderr = &p.said
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	return p
}

// struck are the rows of the table and the folder of a run that went on to its end.
type struck struct {
	folder string
	text   []string
}

// strikeAndResume ends the run once for each strike, each time it has gone on, and
// lets it go on to its end: in a folder of its own where strikes are odd in number.
func (v *victim) strikeAndResume(t *testing.T, rng *random.Stream, out string, strikes []strike) struck {
	t.Helper()
	var result struck
	last, resume := 0, ""
	for _, s := range strikes {
		p := v.start(t, out, resume)
		done := rowsIn(out)
		if s.writing {
			p.await(writing(out, rng.IntN(5)))
		} else {
			// One strike in five comes after training, on average.
			row := done + rng.IntN((v.rows-done)*5/4+1)
			p.await(func() bool { return rowsIn(out) >= min(row, v.rows) })
			if row >= v.rows {
				time.Sleep(time.Duration(rng.Float64() * float64(v.rest)))
			} else {
				time.Sleep(time.Duration(rng.IntN(5000)) * time.Microsecond)
			}
		}
		at := rowsIn(out)
		for k, signal := range s.signals {
			if k > 0 {
				time.Sleep(2 * time.Millisecond)
			}
			_ = p.Process.Signal(signal) // it may have ended
		}
		err := p.wait()
		status, _ := p.ProcessState.Sys().(syscall.WaitStatus)
		if err != nil && !(status.Signaled() && slices.Contains(s.signals, status.Signal())) {
			t.Fatalf("%s after %v: %v", v.name, s, err)
		}
		checkLeft(t, out)
		step := "none"
		resume = ""
		if path := filepath.Join(out, "checkpoint.safetensors"); exptest.Exists(path) {
			now := exptest.StepIn(t, out)
			if now < last {
				t.Errorf("%s after %v: the checkpoint went back from step %d to %d", v.name, s, last, now)
			}
			last, resume, step = now, path, strconv.Itoa(now)
		} else if last > 0 {
			t.Errorf("%s after %v: the checkpoint is lost", v.name, s)
		}
		result.text = append(result.text, fmt.Sprintf("| %s | %v | %d of %d | %s | %d | ", v.name, s, at, v.rows, step, v.steps-last))
	}
	result.folder = out
	if len(strikes)%2 == 1 && resume != "" {
		result.folder = out + "-on"
	}
	if err := v.start(t, result.folder, resume).wait(); err != nil {
		t.Fatalf("%s, going on after %v: %v", v.name, strikes, err)
	}
	checkLeft(t, result.folder)
	return result
}

// writing tells whether a checkpoint is being written for the nth time.
func writing(out string, n int) func() bool {
	was := false
	return func() bool {
		entries, _ := os.ReadDir(out) // the folder may not be there yet
		is := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".checkpoint") })
		if is && !was {
			n--
		}
		was = is
		return n < 0
	}
}

// rowsIn counts the rows of metrics that a run has written.
func rowsIn(out string) (rows int) {
	for _, part := range []string{"", "cmfma"} {
		text, _ := os.ReadFile(filepath.Join(out, part, "metrics.jsonl"))
		rows += bytes.Count(text, []byte("\n"))
	}
	return rows
}

// lastRow is when the last row of metrics was written.
func lastRow(out string, least time.Time) time.Time {
	for _, part := range []string{"", "cmfma"} {
		if f, err := os.Stat(filepath.Join(out, part, "metrics.jsonl")); err == nil && f.ModTime().After(least) {
			least = f.ModTime()
		}
	}
	return least
}

// checkLeft sees to it that every file of a run that ended somehow is whole.
func checkLeft(t *testing.T, out string) {
	t.Helper()
	err := filepath.WalkDir(out, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		switch {
		case e.IsDir():
			return nil
		case err != nil:
			return err
		case e.Name() == "metrics.jsonl":
			if len(text) > 0 && text[len(text)-1] != '\n' {
				return errors.New("metrics.jsonl ends in a torn line")
			}
			_, err = report.ReadMetricsLog(filepath.Dir(path))
		case filepath.Ext(path) == ".json" && !json.Valid(text):
			return fmt.Errorf("%s is torn", path)
		case filepath.Ext(path) == ".safetensors":
			_, err = graph.LoadCheckpoint(path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// differs compares what runs leave: tensors and texts of checkpoints, rows of metrics
// and the report's numbers.
func (v *victim) differs(t *testing.T, out string) string {
	t.Helper()
	var all string
	for _, part := range []string{"", "cmfma"} {
		if !exptest.Exists(filepath.Join(v.whole, part, "checkpoint.safetensors")) {
			continue
		}
		want, got := exptest.LoadCheckpoint(t, v.whole, part), exptest.LoadCheckpoint(t, out, part)
		delete(want.Texts, "config") // it names the folders
		delete(got.Texts, "config")
		all += gocmp.Diff(want.Texts, got.Texts)
		for name, a := range want.Tensors {
			if b := got.Tensors[name]; !slices.Equal(a.F32, b.F32) || !slices.Equal(a.Shape, b.Shape) {
				all += fmt.Sprintf("the tensor %q of %q differs\n", name, part)
			}
		}
		if len(want.Tensors) != len(got.Tensors) {
			all += fmt.Sprintf("%d and %d tensors\n", len(want.Tensors), len(got.Tensors))
		}
		all += gocmp.Diff(exptest.LinesOf(t, v.whole, part), exptest.LinesOf(t, out, part))
	}
	return all + gocmp.Diff(numbersOf(t, v.whole), numbersOf(t, out))
}

// numbersOf are the report's metrics, apart from times.
func numbersOf(t *testing.T, out string) map[string]report.Numbers {
	t.Helper()
	var r report.Report
	text, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Stop.Reason != report.Finished {
		t.Errorf("%s: stopped: %+v", out, r.Stop)
	}
	for _, numbers := range []report.Numbers{r.Metrics, r.Floor, r.Baseline} {
		maps.DeleteFunc(numbers, func(name string, v float64) bool { return strings.HasSuffix(name, "seconds") || v != v })
	}
	return map[string]report.Numbers{"metrics": r.Metrics, "floor": r.Floor, "baseline": r.Baseline}
}

func writePoints(t *testing.T, path string) {
	t.Helper()
	rng := random.Seeded(3, 4)
	var text strings.Builder
	for range 800 {
		x := rng.NormFloat64()
		fmt.Fprintf(&text, "%g,%g\n", x, x*x+.3*rng.NormFloat64())
	}
	err := cmp.Or(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text.String()), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}
