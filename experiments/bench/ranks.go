package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"cmf/experiments/fit"
	"cmf/experiments/ranks"
	"cmf/experiments/run"
	"cmf/solvers/mpi"
)

// sharing is how an iteration of CMFGen is timed when there are several ranks. Data is that of
// the trained cases, and the weights stay where they start, so that all do the same work.
type sharing struct {
	name, doc string
	rows      func(n, ranks int) int // of each rank, for a size of n rows
	apart     bool                   // each rank learns by itself
	first     bool                   // only rank 0 does anything
}

// sharings are timed in turns. The first three also give the model of an iteration's cost.
var sharings = []sharing{
	{"alone", "one rank, while others wait", func(n, _ int) int { return n }, true, true},
	{"half", "the same with half of the rows", func(n, _ int) int { return n / 2 }, true, true},
	{"quarter", "the same with a quarter", func(n, _ int) int { return n / 4 }, true, true},
	{"beside", "every rank by itself", func(n, _ int) int { return n }, true, false},
	{"weak", "together, as many rows on each rank as alone", func(n, _ int) int { return n }, false, false},
	{"strong", "together, as many rows in all as alone", func(n, ranks int) int { return n / ranks }, false, false},
}

// iterations are the median seconds of an iteration of CMFGen of a size.
type iterations struct {
	size    benchSize
	weights int                // trained ones, which is what ranks sum
	seconds map[string]float64 // by sharing
}

// timeRanks times the iterations of every size of CMF_CASES that learns, and sums of gradients,
// over the ranks that a launcher started; fits a model of their cost; and draws the
// efficiency that it predicts for more ranks and for networks.
func timeRanks(ctx context.Context, r *run.Run, c *BenchConfig) error {
	table := new(benchTable)
	r.Page.Summary = describe(r.Report.Machine, measureRates(r))
	table.line("%s", r.Page.Summary)
	sum, err := timeSums(ctx, r, table)
	if err != nil {
		return err
	}
	var sizes []benchSize
	for _, name := range c.Cases {
		k, err := findCase(name)
		if err != nil {
			return err
		}
		same := func(s benchSize) bool { return s.name == k.size.name }
		if k.size.learns() && !slices.ContainsFunc(sizes, same) {
			sizes = append(sizes, k.size)
		}
	}
	for _, s := range sizes {
		it, err := s.timeIterations(ctx, r, c)
		if err != nil {
			return fmt.Errorf("%s on %d ranks: %w", s.name, r.World.Size(), err)
		}
		it.tell(r, table, sum)
		if err := predict(r, table, it); err != nil {
			return err
		}
	}
	if len(sizes) == 0 {
		return fmt.Errorf("CMF_CASES=%s: on several ranks, name one of the sizes big, small, tiny", c.Cases)
	}
	return table.write(r.Path("table.md"))
}

// timeSums times sums of 1 kB to 100 MB over ranks, and returns the line of their median seconds by
// bytes.
func timeSums(ctx context.Context, r *run.Run, table *benchTable) (line, error) {
	sums, rows := map[int]float64{}, [][]string(nil)
	for bytes := 1000; bytes <= 100_000_000; bytes *= 10 {
		x := make([]float32, bytes/4)
		times := make([]float64, max(7, min(200, 50_000_000/bytes)))
		r.World.Sum32(x) // the first one makes connections
		for k := range times {
			times[k], _ = timed(r.World, func() error { r.World.Sum32(x); return nil })
		}
		if err := ended(ctx, r.World); err != nil {
			return line{}, err
		}
		slices.Sort(times)
		t := times[len(times)/2]
		sums[bytes] = t
		r.Report.Metrics[fmt.Sprintf("sum_%d.ms", bytes)] = rounded(1e3 * t)
		rows = append(rows, []string{fmt.Sprint(bytes), fmt.Sprintf("%.3g", 1e3*t), fmt.Sprintf("%.3g", 1e3*times[len(times)-1]), fmt.Sprintf("%.0f", float64(bytes)/t/1e6)})
	}
	table.add([]string{"sum over ranks, bytes", "median, ms", "slowest, ms", "MB/s"}, rows)
	sum := fitLine(sums)
	r.Report.Metrics["sum.latency_us"], r.Report.Metrics["sum.bytes_per_second"] = rounded(1e6*sum.base), rounded(1/sum.slope)
	table.line("A sum over ranks of this machine takes about %.3g µs and 1 s for %.3g GB.", 1e6*sum.base, 1e-9/sum.slope)
	return sum, nil
}

// timeIterations times all sharings in turns.
func (s benchSize) timeIterations(ctx context.Context, r *run.Run, c *BenchConfig) (*iterations, error) {
	set, err := s.points(ctx, c.DataDir, 5000)
	if err != nil {
		return nil, err
	}
	set.core.LR = 1e-9
	size, models := r.World.Size(), make([]*fit.Model, len(sharings))
	it := &iterations{size: s, seconds: map[string]float64{}}
	for k, how := range sharings {
		group, all := ranks.New(r.World), how.rows(s.n, size)*size
		if how.apart {
			group, all = nil, how.rows(s.n, size)
		}
		m, w, err := s.training(set, group, all)
		if err != nil {
			return nil, err
		}
		models[k] = m
		it.weights = 0
		for _, p := range w.Params().Trained() {
			it.weights += p.Rows * p.Cols
		}
	}
	times := make([][]float64, len(sharings))
	for round := range c.Rounds + 1 {
		for k, how := range sharings {
			t, err := timed(r.World, func() error {
				for range c.Runs {
					if how.first && r.World.Rank() > 0 {
						return nil
					}
					if err := models[k].Advance(); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			if err := ended(ctx, r.World); err != nil {
				return nil, err
			}
			if round > 0 { // the first one warms up
				times[k] = append(times[k], t/float64(c.Runs))
			}
		}
	}
	for k, how := range sharings {
		slices.Sort(times[k])
		it.seconds[how.name] = times[k][len(times[k])/2]
	}
	return it, nil
}

// timed is the seconds that work takes on the slowest rank, and the error of this one.
func timed(w *mpi.World, work func() error) (float64, error) {
	w.Barrier()
	start := time.Now()
	err := work()
	return slices.Max(w.Each(time.Since(start).Seconds())), err
}

// ended is the error of a context that has ended on any rank.
func ended(ctx context.Context, w *mpi.World) error {
	over := 0.
	if ctx.Err() != nil {
		over = 1
	}
	if slices.Max(w.Each(over)) > 0 {
		return context.Canceled
	}
	return nil
}

// tell adds the times and the efficiencies of a size to the report and the table.
func (it *iterations) tell(r *run.Run, table *benchTable, sum line) {
	n, ranks, t := it.size.n, r.World.Size(), it.seconds
	head, row := []string{"an iteration of " + it.size.name + ", ms"}, []string{fmt.Sprintf("%d rows, %d weights", n, it.weights)}
	for _, how := range sharings {
		r.Report.Metrics[it.size.name+"."+how.name+".ms"] = rounded(1e3 * t[how.name])
		head, row = append(head, how.doc), append(row, fmt.Sprintf("%.4g", 1e3*t[how.name]))
	}
	table.add(head, [][]string{row})
	predicted := t["beside"] + sum.at(float64(4*it.weights))
	efficiencies := []struct {
		name string
		v    float64
	}{
		{"weak", t["alone"] / t["weak"]},
		{"contention", t["alone"] / t["beside"]},
		{"communication", t["beside"] / t["weak"]},
		{"strong", t["alone"] / (float64(ranks) * t["strong"])},
		{"predicted_to_measured", predicted / t["weak"]},
	}
	for _, e := range efficiencies {
		r.Report.Metrics[it.size.name+".efficiency."+e.name] = math.Round(1000*e.v) / 1000
	}
	table.line("Efficiency of %s on %d ranks of this machine: %.2f with as many rows on each (%.2f for what ranks take from each other's memory and cores, %.2f for sums), %.2f with as many rows in all. The model of the cost gives %.2f times the time measured with as many rows on each.",
		it.size.name, ranks, efficiencies[0].v, efficiencies[1].v, efficiencies[2].v, efficiencies[3].v, efficiencies[4].v)
}
