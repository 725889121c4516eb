package sweep

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The test binary is the command that the processes of cells run.
func TestMain(m *testing.M) {
	if env := config.OS(); env[cellVariable] != "" {
		os.Exit(runCell(tiny, env, os.Stdin, os.Stderr))
	}
	if os.Getenv(partVariable) != "" {
		MainAblation(parted)
	}
	os.Exit(m.Run())
}

// ablationDiary names the file to which a cell adds a line when it begins.
const ablationDiary = "ABLATION_DIARY"

type tinyConfig struct {
	config.Core
	Dataset string  `default:"a"`
	Bias    float64 `default:"0"`
	Act     string  `default:"measure"`
}

// tiny measures w2 = CMF_BIAS + .1·CMF_SEED, plus 1 on the set b; or it trains, or fails.
var tiny = run.Definition[tinyConfig]{
	Name: "tiny",
	Presets: map[string]func(*tinyConfig){
		"quick": func(c *tinyConfig) { c.Bias = 10 },
	},
	Do: func(ctx context.Context, r *run.Run, c *tinyConfig) error {
		diary, err := os.OpenFile(os.Getenv(ablationDiary), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer diary.Close()
		fmt.Fprintf(diary, "%s %s %d %v\n", c.Act, c.Dataset, c.Seed, c.Resume != "")
		switch c.Act {
		case "err":
			return errors.New("this was to be expected")
		case "panic":
			panic("so was this")
		case "train":
			return trainTiny(ctx, r, c, diary)
		}
		w2 := c.Bias + .1*float64(c.Seed)
		if c.Dataset == "b" {
			w2++
		}
		r.Report.Metrics = report.Numbers{"w2": w2, "nn": .5 + c.Bias}
		r.Report.Floor = report.Numbers{"w2": .25}
		r.Report.Baseline = report.Numbers{"w2": .4 * float64(c.Seed)}
		return nil
	},
}

// trainTiny trains for 20 steps. If asked to, it waits at the 8th step to be interrupted.
func trainTiny(ctx context.Context, r *run.Run, c *tinyConfig, diary io.Writer) error {
	set, err := data.Toy("moons")
	if err != nil {
		return err
	}
	points := set.Sample(random.New(1, "points", 0), 500)
	law, err := exact.FitGaussian(points, 0)
	if err != nil {
		return err
	}
	w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: config.Widths{8}})
	if err != nil {
		return err
	}
	m, err := fit.Fit(ctx, r, &c.Core, fit.Problem{
		Potential: w, Start: layers.Start{Law: law}, Train: points, Langevin: 2, Tolerance: 1e-3, WatchEvery: 8,
		Watch: func(m *fit.Model) (report.Numbers, error) {
			if os.Getenv("ABLATION_WAITS") != "" {
				fmt.Fprintln(diary, "waiting")
				<-ctx.Done()
			}
			return nil, nil
		},
	})
	if err != nil || !m.Finished {
		return err
	}
	r.Report.Metrics["w2"] = .1
	draw, err := m.Draw(ctx, 64, 20, random.New(c.Seed, "generation", 0))
	if err != nil {
		return err
	}
	return r.SaveSamples(draw.Points)
}

var tinyAblation = Ablation{
	Of:       tiny,
	Variants: []Variant{{"plain", nil}, {"biased", Settings{"BIAS": "1"}}},
	Sets:     []string{"a", "b"},
	Base:     Settings{"STEPS": "20", "BATCH": "16"},
	Metrics:  []report.Headline{{Metric: "w2", Label: "W2"}, {Metric: "nn", Goal: report.Nearer, Target: .5}},
	Baseline: "a fit",
	Presets:  map[string]func(*Ablation){"quick": func(a *Ablation) { a.Seeds, a.Variants = 1, a.Variants[:1] }},
}

// runTiny runs an ablation in a folder and returns its report and the diary of its cells.
func runTiny(t *testing.T, ctx context.Context, a Ablation, folder string) (left report.Report, diary []string) {
	t.Helper()
	t.Setenv(ablationDiary, filepath.Join(t.TempDir(), "diary"))
	if err := a.Execute(ctx, config.Variables("CMF_OUT="+folder, "CMF_PARALLEL=2"), nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &left)
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := os.ReadFile(os.Getenv(ablationDiary))
	return left, strings.FieldsFunc(string(lines), func(r rune) bool { return r == '\n' })
}

func TestAblationTabulatesMeans(t *testing.T) {
	folder := t.TempDir()
	left, diary := runTiny(t, t.Context(), tinyAblation, folder)
	if len(diary) != 12 {
		t.Errorf("%d cells ran, want 2 variants × 2 sets × 3 seeds:\n%s", len(diary), strings.Join(diary, "\n"))
	}
	near := cmpopts.EquateApprox(0, 1e-12)
	want := report.Numbers{
		"plain.a.w2": .2, "plain.a.w2.sd": .1, "plain.b.w2": 1.2, "plain.b.w2.sd": .1,
		"biased.a.w2": 1.2, "biased.a.w2.sd": .1, "biased.b.w2": 2.2, "biased.b.w2.sd": .1,
		"plain.a.nn": .5, "plain.a.nn.sd": 0, "plain.b.nn": .5, "plain.b.nn.sd": 0,
		"biased.a.nn": 1.5, "biased.a.nn.sd": 0, "biased.b.nn": 1.5, "biased.b.nn.sd": 0,
	}
	if d := cmp.Diff(want, left.Metrics, near); d != "" {
		t.Errorf("means (−want +got):\n%s", d)
	}
	if d := cmp.Diff(report.Numbers{"a.w2": .8, "a.w2.sd": .4, "b.w2": .8, "b.w2.sd": .4}, left.Baseline, near); d != "" {
		t.Errorf("baseline (−want +got):\n%s", d)
	}
	if left.Stop.Reason != report.Finished || len(left.Notes) > 0 || left.NaNCount > 0 {
		t.Errorf("stopped %v, notes %q, %d numbers not finite", left.Stop, left.Notes, left.NaNCount)
	}

	table, err := os.ReadFile(filepath.Join(folder, "ablation.md"))
	if err != nil {
		t.Fatal(err)
	}
	// √(.2/.25 · 1.2/.25) = 1.96
	text := `| W2 | a | b | over data against data |
| --- | ---: | ---: | ---: |
| plain | **0.20 ± 0.10** | **1.20 ± 0.10** | 1.96 |
| biased | 1.20 ± 0.10 | 2.20 ± 0.10 | 6.50 |
| a fit | 0.80 ± 0.40 | 0.80 ± 0.40 | 3.20 |
| data against data | 0.250 | 0.250 | 1.00 |
`
	if d := cmp.Diff(text, string(table)); d != "" {
		t.Errorf("ablation.md (−want +got):\n%s", d)
	}

	file, err := os.Open(filepath.Join(folder, "ablation.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil || len(lines) != 13 {
		t.Fatalf("ablation.csv has %d lines (%v), want a head and 12 cells", len(lines), err)
	}
	exptest.TestPage(t, folder, "tiny-ablation")
	lines[1][5] = "" // seconds
	got := [][]string{lines[0], lines[1]}
	if d := cmp.Diff([][]string{
		{"variant", "set", "seed", "status", "message", "seconds", "steps", "nn", "w2", "floor.w2", "baseline.w2"},
		{"plain", "a", "1", "finished", "", "", "0", "0.5", "0.1", "0.25", "0.4"},
	}, got); d != "" {
		t.Errorf("ablation.csv (−want +got):\n%s", d)
	}
}

func TestAblationSkipsFinishedCells(t *testing.T) {
	folder := t.TempDir()
	first, _ := runTiny(t, t.Context(), tinyAblation, folder)
	again, diary := runTiny(t, t.Context(), tinyAblation, folder)
	if len(diary) != 0 {
		t.Errorf("finished cells ran again:\n%s", strings.Join(diary, "\n"))
	}
	if d := cmp.Diff(first.Metrics, again.Metrics); d != "" {
		t.Errorf("means of skipped cells (−first +again):\n%s", d)
	}
	changed := tinyAblation
	changed.Variants = []Variant{tinyAblation.Variants[0], {"biased", Settings{"BIAS": "2"}}}
	changed.Seeds = 2
	left, diary := runTiny(t, t.Context(), changed, folder)
	if len(diary) != 4 {
		t.Errorf("%d cells ran, want the 4 whose settings are new:\n%s", len(diary), strings.Join(diary, "\n"))
	}
	if got := left.Metrics["biased.a.w2"]; math.Abs(got-2.15) > 1e-12 {
		t.Errorf("mean of the changed variant %v, want 2.15", got)
	}
}

func TestAblationReportsFailures(t *testing.T) {
	a := tinyAblation
	a.Seeds, a.Sets = 1, []string{"a"}
	a.Variants = []Variant{{"wrong", Settings{"ACT": "err"}}, {"broken", Settings{"ACT": "panic"}}, {"plain", nil}}
	folder := t.TempDir()
	left, _ := runTiny(t, t.Context(), a, folder)
	want := []string{
		"failed: wrong on a, seed 1: tiny: this was to be expected",
		"failed: broken on a, seed 1: panic: so was this",
	}
	if d := cmp.Diff(want, left.Notes); d != "" {
		t.Errorf("notes (−want +got):\n%s", d)
	}
	if got := left.Metrics["plain.a.w2"]; got != .1 {
		t.Errorf("beside failures the mean is %v, want .1", got)
	}
	for name, text := range map[string]string{"ablation.md": "| wrong | failed |", "ablation.csv": "broken,a,1,failed,panic: so was this", "index.html": "2 cells failed"} {
		if file, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Contains(file, []byte(text)) {
			t.Errorf("%s does not say %q (%v):\n%s", name, text, err, file)
		}
	}
	if _, diary := runTiny(t, t.Context(), a, folder); len(diary) != 2 {
		t.Errorf("a second time %q ran, want the two that failed", diary)
	}
}

func TestAblationGoesOnFromCheckpoints(t *testing.T) {
	a := tinyAblation
	a.Seeds, a.Sets = 1, []string{"a", "b"}
	a.Variants = []Variant{{"plain", nil}, {"trained", Settings{"ACT": "train"}}}
	whole, broken := t.TempDir(), t.TempDir()
	runTiny(t, t.Context(), a, whole)

	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	t.Setenv("ABLATION_WAITS", "1")
	diaryOf := make(chan string, 1)
	go func() {
		for file := <-diaryOf; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
			if lines, _ := os.ReadFile(file); strings.Count(string(lines), "waiting") == 2 {
				interrupt()
			}
		}
	}()
	t.Setenv(ablationDiary, filepath.Join(t.TempDir(), "diary"))
	diaryOf <- os.Getenv(ablationDiary)
	if err := a.Execute(ctx, config.Variables("CMF_OUT="+broken, "CMF_PARALLEL=2"), nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(broken, "report.json"))
	if err != nil || !bytes.Contains(text, []byte("interrupted with 2 of 4 cells to run")) {
		t.Errorf("report of an interrupted ablation (%v):\n%s", err, text)
	}

	t.Setenv("ABLATION_WAITS", "")
	left, diary := runTiny(t, t.Context(), a, broken)
	if d := cmp.Diff([]string{"train a 1 true", "train b 1 true"}, diary, cmpopts.SortSlices(strings.Compare)); d != "" {
		t.Errorf("cells that ran after the interrupt (−want +got):\n%s", d)
	}
	if left.Stop.Reason != report.Finished || left.Metrics["trained.b.w2"] != .1 {
		t.Errorf("after the interrupt: stopped %v, means %v", left.Stop, left.Metrics)
	}
	samples := filepath.Join("cells", "trained", "a", "1", "samples.npy")
	want, err := os.ReadFile(filepath.Join(whole, samples))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(broken, samples)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the samples of an interrupted cell differ from those of one that was not (%v)", err)
	}
	page, err := os.ReadFile(filepath.Join(broken, "index.html"))
	if err != nil || !bytes.Contains(page, []byte(`alt="generated by trained on b"`)) {
		t.Errorf("no picture of generated points on the page (%v)", err)
	}
}

func TestAblationRefusesBeforeAnyCell(t *testing.T) {
	with := func(change func(*Ablation)) Ablation {
		a := tinyAblation
		change(&a)
		return a
	}
	variants := func(v ...Variant) Ablation { return with(func(a *Ablation) { a.Variants = v }) }
	for name, c := range map[string]struct {
		a         Ablation
		variables config.Environment
		want      []string
	}{
		"setting of a variant":  {variants(Variant{"ok", nil}, Variant{"typo", Settings{"BAIS": "1"}}), nil, []string{`variant "typo" on a`, "CMF_BAIS", "did you mean CMF_BLAS?"}},
		"value of a variant":    {variants(Variant{"odd", Settings{"SAMPLER": "gibbs"}}), nil, []string{`variant "odd"`, "CMF_SAMPLER=gibbs: allowed are mala, ula"}},
		"setting of all":        {with(func(a *Ablation) { a.Base = Settings{"STEP": "2"} }), nil, []string{"base", "CMF_STEP", "CMF_STEPS"}},
		"what the ablation set": {variants(Variant{"mine", Settings{"SEED": "4"}}), nil, []string{`variant "mine"`, "CMF_SEED"}},
		"twice":                 {variants(Variant{"a b", nil}, Variant{"a-b", nil}), nil, []string{`"a-b"`, "twice"}},
		"user's variable":       {tinyAblation, config.Environment{"CMF_BIAZ": "1"}, []string{"unknown variable CMF_BIAZ", "CMF_BIAS"}},
		"user's value":          {tinyAblation, config.Environment{"CMF_SEEDS": "many"}, []string{"CMF_SEEDS=many: give a whole number"}},
		"no seed":               {tinyAblation, config.Environment{"CMF_SEEDS": "0"}, []string{"CMF_SEEDS=0"}},
		"unknown variant":       {tinyAblation, config.Environment{"CMF_VARIANTS": "plain; fancy"}, []string{`"fancy"`, "plain; biased"}},
		"user's own variant":    {tinyAblation, config.Environment{"CMF_VARIANTS": "BAIS=2"}, []string{`variant "BAIS=2"`, "CMF_BAIS"}},
		"metric":                {tinyAblation, config.Environment{"CMF_METRIC": "w3"}, []string{"CMF_METRIC=w3: allowed are w2, nn"}},
		"preset":                {tinyAblation, config.Environment{"CMF_PRESET": "fast"}, []string{"CMF_PRESET=fast: allowed are quick, default"}},
		"one data set":          {tinyAblation, config.Environment{"CMF_DATASET": "a"}, []string{"CMF_DATASET: ", "CMF_DATASETS"}},
		"part beyond all":       {tinyAblation, config.Environment{"CMF_PART": "3/2"}, []string{"CMF_PART=3/2: give the number of this process and of all, such as 2/4", "1/n to n/n"}},
		"no part":               {tinyAblation, config.Environment{"CMF_PART": "0/0"}, []string{"CMF_PART=0/0"}},
		"part in letters":       {tinyAblation, config.Environment{"CMF_PART": "a/b"}, []string{"CMF_PART=a/b"}},
		"resume":                {tinyAblation, config.Environment{"CMF_RESUME": "x"}, []string{"CMF_RESUME", "CMF_OUT"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			t.Setenv(ablationDiary, filepath.Join(folder, "diary"))
			err := c.a.Execute(t.Context(), c.variables.With("CMF_OUT="+folder), nil, io.Discard)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message does not say %q: %v", want, err)
				}
			}
			if _, err := os.Stat(filepath.Join(folder, "diary")); err == nil {
				t.Error("a cell ran")
			}
		})
	}
}

func TestAblationReadsTheUsersVariables(t *testing.T) {
	env := config.Variables("CMF_VARIANTS=biased; CMF_BIAS=3 LR=0.5", "CMF_DATASETS=b", "CMF_PRESET=quick",
		"CMF_METRIC=nn", "CMF_SEED=5", "CMF_STEPS=7", "CMF_OUT="+t.TempDir())
	p, err := tinyAblation.plan(env, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range p.cells {
		v := c.config
		got = append(got, strings.Join([]string{c.Variant, c.Set, v["CMF_DATASET"], v["CMF_SEED"], v["CMF_STEPS"], v["CMF_BATCH"], v["CMF_BIAS"], v["CMF_LR"], v["CMF_THREADS"]}, " "))
	}
	want := []string{"biased b b 5 7 16 1 0.001 1", "CMF_BIAS=3 LR=0.5 b b 5 7 16 3 0.5 1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("cells (−want +got):\n%s", d)
	}
	if p.Metrics[0].Metric != "nn" || len(p.Metrics) != 2 {
		t.Errorf("metrics %v, want nn first", p.Metrics)
	}
	shell := report.Command(p.Name, p.settings)
	for _, want := range []string{"CMF_PRESET=quick", "CMF_STEPS=7", "CMF_DATASETS=b", "go run ./experiments/ablation"} {
		if !strings.Contains(shell, want) {
			t.Errorf("the command %q lacks %s", shell, want)
		}
	}
	if strings.Contains(shell, "CMF_BATCH") {
		t.Errorf("the command %q has the ablation's own base", shell)
	}
}

func TestAblationHelp(t *testing.T) {
	var out strings.Builder
	if err := tinyAblation.Execute(t.Context(), nil, []string{"-h"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, want := range []string{"CMF_VARIANTS  plain; biased", "a run of tiny with CMF_BATCH=16", "CMF_BIAS "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, &out)
		}
	}
}

// A browser sees which cells have ended and how far the others are; the cells themselves are
// not followed.
func TestAblationIsWatched(t *testing.T) {
	t.Setenv(ablationDiary, filepath.Join(t.TempDir(), "diary"))
	t.Setenv("ABLATION_WAITS", "1")
	a := tinyAblation
	a.Seeds, a.Sets = 1, []string{"a"}
	a.Variants = []Variant{{"plain", nil}, {"<b>trains", Settings{"ACT": "train"}}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	folder := t.TempDir()
	in, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- a.Execute(ctx, config.Variables("CMF_OUT="+folder, "CMF_PARALLEL=1", "CMF_WATCH=127.0.0.1:0"), nil, out)
		out.Close()
	}()
	output := bufio.NewReader(in)
	url := ""
	for url == "" {
		line, err := output.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if _, at, ok := strings.Cut(line, "at=http"); ok {
			url = "http" + strings.TrimSpace(at)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	page := ""
	for !strings.Contains(page, "step 8 of 20") {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		page = got(t, url, http.StatusOK)
		time.Sleep(20 * time.Millisecond)
	}
	for _, want := range []string{"data-live", "cell 1 of 2", "<td>finished</td>", "<td>running</td>", "&lt;b&gt;trains on a, seed 1", `class="chart"`, `href="./cells/plain/a/1/index.html"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if cell := got(t, url+"cells/plain/a/1/index.html", http.StatusOK); !strings.Contains(cell, "<h1>tiny</h1>") {
		t.Errorf("the page of a cell is %q", cell)
	}
	got(t, url+"cells/-b-trains/a/1/metrics.jsonl", http.StatusNotFound) // it has not ended
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"config.env", "report.json", "cells/plain/a/1/config.env", "cells/plain/a/1/log.txt"} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil || strings.Contains(string(text), "CMF_WATCH") || strings.Contains(string(text), "can follow") {
			t.Errorf("%s says that the ablation, or the cell itself, was watched, or %v", file, err)
		}
	}
}

// got is what a server answers, with a status.
func got(t *testing.T, url string, status int) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		t.Errorf("%s: %s, want %d, error %v", url, answer.Status, status, err)
	}
	return string(text)
}
