//go:build unix

package fit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/outcome"
	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/mpi"
	"cmf/solvers/mpi/mpitest"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// deed is the variable with which a test says what the last rank does after a step, such as
// "kill 30"; it makes TestRank a rank of that test.
const deed = "RANK_DEED"

// TestRank is what each rank of the tests below does.
func TestRank(t *testing.T) {
	text := os.Getenv(deed)
	if text == "" {
		t.Skip("it is for the ranks of other tests")
	}
	world, err := mpi.Join()
	if err != nil {
		t.Fatal(err)
	}
	var do string
	var at int
	if _, err := fmt.Sscan(text, &do, &at); err != nil {
		t.Fatal(err)
	}
	switch do {
	case "draw":
		drawOnRank(t, world, at)
		world.Finalize()
		return
	case "judge":
		judgeOnRank(t, world)
		world.Finalize()
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hook := fit.Hook{Step: func(l *fit.Loop) error {
		if l.Step() != at || world.Rank() != world.Size()-1 {
			return nil
		}
		switch do {
		case "interrupt", "choose":
			cancel()
		case "kill":
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "fail":
			return fmt.Errorf("rank %d has a full disk", world.Rank())
		case "spoil":
			l.Model.Evaluator.Potential().Params().All()[0].Float32s()[0] += 1e-3
		}
		return nil
	}}
	what := plane.Moons
	if do == "choose" {
		what = choosy()
	}
	if _, err := run.Execute(fit.WithHooks(ctx, hook), what, config.OS(), nil, os.Stderr); err != nil {
		fmt.Println(err)
		world.Abort(1)
		t.Fatal(err)
	}
	world.Finalize()
}

// onRanks runs Moons on n ranks, the last of which does something, and returns what they say.
func onRanks(t *testing.T, l mpitest.Launcher, n int, what, folder string, variables ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	variables = append(variables, deed+"="+what, "CMF_OUT="+folder, "CMF_THREADS=1")
	out, err := l.Command(ctx, n, variables, os.Args[0], "-test.run=^TestRank$", "-test.v").CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%s: %d ranks did not end:\n%s", l.Name, n, out)
	}
	return string(out), err
}

func learned(t *testing.T, l mpitest.Launcher, n int, folder string, variables ...string) *graph.Checkpoint {
	t.Helper()
	if out, err := onRanks(t, l, n, "nothing 0", folder, variables...); err != nil {
		t.Fatalf("%s: %v: %s", l.Name, err, out)
	}
	return exptest.LoadCheckpoint(t, folder)
}

// reportOf reads the report of a run.
func reportOf(t *testing.T, folder string) report.Report {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRanksRepeatAndResume(t *testing.T) {
	const steps = "CMF_STEPS=30"
	for _, l := range mpitest.Launchers(t) {
		whole := t.TempDir()
		want := learned(t, l, 2, whole, steps)
		if m := reportOf(t, whole).Machine; m.Ranks != 2 || m.MPI == "" {
			t.Errorf("%s: the report says %d ranks of %q", l.Name, m.Ranks, m.MPI)
		}
		// The bank has the particles of both ranks, each its own.
		bank := want.Tensors["bank.y"].General()
		if bank.Rows != 128 || slices.Equal(batch.Row(bank, 0), batch.Row(bank, 64)) || want.Texts["stream"] == want.Texts["rank.1.stream"] {
			t.Errorf("%s: %d particles, beginning with %v and %v", l.Name, bank.Rows, batch.Row(bank, 0), batch.Row(bank, 64))
		}
		same := func(what, folder string) {
			t.Helper()
			differing, err := outcome.Differences(whole, folder)
			if err != nil {
				t.Fatal(err)
			}
			if len(differing) > 0 {
				t.Errorf("%s, %s: %s", l.Name, what, strings.Join(differing, "\n"))
			}
		}
		again := t.TempDir()
		learned(t, l, 2, again, steps)
		same("again", again)

		// A signal to one rank ends training on all after the same step.
		stopped := t.TempDir()
		if out, err := onRanks(t, l, 2, "interrupt 20", stopped, steps); err != nil {
			t.Fatalf("%s: %v: %s", l.Name, err, out)
		}
		if stop := reportOf(t, stopped).Stop; stop.Reason != report.Interrupted || stop.Step != 21 {
			t.Errorf("%s: the run ended by %+v", l.Name, stop)
		}
		// The death of a rank ends the others, and leaves the last checkpoint.
		resume := "CMF_RESUME=" + filepath.Join(stopped, "checkpoint.safetensors")
		start := time.Now()
		if out, err := onRanks(t, l, 2, "kill 25", stopped, steps, resume); err == nil {
			t.Errorf("%s: a killed rank is no error: %s", l.Name, out)
		}
		t.Logf("%s: a run with a killed rank took %v", l.Name, time.Since(start).Round(time.Millisecond))
		learned(t, l, 2, stopped, steps, resume)
		same("killed and resumed", stopped)
	}
}

// A checkpoint of some ranks goes on with any other number.
func TestRanksDealParticlesAnew(t *testing.T) {
	l := mpitest.Launchers(t)[0]
	two, one := t.TempDir(), t.TempDir()
	learned(t, l, 2, two, "CMF_STEPS=30")
	r, err := run.Execute(t.Context(), plane.Moons, config.Variables("CMF_STEPS=40", "CMF_OUT="+one, "CMF_RESUME="+filepath.Join(two, "checkpoint.safetensors")), nil, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(r.Report.Notes, "\n"); !strings.Contains(notes, "written by a run on 2 ranks, and this one is on 1") {
		t.Errorf("the notes are %s", notes)
	}
	four := t.TempDir()
	got := learned(t, l, 4, four, "CMF_STEPS=50", "CMF_RESUME="+filepath.Join(one, "checkpoint.safetensors"))
	if notes := strings.Join(reportOf(t, four).Notes, "\n"); !strings.Contains(notes, "written by a run on 1 ranks, and this one is on 4") {
		t.Errorf("the notes are %s", notes)
	}
	streams := map[string]bool{}
	for _, name := range []string{"stream", "rank.1.stream", "rank.2.stream", "rank.3.stream"} {
		streams[got.Texts[name]] = true
	}
	if len(streams) != 4 || got.Tensors["bank.y"].General().Rows != 128 || got.Texts["step"] != "50" {
		t.Errorf("%d streams and %v particles after step %s", len(streams), got.Tensors["bank.y"].Shape, got.Texts["step"])
	}
	if _, err := fit.LoadModel(filepath.Join(four, "checkpoint.safetensors")); err != nil {
		t.Error(err)
	}
}

// An error of one rank ends all, and so do weights that are no longer the same.
func TestRanksEndTogether(t *testing.T) {
	l := mpitest.Launchers(t)[0]
	for what, say := range map[string]string{
		"fail 50":  "rank 1 has a full disk",
		"spoil 50": "after step 100 the weights of ranks [1] are no longer those of rank 0",
	} {
		if out, err := onRanks(t, l, 2, what, t.TempDir(), "CMF_STEPS=100000"); err == nil || !strings.Contains(out, say) {
			t.Errorf("%s: %v: %s", what, err, out)
		}
	}
}

func TestRanksRefuseUnequalShares(t *testing.T) {
	l := mpitest.Launchers(t)[0]
	out, err := onRanks(t, l, 3, "nothing 0", t.TempDir(), "CMF_STEPS=10")
	if err == nil || !strings.Contains(out, "CMF_BATCH=128 on 3 ranks") || !strings.Contains(out, "such as 126") {
		t.Errorf("%v: %s", err, out)
	}
}

// modelVariable names the checkpoint from which ranks draw.
const modelVariable = "RANK_MODEL"

// moments are those of draws.
type moments struct {
	Rows          int
	Mean, Squares []float64
	Same          bool // on all ranks
	Distinct      bool // the points of different ranks
}

func momentsOf(x blas32.General) (m moments) {
	m = moments{Rows: x.Rows, Mean: make([]float64, x.Cols), Squares: make([]float64, x.Cols)}
	for i := range x.Rows {
		for k, v := range batch.Row(x, i) {
			m.Mean[k] += float64(v) / float64(x.Rows)
			m.Squares[k] += float64(v) * float64(v) / float64(x.Rows)
		}
	}
	return m
}

// drawOnRank draws n points and says what they are like.
func drawOnRank(t *testing.T, world *mpi.World, n int) {
	m, err := fit.OpenModel(&run.Run{World: world}, os.Getenv(modelVariable))
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Draw(t.Context(), n, 50, random.New(1, "generation", 0))
	if err != nil {
		t.Fatal(err)
	}
	mine := momentsOf(d.Points)
	text, err := json.Marshal([]any{d.Points.Data, d.Gibbs.Data, d.Residual, d.Checks})
	if err != nil {
		t.Fatal(err)
	}
	mine.Same = world.Differing(text) == nil
	mine.Distinct = !slices.Equal(batch.Row(d.Points, 0), batch.Row(d.Points, n/2))
	data, err := m.InData(d.Points, random.New(1, "remainder", 0))
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{n, n / 2}[world.Rank()]; data.Rows != want {
		t.Errorf("rank %d has %d rows in units of the data, want %d", world.Rank(), data.Rows, want)
	}
	if text, err = json.Marshal(mine); err != nil {
		t.Fatal(err)
	}
	if world.Rank() == 0 {
		fmt.Printf("moments %s %x\n", text, world.Fingerprints(text))
	} else {
		world.Fingerprints(text)
	}
}

// Ranks share draws: all have the same points then, of the law from which one process draws.
func TestRanksShareDraws(t *testing.T) {
	folder := t.TempDir()
	if _, err := run.Execute(t.Context(), plane.Moons, config.Variables("CMF_STEPS=30", "CMF_OUT="+folder), nil, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "checkpoint.safetensors")
	m, err := fit.LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	const n = 4000
	d, err := m.Draw(t.Context(), n, 50, random.New(1, "generation", 0))
	if err != nil {
		t.Fatal(err)
	}
	alone, l := momentsOf(d.Points), mpitest.Launchers(t)[0]
	first := twiceOnRanks(t, l, fmt.Sprint("draw ", n), "moments ", modelVariable+"="+path)
	var both moments
	if err := json.NewDecoder(strings.NewReader(first)).Decode(&both); err != nil {
		t.Fatal(err)
	}
	if both.Rows != n || !both.Same || !both.Distinct {
		t.Errorf("%d rows, the same on all ranks %t, of distinct chains %t", both.Rows, both.Same, both.Distinct)
	}
	for k := range alone.Mean { // the deviations are near 1: chains of 4000 and 50 steps
		if math.Abs(alone.Mean[k]-both.Mean[k]) > .1 || math.Abs(alone.Squares[k]-both.Squares[k]) > .15 {
			t.Errorf("coordinate %d has moments %.3f, %.3f on two ranks, and %.3f, %.3f on one", k, both.Mean[k], both.Squares[k], alone.Mean[k], alone.Squares[k])
		}
	}
}

// twiceOnRanks is the rest of the line after mark that two ranks print, which must be the same when
// they run again.
func twiceOnRanks(t *testing.T, l mpitest.Launcher, deed, mark, variable string) (first string) {
	t.Helper()
	for k := range 2 {
		out, err := onRanks(t, l, 2, deed, t.TempDir(), variable)
		_, rest, found := strings.Cut(out, mark)
		if err != nil || !found {
			t.Fatalf("%v: %s", err, out)
		}
		line, _, _ := strings.Cut(rest, "\n")
		if k == 0 {
			first = line
		} else if line != first {
			t.Errorf("again ranks have %s%s, and before %s", mark, line, first)
		}
	}
	return first
}
