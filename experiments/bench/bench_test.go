package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/run"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/batch"

	"github.com/google/go-cmp/cmp"
)

func TestBenchCases(t *testing.T) {
	for list, want := range map[string]string{
		"all":              "all",
		"tiny-trained":     "tiny-trained/grad,tiny-trained/dual,tiny-trained/pairs,tiny-trained/logdet,tiny-trained/outer,tiny-trained/values",
		"tiny/grad":        "tiny/grad",
		"big":              "big/grad,big/dual,big/pairs,big/outer,big/values",
		"small/logdet,big": "small/logdet,big/grad,big/dual,big/pairs,big/outer,big/values",
		"quadratics16":     "quadratics16/dual,quadratics16/values,quadratics16/solve",
	} {
		var c caseList
		if err := c.Decode(list); err != nil || c.String() != want {
			t.Errorf("cases %q are %q, %v; want %q", list, c, err, want)
		}
	}
	for _, list := range []string{"", "huge", "big/logdet", "big/", "grad"} {
		var c caseList
		if err := c.Decode(list); err == nil || !strings.Contains(err.Error(), "small/logdet") {
			t.Errorf("cases %q: error %v; want one that lists the known cases", list, err)
		}
	}
}

// Without hidden units the potential is ½s|x|², so the loss is known: (½(1−s³))²·Var|x|².
func TestBenchLogDetOfAQuadratic(t *testing.T) {
	b, err := benchSize{n: 50, d: 2, hidden: []int{3}}.random()
	if err != nil {
		t.Fatal(err)
	}
	icnn(b).Out.Fill(func(int) float64 { return 0 })
	icnn(b).Linear.Fill(func(int) float64 { return 0 })
	program, _, err := losses.Compile(b.w, losses.Sum{{Factor: 1, Term: logDetVariance{}}}, b.x.Rows)
	if err != nil {
		t.Fatal(err)
	}
	copy(program.In(solvers.BatchData.Name).F32, b.x.Data)
	if err := program.Run(); err != nil {
		t.Fatal(err)
	}
	var mean, variance float64
	squares := make([]float64, b.x.Rows)
	for i := range squares {
		u, v := float64(b.x.Data[2*i]), float64(b.x.Data[2*i+1])
		squares[i] = u*u + v*v
		mean += squares[i] / float64(len(squares))
	}
	for _, s := range squares {
		variance += (s - mean) * (s - mean) / float64(len(squares)-1)
	}
	const s = .5
	want := math.Pow(.5*(1-s*s*s), 2) * variance
	if got := program.Out("loss").At(0, 0); !(math.Abs(got-want) <= 1e-5*want) {
		t.Errorf("loss %g, want %g", got, want)
	}
}

// Steps of training lower the loss that they train on.
func TestBenchStepsLearn(t *testing.T) {
	b, err := benchSizes[2].random()
	if err != nil {
		t.Fatal(err)
	}
	b.adam.LR = 1e-2
	step, err := b.pairs()
	if err != nil {
		t.Fatal(err)
	}
	error2 := func() (sum float64) {
		g := batch.New(b.x.Rows, b.x.Cols)
		if err := b.evaluator.Eval(b.x, nil, g); err != nil {
			t.Fatal(err)
		}
		for i, v := range g.Data {
			sum += math.Pow(float64(v-b.y.Data[i]), 2)
		}
		return sum
	}
	before := error2()
	for range 100 {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if after := error2(); !(after < .9*before) {
		t.Errorf("the squared error goes from %g to %g in 100 steps", before, after)
	}
}

func TestBenchStepsDoNotAllocate(t *testing.T) {
	starts := map[string]*bench{}
	for _, name := range knownCases() {
		k, err := findCase(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "quadratics784/solve" { // a part of its dual
			continue
		}
		if !strings.HasPrefix(name, "tiny/") && name != "pictures/dual" && name != "pictures/pairs" && name != "small-maximum/pairs" && k.size.pieces == 0 {
			continue
		}
		var b *bench
		if k.size.pieces == 0 {
			b, err = k.size.random()
			if err != nil {
				t.Fatal(err)
			}
		} else if b = starts[k.size.name]; b == nil {
			b = smallStart(t, k.size)
			starts[k.size.name] = b
		}
		step, err := k.work.bind(b)
		if err != nil {
			t.Fatal(err)
		}
		const runs = 20
		for range warmups { // rows take memory as they first need it
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(runs, func() {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 || k.multiplyAdds() <= 0 && k.work.name != "solve" {
			t.Errorf("%s: %g allocations a run and %g multiply-adds", name, n, k.multiplyAdds())
		}
	}
}

// runBench runs the experiment with some variables, and its lines go to a buffer.
func runBench(t *testing.T, variables ...string) (*run.Run, string, error) {
	t.Helper()
	var lines bytes.Buffer
	d := Bench
	d.Do = func(ctx context.Context, r *run.Run, c *BenchConfig) error { return doBench(ctx, r, c, &lines) }
	r, err := run.Execute(t.Context(), d, config.Variables("CMF_OUT="+t.TempDir()).With(variables...), nil, io.Discard)
	return r, lines.String(), err
}

func TestBench(t *testing.T) {
	whole := fmt.Sprint(!testing.Short())
	r, lines, err := runBench(t, "CMF_CASES=tiny/grad,tiny/dual,tiny-trained/dual", "CMF_RUNS=3", "CMF_TRAIN=5", "CMF_KERNELS="+whole, "CMF_SWEEP="+whole)
	if err != nil {
		t.Fatal(err)
	}
	metrics := r.Report.Metrics
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		var got timing
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if want := []string{"tiny/grad", "tiny/dual", "tiny-trained/dual"}[i]; got.Case != want || !(got.BestMS > 0) || !(got.MedianMS >= got.BestMS) ||
			!(got.GFLOPS > 0) || got.Threads != r.Report.Machine.Threads || got.BLAS == "" {
			t.Errorf("line %q for %s", line, want)
		}
		if v := metrics[got.Case+".best_ms"]; v != got.BestMS {
			t.Errorf("%s: the report has %g ms, the line %g", got.Case, v, got.BestMS)
		}
	}
	if want := rounded(metrics["tiny-trained/dual.best_ms"] / metrics["tiny/dual.best_ms"]); metrics["tiny-trained/dual.trained_ratio"] != want {
		t.Errorf("trained to untrained %g, want %g", metrics["tiny-trained/dual.trained_ratio"], want)
	}
	if notes := strings.Join(r.Report.Notes, " "); !strings.Contains(notes, "tiny-trained: 5 iterations of CMFGen on moons") {
		t.Errorf("notes %q do not say what was trained on", notes)
	}
	text, err := os.ReadFile(r.Path("table.md"))
	table := string(text)
	if err != nil || !strings.HasPrefix(table, r.Report.Machine.CPU) || !strings.Contains(table, "\n| tiny/dual | ") || strings.Count(table, "\n| tiny") != 3 {
		t.Errorf("table %q, %v", table, err)
	}
	if testing.Short() {
		return
	}
	for _, want := range []string{"\n| 512×512×512 NN | ", "\n| 64×64×1024 TN | ", "\n| softplusSigmoid | ", " worst to −5 |"} {
		if !strings.Contains(table, want) {
			t.Errorf("table %q lacks %q", table, want)
		}
	}
	if !(metrics["product 256×784×512 NT.gflops"] > 0 && metrics["exp.at_-100.ns"] > 0 && metrics["exp.worst_ratio"] >= 1) {
		t.Errorf("metrics %v lack those of kernels", metrics)
	}
	if len(r.Page.Figures) != 8 {
		t.Errorf("%d figures; want 8", len(r.Page.Figures))
	}
}

// script writes a program that records its call and prints a line.
func script(t *testing.T, name, body string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBenchAgainstAPeer(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	ours := script(t, "ours", `echo "ours $CMF_CASES $CMF_THREADS $CMF_BLAS $CMF_RUNS[$CMF_PEER]" >>`+calls+`
echo '{"case":"x","best_ms":'$((3 - CMF_THREADS))'}'`)
	// The peer is slower with two threads, so its time with one counts.
	peer := script(t, "peer", `echo "peer $@" >>`+calls+`
echo '{"best_ms":'$((4 * $3))',"median_ms":9}'`)
	before := self
	self = func() (string, error) { return ours, nil }
	defer func() { self = before }()
	r, lines, err := runBench(t, "CMF_CASES=big/grad", "CMF_RUNS=7", "CMF_ROUNDS=2", "CMF_THREADS=2", "CMF_BLAS=native", "CMF_KERNELS=false", "CMF_PEER=sh "+peer)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(calls)
	round := "ours big/grad 1 native 7[]\npeer big/grad --threads 1 --runs 7\nours big/grad 2 native 7[]\npeer big/grad --threads 2 --runs 7\n"
	if diff := cmp.Diff(round+round, string(text)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	share := func(threads int) string {
		return percent(0, r.Report.Metrics["fma_peak_gflops"]*float64(threads))
	}
	var got []comparison
	for line := range strings.Lines(lines) {
		var c comparison
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "linux" && !(c.PeakMB > 0 && c.PeerPeakMB > 0) {
			t.Errorf("peak memory %g MB, of the peer %g MB", c.PeakMB, c.PeerPeakMB)
		}
		c.PeakMB, c.PeerPeakMB = 0, 0
		got = append(got, c)
	}
	want := []comparison{
		{Case: "big/grad", Threads: 1, BestMS: 2, PeerBestMS: 4, Ratio: .5},
		{Case: "big/grad", Threads: 2, BestMS: 1, PeerBestMS: 4, Ratio: .25},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if v := r.Report.Metrics["big/grad.threads_2.ratio"]; v != .25 {
		t.Errorf("the report's ratio is %g, want .25", v)
	}
	if table, err := os.ReadFile(r.Path("table.md")); err != nil || !strings.Contains(string(table), "| big/grad | 2 | 4 | 0.50 |  | "+share(1)+" | 1 | 4 | 0.25 |  | "+share(2)+" |") {
		t.Errorf("table %q, %v", table, err)
	}
}

func TestBenchPeerThatFails(t *testing.T) {
	ours := script(t, "ours", `echo '{"best_ms":1}'`)
	before := self
	self = func() (string, error) { return ours, nil }
	defer func() { self = before }()
	for body, want := range map[string]string{
		"echo no such module >&2; exit 3": "no such module",
		"echo hello":                      "hello",
		"echo '{}'":                       "no positive best_ms",
	} {
		if _, _, err := runBench(t, "CMF_CASES=big/grad", "CMF_PEER="+script(t, "peer", body)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "CMF_PEER") {
			t.Errorf("a peer that does %q: error %v; want one with %q", body, err, want)
		}
	}
}
