//go:build unix

package fit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/plane"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/mpi"
	"cmf/solvers/mpi/mpitest"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// bend are n points of ℝ³ whose contexts, (n, 1), bend them, and contexts for draws.
func bend(n int) (x, c, draws blas32.General) {
	rng := random.New(3, "bend", 0)
	x, c, draws = batch.New(n, 3), batch.New(n, 1), batch.New(1500, 1)
	rng.Normals(x.Data)
	rng.Normals(c.Data)
	rng.Normals(draws.Data)
	for i, v := range c.Data {
		batch.Row(x, i)[0] += v
		batch.Row(x, i)[2] += batch.Row(x, i)[1] * v / 2
	}
	return x, c, draws
}

// judged is what is found of a model of points, and of one of points given contexts.
type judged struct {
	LogZ, Error   float64
	LogPDF, Given []float64
	GivenError    []float64
	Mapped        moments
	GivenOne      moments // draws given one context
	GivenEach     moments
	Works         []string
}

func judge(ctx context.Context, g *ranks.Group, all, given *fit.Model) (j judged, err error) {
	x, c, draws := bend(200)
	l, err := fit.HeldOutDensity(ctx, all, x, random.New(1, "density", 0))
	if err != nil {
		return j, err
	}
	j.LogZ, j.Error, j.LogPDF = l.LogZ.LogZ, l.LogZ.Error, l.LogPDF
	q, err := given.LogPDFGiven(ctx, batch.First(x, 40), batch.First(c, 40), 64, random.New(1, "density", 0))
	if err != nil {
		return j, err
	}
	j.Given = q.LogPDF
	for _, z := range q.LogZ {
		j.GivenError = append(j.GivenError, z.Error)
	}
	mapped, _, err := all.Map(ctx, x)
	if err != nil {
		return j, err
	}
	j.Mapped = momentsOf(mapped)
	for _, of := range []struct {
		contexts blas32.General
		into     *moments
	}{{batch.First(draws, 1), &j.GivenOne}, {draws, &j.GivenEach}} {
		m, err := given.Given(ctx, of.contexts, random.New(1, "particles", 0))
		if err != nil {
			return j, err
		}
		d, err := m.Draw(ctx, draws.Rows, 40, random.New(1, "generation", 0))
		if err != nil {
			return j, err
		}
		*of.into = momentsOf(d.Points)
	}
	j.Works, err = ranks.Dealt(g, 5, func(k int) (string, error) { return fmt.Sprint("work ", k), nil })
	return j, err
}

// judgeOnRank judges the models in the folders of a test, and then goes on after errors.
func judgeOnRank(t *testing.T, world *mpi.World) {
	r := &run.Run{World: world, Folder: t.TempDir()}
	all, err := fit.OpenModel(r, os.Getenv(modelVariable)+"/all/checkpoint.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	given, err := fit.OpenModel(r, os.Getenv(modelVariable)+"/given/checkpoint.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	g := ranks.New(world)
	j, err := judge(t.Context(), g, all, given)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	if differing := world.Differing(text); differing != nil {
		t.Fatalf("ranks %v found something else", differing)
	}
	if world.Rank() == 0 {
		fmt.Printf("judged %s\n", text)
	}

	last := world.Rank() == world.Size()-1
	ended, end := context.WithCancel(t.Context())
	defer end()
	if last {
		end()
	}
	x, _, _ := bend(200)
	_, err = fit.HeldOutDensity(ended, all, x, random.New(1, "density", 0))
	if last != errors.Is(err, context.Canceled) || !last && !errors.Is(err, ranks.ErrElsewhere) {
		t.Fatalf("rank %d: the error is %v", world.Rank(), err)
	}
	_, err = ranks.Dealt(g, 5, func(k int) (int, error) { return k, ended.Err() })
	if last != errors.Is(err, context.Canceled) || !last && !strings.Contains(err.Error(), "an error on another rank, 1: context canceled") {
		t.Fatalf("rank %d: the error is %v", world.Rank(), err)
	}
	_, err = g.OfRoot(func() (float64, error) { // the others do not draw
		d, err := all.Draw(t.Context(), 100, 20, random.New(1, "generation", 0))
		if err != nil {
			return 0, err
		}
		return float64(d.Points.Rows), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := all.Draw(t.Context(), 100, 20, random.New(1, "generation", 0)); err != nil || d.Points.Rows != 100 {
		t.Fatal(err)
	}
	err = r.Figure(t.Context(), report.Figure{File: "draws.png"}, false, func(path string) error {
		_, err := all.Draw(t.Context(), 100, 20, random.New(1, "generation", 0))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all.Draw(t.Context(), 100, 20, random.New(1, "generation", 0)); err != nil {
		t.Fatal(err)
	}
}

// Ranks share the judging: all find the same, of the law that one process finds, and none
// waits for one that has an error or does something alone.
func TestRanksShareJudging(t *testing.T) {
	l, folder := mpitest.Launchers(t)[0], t.TempDir()
	x, c, _ := bend(2000)
	for name, contexts := range map[string]blas32.General{"all": batch.New(x.Rows, 0), "given": c} {
		p := fit.Problem{Start: layers.Start{Balanced: true}}
		if contexts.Cols == 0 {
			law, err := exact.FitGaussian(x, 0)
			if err != nil {
				t.Fatal(err)
			}
			p.Start.Law = law
		}
		env := config.Variables("CMF_OUT="+filepath.Join(folder, name)).With("CMF_STEPS=5", "CMF_THREADS=1")
		if _, err := run.Execute(t.Context(), conditional(x, contexts, p, nil), env, nil, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	load := func(name string) *fit.Model {
		m, err := fit.LoadModel(filepath.Join(folder, name, "checkpoint.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	alone, err := judge(t.Context(), nil, load("all"), load("given"))
	if err != nil {
		t.Fatal(err)
	}
	first := twiceOnRanks(t, l, "judge 0", "judged ", modelVariable+"="+folder)
	var both judged
	if err := json.NewDecoder(strings.NewReader(first)).Decode(&both); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(both.Works) != fmt.Sprint(alone.Works) || len(both.LogPDF) != 200 || len(both.Given) != 40 {
		t.Fatalf("ranks have done %v, %d and %d densities", both.Works, len(both.LogPDF), len(both.Given))
	}
	shift := both.LogZ - alone.LogZ
	if math.Abs(shift) > 5*math.Hypot(both.Error, alone.Error) || shift == 0 || both.Error > 2*alone.Error {
		t.Errorf("log Z is %.4f ± %.4f on two ranks, and %.4f ± %.4f on one", both.LogZ, both.Error, alone.LogZ, alone.Error)
	}
	for i, v := range both.LogPDF {
		if math.Abs(v+shift-alone.LogPDF[i]) > 1e-4 {
			t.Errorf("the log density of point %d is %.5f on two ranks, and %.5f on one, of log Z that differ by %.5f", i, v, alone.LogPDF[i], shift)
		}
	}
	for i, v := range both.Given {
		if d := math.Abs(v - alone.Given[i]); d > 6*math.Hypot(both.GivenError[i], alone.GivenError[i]) {
			t.Errorf("the log density of point %d given its context differs by %.4f", i, d)
		}
	}
	for name, of := range map[string][2]moments{"mapped": {both.Mapped, alone.Mapped}, "given one": {both.GivenOne, alone.GivenOne}, "given each": {both.GivenEach, alone.GivenEach}} {
		for k := range 3 {
			square := of[1].Squares[k]
			mean, squares := math.Sqrt(square/1500), square*math.Sqrt(2./1500) // deviations of each, of 1500 draws
			if of[0].Rows != of[1].Rows || math.Abs(of[0].Mean[k]-of[1].Mean[k]) > 6*mean || math.Abs(of[0].Squares[k]-square) > 6*squares {
				t.Errorf("%s: on two ranks %+v, and on one %+v", name, of[0], of[1])
			}
		}
	}
	for k, v := range both.Mapped.Mean { // no random numbers
		if math.Abs(v-alone.Mapped.Mean[k]) > 2e-3 {
			t.Errorf("mapped points have the mean %g on two ranks, and %g on one", both.Mapped.Mean, alone.Mapped.Mean)
		}
	}
}

// choosy learns points of ℝ³, and chooses among the weights of training by held-out points.
func choosy() run.Definition[plane.Config] {
	x, _, _ := bend(2000)
	law, err := exact.FitGaussian(x, 0)
	if err != nil {
		panic(err)
	}
	held, _, _ := bend(150)
	return conditional(x, batch.New(x.Rows, 0), fit.Problem{Start: layers.Start{Law: law, Balanced: true}, Validation: fit.Validation{X: held}}, nil)
}

// Ranks share the scores of held-out points, before the first step too, where they have the
// weights of one process; a signal to one of them ends training on all.
func TestRanksShareScores(t *testing.T) {
	l := mpitest.Launchers(t)[0]
	one, two, stopped := t.TempDir(), t.TempDir(), t.TempDir()
	if _, err := run.Execute(t.Context(), choosy(), config.Variables("CMF_STEPS=20", "CMF_THREADS=1", "CMF_OUT="+one), nil, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	for signal, folder := range map[int]string{0: two, 7: stopped} {
		if out, err := onRanks(t, l, 2, fmt.Sprint("choose ", signal), folder, "CMF_STEPS=20"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	scores := func(folder string) (v []float64) {
		for _, line := range exptest.LinesOf(t, folder) {
			if line == "" {
				continue
			}
			var numbers map[string]float64
			if err := json.Unmarshal([]byte(line), &numbers); err != nil {
				t.Fatal(err)
			}
			if score, ok := numbers["validation_log_likelihood"]; ok {
				v = append(v, score)
			}
		}
		return v
	}
	alone, both := scores(one), scores(two)
	if len(alone) != 21 || len(both) != 21 || alone[0] == both[0] || math.Abs(alone[0]-both[0]) > .1 { // log Z has an error of .02
		t.Errorf("scores are %.3f on one rank, and %.3f on two", alone, both)
	}
	if stop := reportOf(t, stopped).Stop; stop.Reason != report.Interrupted || stop.Step != 8 {
		t.Errorf("the run ended by %+v", stop)
	}
}
