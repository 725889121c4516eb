package main

import (
	"context"
	"fmt"
	"slices"

	"cmf/experiments/figure"
	"cmf/experiments/run"
)

// sweep times the gradient and the dual step against each dimension of a medium network, and
// draws the times and the share of the peak rate of products that they reach.
func sweep(ctx context.Context, r *run.Run, runs int, peak float64) error {
	base := benchSize{n: 256, d: 64, hidden: []int{128, 128, 128}}
	widths := func(h, depth int) []int { return slices.Repeat([]int{h}, depth) }
	for _, axis := range []struct {
		name   string
		values []int
		set    func(s *benchSize, v int)
	}{
		{"batch", []int{16, 32, 64, 128, 256, 512, 1024, 2048}, func(s *benchSize, v int) { s.n = v }},
		{"width", []int{16, 32, 64, 128, 256, 512}, func(s *benchSize, v int) { s.hidden = widths(v, len(s.hidden)) }},
		{"depth", []int{1, 2, 3, 4, 6, 8}, func(s *benchSize, v int) { s.hidden = widths(s.hidden[0], v) }},
		{"dimension", []int{2, 8, 32, 64, 128, 256, 512, 1024}, func(s *benchSize, v int) { s.d = v }},
	} {
		var times, shares []figure.Series
		for _, work := range benchWorks[:2] {
			time, share := figure.Series{Name: work.name}, figure.Series{Name: work.name}
			for _, v := range axis.values {
				if err := ctx.Err(); err != nil {
					return err
				}
				size := base
				axis.set(&size, v)
				b, err := size.random()
				if err != nil {
					return err
				}
				step, err := work.bind(b)
				if err != nil {
					return err
				}
				t, err := measure(step, 2*benchCase{size: size, work: work}.multiplyAdds(), runs)
				if err != nil {
					return fmt.Errorf("%s of %s %d: %w", work.name, axis.name, v, err)
				}
				r.Report.Metrics[fmt.Sprintf("%s.%s_%d.best_ms", work.name, axis.name, v)] = t.BestMS
				time.X, time.Y = append(time.X, float64(v)), append(time.Y, t.BestMS)
				share.X, share.Y = append(share.X, float64(v)), append(share.Y, 100*t.GFLOPS/peak)
			}
			times, shares = append(times, time), append(shares, share)
		}
		file := "time_" + axis.name + ".png"
		if err := figure.DrawCurves(r.Path(file), figure.Axes{Title: "Time of a step", X: axis.name, Y: "ms", LogX: true, LogY: true}, times...); err != nil {
			return err
		}
		r.AddFigure(file, fmt.Sprintf("Time of the gradient and of a dual step against the %s; otherwise with %d points in dimension %d and widths %v.", axis.name, base.n, base.d, base.hidden))
		file = "peak_" + axis.name + ".png"
		if err := figure.DrawCurves(r.Path(file), figure.Axes{Title: "Rate in matrix products", X: axis.name, Y: "% of their peak", LogX: true}, shares...); err != nil {
			return err
		}
		r.AddFigure(file, fmt.Sprintf("Operations in matrix products per second of the same steps, whose time includes all other work, as a percentage of the rate of large products, %.0f GFLOP/s.", peak))
	}
	return nil
}
