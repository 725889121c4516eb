package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph/blas"
)

// BenchConfig configures bench.
type BenchConfig struct {
	config.Command
	config.Data
	Cases   caseList `default:"all" desc:"what to time: all, or a list of SIZE or SIZE/WORK such as big/grad,small,small-trained"`
	Runs    int      `default:"20" range:"1..1000000" desc:"timed runs of a case, after three that do not count"`
	Train   int      `default:"500" range:"0..1000000" desc:"iterations of CMFGen before a trained case is timed"`
	Weights string   `desc:"folder trained of an earlier run with the weights of trained cases; if empty, they are trained"`
	Kernels bool     `default:"true" desc:"also time bare products and elementwise kernels on one thread"`
	Sweep   bool     `default:"true" desc:"also time a step against batch, width, depth and dimension"`

	Peer   string `desc:"command of a program to compare with; none if empty. It is run as COMMAND CASE --threads N --runs K, with --weights FOLDER for trained cases, and must print a JSON line with best_ms and median_ms"`
	Rounds int    `default:"5" range:"1..10000" desc:"rounds of the comparison; both programs run once in each round, and the best time counts"`
}

// Bench times the steps of fitting a potential: its gradient, steps of Adam on several losses,
// and an iteration of CMFGen, each in a large, a small and a tiny case, with random and with
// trained weights. It also times the products and elementwise kernels that steps consist of.
// It writes a JSON line for each step to standard output. With CMF_PEER it runs the cases in
// turns with those of another program. On several ranks it times what they share instead.
var Bench = run.Definition[BenchConfig]{
	Name:   "bench",
	Shared: true,
	Presets: map[string]func(*BenchConfig){
		"quick": func(c *BenchConfig) { c.Runs, c.Rounds, c.Train, c.Sweep = 5, 2, 100, false },
	},
	Do: func(ctx context.Context, r *run.Run, c *BenchConfig) error { return doBench(ctx, r, c, os.Stdout) },
}

// timing is the time of a case.
type timing struct {
	Case     string  `json:"case"`
	Threads  int     `json:"threads"`
	BestMS   float64 `json:"best_ms"`
	MedianMS float64 `json:"median_ms"`
	GFLOPS   float64 `json:"gflops"` // of only the matrix products, at the best time
	Allocs   uint64  `json:"allocs"` // in a run
	BLAS     string  `json:"blas"`
}

func doBench(ctx context.Context, r *run.Run, c *BenchConfig, out io.Writer) error {
	if r.World.Size() > 1 {
		return timeRanks(ctx, r, c)
	}
	table, rates, threads := new(benchTable), measureRates(r), r.Report.Machine.Threads
	r.Page.Summary = describe(r.Report.Machine, rates)
	table.line("%s", r.Page.Summary)
	steps := timeSteps
	if c.Peer != "" {
		steps = compare
	}
	if err := steps(ctx, r, c, rates, table, out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // a better reason than that a process was killed
		}
		return err
	}
	for _, note := range r.Report.Notes {
		table.line("%s", note)
	}
	if c.Kernels {
		if _, err := blas.Use(c.BLAS, 1); err != nil {
			return err
		}
		timeProducts(r, rates.peak, table)
		timeElementwise(r, table)
		if _, err := blas.Use(c.BLAS, threads); err != nil {
			return err
		}
	}
	if err := table.write(r.Path("table.md")); err != nil {
		return err
	}
	if !c.Sweep || c.Peer != "" {
		return ctx.Err()
	}
	return sweep(ctx, r, c.Runs, rates.products)
}

// timeSteps times the cases in this process.
func timeSteps(ctx context.Context, r *run.Run, c *BenchConfig, rates rates, table *benchTable, out io.Writer) error {
	machine := r.Report.Machine
	lines := json.NewEncoder(out)
	var rows [][]string
	for _, name := range c.Cases {
		if ctx.Err() != nil {
			return nil
		}
		k, err := findCase(name)
		if err != nil {
			return err
		}
		b, err := openBench(r, ctx, c, k)
		if err != nil {
			return fmt.Errorf("case %s: %w", name, err)
		}
		step, err := k.work.bind(b)
		if err != nil {
			return fmt.Errorf("case %s: %w", name, err)
		}
		t, err := measure(step, 2*k.multiplyAdds(), c.Runs)
		if err != nil {
			return fmt.Errorf("case %s: %w", name, err)
		}
		t.Case, t.Threads, t.BLAS = name, machine.Threads, machine.BLAS
		if err := lines.Encode(t); err != nil {
			return err
		}
		m := r.Report.Metrics
		m[name+".best_ms"], m[name+".median_ms"] = t.BestMS, t.MedianMS
		m[name+".gflops"], m[name+".allocs"] = t.GFLOPS, float64(t.Allocs)
		rows = append(rows, []string{
			name, fmt.Sprintf("%.3g", t.BestMS), fmt.Sprintf("%.3g", t.MedianMS), toUntrained(m, k, ".best_ms", ".trained_ratio"),
			fmt.Sprintf("%.0f", t.GFLOPS), percent(t.GFLOPS, rates.products), percent(t.GFLOPS, rates.peak*float64(t.Threads)), fmt.Sprint(t.Allocs),
		})
	}
	table.add([]string{"case", "best, ms", "median, ms", "to random weights", "GFLOP/s in products", "of large products", "of FMA peak", "allocations"}, rows)
	return nil
}

// toUntrained adds the ratio of a trained case's time to that with random weights to the report,
// and returns it for a table. It is empty if there is none.
func toUntrained(metrics report.Numbers, k benchCase, time, ratio string) string {
	random, ok := metrics[k.untrained()+time]
	if !k.trained || !ok {
		return ""
	}
	v := rounded(metrics[k.String()+time] / random)
	metrics[k.String()+ratio] = v
	return fmt.Sprintf("%.2f", v)
}

// warmups is the number of runs of a case before those that count.
const warmups = 3

// measure times runs of step, which performs flops operations in products.
func measure(step func() error, flops float64, runs int) (timing, error) {
	for range warmups {
		if err := step(); err != nil {
			return timing{}, err
		}
	}
	times := make([]float64, runs)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range times {
		start := time.Now()
		if err := step(); err != nil {
			return timing{}, err
		}
		times[i] = time.Since(start).Seconds()
	}
	runtime.ReadMemStats(&after)
	slices.Sort(times)
	return timing{
		BestMS:   rounded(1e3 * times[0]),
		MedianMS: rounded(1e3 * times[len(times)/2]),
		GFLOPS:   rounded(flops / times[0] / 1e9),
		Allocs:   (after.Mallocs - before.Mallocs) / uint64(runs),
	}, nil
}

// rounded keeps the digits of a time that are not noise.
func rounded(v float64) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return short
}
