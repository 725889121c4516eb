package experiments

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"cmf/graph/blas"
)

// BenchConfig configures bench.
type BenchConfig struct {
	Core
	Cases caseList `default:"all" desc:"what to time: all, or a list of SIZE or SIZE/WORK such as big/grad,small"`
	Runs  int      `default:"20" desc:"runs of a case, after three that do not count"`
	Sweep bool     `default:"true" desc:"time a step against batch, width, depth and dimension too"`

	Peer   string `desc:"command of a program to be compared with, run as COMMAND CASE --threads N --runs K, which prints a JSON line with best_ms and median_ms; when empty, none"`
	Rounds int    `default:"5" desc:"rounds of the comparison, in each of which both run once; the best counts"`
}

// Validate checks the experiment's own variables.
func (c *BenchConfig) Validate() error {
	return allowed(
		rule{c.Runs >= 1 && c.Runs <= 1000000, "RUNS", c.Runs, "allowed are 1 to 1000000"},
		rule{c.Rounds >= 1 && c.Rounds <= 10000, "ROUNDS", c.Rounds, "allowed are 1 to 10000"},
	)
}

// Bench times the steps of fitting a potential: its gradient, steps of Adam on
// several losses, and an iteration of CMFGen, each in a large, a small and a
// tiny case. A JSON line for each goes to standard output. With CMF_PEER the
// cases are run in turns with another program's.
var Bench = Definition[BenchConfig]{
	Name: "bench",
	Presets: map[string]func(*BenchConfig){
		"quick": func(c *BenchConfig) { c.Runs, c.Rounds, c.Sweep = 5, 2, false },
	},
	Do: func(ctx context.Context, r *Run, c *BenchConfig) error { return doBench(ctx, r, c, os.Stdout) },
}

// timing is what a case took.
type timing struct {
	Case     string  `json:"case"`
	Threads  int     `json:"threads"`
	BestMS   float64 `json:"best_ms"`
	MedianMS float64 `json:"median_ms"`
	GFLOPS   float64 `json:"gflops"` // of the matrix products alone, at the best time
	Allocs   uint64  `json:"allocs"` // a run
	BLAS     string  `json:"blas"`
}

func doBench(ctx context.Context, r *Run, c *BenchConfig, out io.Writer) error {
	if c.Peer != "" {
		return compare(ctx, r, c, out)
	}
	threads, backend := r.Report.Machine.Threads, r.Report.Machine.BLAS
	peak := productPeak()
	r.Report.Metrics["product_peak_gflops"] = peak
	lines := json.NewEncoder(out)
	var rows [][]string
	for _, name := range c.Cases {
		if ctx.Err() != nil {
			return nil
		}
		step, products, err := newCase(name)
		if err != nil {
			return err
		}
		t, err := measure(step, 2*products, c.Runs)
		if err != nil {
			return fmt.Errorf("case %s: %w", name, err)
		}
		t.Case, t.Threads, t.BLAS = name, threads, backend
		if err := lines.Encode(t); err != nil {
			return err
		}
		r.Report.Metrics[name+".best_ms"] = t.BestMS
		r.Report.Metrics[name+".median_ms"] = t.MedianMS
		r.Report.Metrics[name+".gflops"] = t.GFLOPS
		r.Report.Metrics[name+".allocs"] = float64(t.Allocs)
		rows = append(rows, []string{
			name, fmt.Sprintf("%.3g", t.BestMS), fmt.Sprintf("%.3g", t.MedianMS), fmt.Sprintf("%.0f", t.GFLOPS),
			fmt.Sprintf("%.0f %%", 100*t.GFLOPS/peak), fmt.Sprint(t.Allocs),
		})
	}
	head := []string{"case", "best, ms", "median, ms", "GFLOP/s in products", "of their peak", "allocations"}
	if err := writeMarkdown(r.path("table.md"), head, rows); err != nil {
		return err
	}
	if !c.Sweep {
		return nil
	}
	return sweep(ctx, r, c.Runs, peak)
}

// warmups are the runs of a case before those that count.
const warmups = 3

// measure times runs of step, which takes flops operations in products.
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

// rounded keeps what of a time is not noise.
func rounded(v float64) float64 {
	short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return short
}

// productPeak is the rate in GFLOP/s of large square products.
func productPeak() float64 {
	const n = 768
	a, b, c := newBatch(n, n), newBatch(n, n), newBatch(n, n)
	best := time.Hour
	for range 50 {
		start := time.Now()
		blas.Gemm(false, false, n, n, n, 1, a.Data, n, b.Data, n, 0, c.Data, n)
		best = min(best, time.Since(start))
	}
	return 2 * n * n * n / best.Seconds() / 1e9
}

// writeMarkdown writes a table in Markdown, its first column on the left.
func writeMarkdown(path string, head []string, rows [][]string) error {
	rule := slices.Repeat([]string{"---:"}, len(head))
	rule[0] = "---"
	return writeFile(path, func(w io.Writer) error {
		for _, row := range append([][]string{head, rule}, rows...) {
			if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | ")); err != nil {
				return err
			}
		}
		return nil
	})
}
