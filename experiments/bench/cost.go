package main

import (
	"fmt"
	"math"
	"strings"

	"cmf/experiments/figure"
	"cmf/experiments/run"
)

// line is a time that grows with an amount: at(v) = base + slope·v, neither below 0.
type line struct{ base, slope float64 }

func (l line) at(v float64) float64 { return l.base + l.slope*v }

// fitLine is the line with the least Σ ((base + slope·v)/t − 1)² over measured times t of
// amounts v: errors count in proportion to the time.
func fitLine(times map[int]float64) line {
	var aa, ab, bb, a, b float64
	for v, t := range times {
		x, y := 1/t, float64(v)/t
		aa, ab, bb, a, b = aa+x*x, ab+x*y, bb+y*y, a+x, b+y
	}
	if det := aa*bb - ab*ab; det > 0 {
		l := line{(bb*a - ab*b) / det, (aa*b - ab*a) / det}
		if l.base >= 0 && l.slope >= 0 {
			return l
		}
	}
	if base := a / aa; b/bb < 0 || aa > 0 && misfit(times, line{base, 0}) < misfit(times, line{0, b / bb}) {
		return line{base, 0}
	}
	return line{0, b / bb}
}

// misfit is Σ (l(v)/t − 1)².
func misfit(times map[int]float64, l line) (sum float64) {
	for v, t := range times {
		sum += math.Pow(l.at(float64(v))/t-1, 2)
	}
	return sum
}

// network joins computers, with a rank on each.
type network struct {
	name    string
	latency float64 // seconds of a short message from rank to rank
	bytes   float64 // a second, in each direction
}

// networks are those for which efficiency is predicted. Latencies are typical of MPI over TCP,
// for the first two, and over InfiniBand or RoCE; rates are nine tenths of the nominal ones.
var networks = []network{
	{"10 Gb/s", 30e-6, .9 * 10e9 / 8},
	{"25 Gb/s", 20e-6, .9 * 25e9 / 8},
	{"100 Gb/s", 2e-6, .9 * 100e9 / 8},
}

// sum is the seconds in which p ranks add M bytes and all have the result. It is reduced to one
// rank and broadcast, each in two halves as long messages are: reduce–scatter and gather,
// scatter and all-gather. Every half takes ⌈log₂ p⌉ messages one after another at least, and
// moves (p−1)/p·M past a rank:
//
//	S(p) = 4·⌈log₂ p⌉·latency + 4·(p−1)/p·M/bytes
//
// R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in
// MPICH", International Journal of High Performance Computing Applications 19, 2005.
func (n network) sum(p int, bytes float64) float64 {
	if p <= 1 {
		return 0
	}
	return 4 * (math.Ceil(math.Log2(float64(p)))*n.latency + float64(p-1)/float64(p)*bytes/n.bytes)
}

// cost is a model of an iteration on p ranks: step.at(rows) + S(p).
type cost struct {
	rows  int // at one rank
	step  line
	bytes float64
	over  network
}

// weak is the efficiency with as many rows on each rank as on one alone: t(n) / (t(n) + S(p)).
func (c cost) weak(p int) float64 {
	t := c.step.at(float64(c.rows))
	return t / (t + c.over.sum(p, c.bytes))
}

// strong is that with as many rows in all: t(n) / (p·(t(n/p) + S(p))).
func (c cost) strong(p int) float64 {
	t := c.step.at(float64(c.rows) / float64(p))
	return c.step.at(float64(c.rows)) / (float64(p) * (t + c.over.sum(p, c.bytes)))
}

// predict draws the efficiency of 1 to 1024 ranks, each on a computer like this.
func predict(r *run.Run, table *benchTable, it *iterations) error {
	n := it.size.n
	step := fitLine(map[int]float64{n: it.seconds["alone"], n / 2: it.seconds["half"], n / 4: it.seconds["quarter"]})
	m := r.Report.Metrics
	m[it.size.name+".model.fixed_ms"], m[it.size.name+".model.row_us"] = rounded(1e3*step.base), rounded(1e6*step.slope)
	table.line("Model of %s: an iteration takes %.3g ms and %.3g µs a row.", it.size.name, 1e3*step.base, 1e6*step.slope)

	var curves []figure.Series
	var rows [][]string
	shown := []int{2, 8, 64, 1024}
	for _, kind := range []string{"weak", "strong"} {
		for _, over := range networks {
			c := cost{rows: n, step: step, bytes: float64(4 * it.weights), over: over}
			efficiency := c.weak
			if kind == "strong" {
				efficiency = c.strong
			}
			curve := figure.Series{Name: kind + ", " + over.name}
			for p := 1; p <= 1024 && (kind == "weak" || n/p >= 2); p *= 2 {
				curve.X, curve.Y = append(curve.X, float64(p)), append(curve.Y, efficiency(p))
			}
			curves = append(curves, curve)
			row := []string{curve.Name}
			for _, p := range shown {
				if kind == "strong" && n/p < 2 {
					row = append(row, "–")
					continue
				}
				e := efficiency(p)
				m[fmt.Sprintf("%s.predicted.%s.%s.%d", it.size.name, kind, strings.Fields(over.name)[0], p)] = rounded(e)
				row = append(row, fmt.Sprintf("%.3f", e))
			}
			rows = append(rows, row)
		}
	}
	head := []string{"predicted efficiency of " + it.size.name}
	for _, p := range shown {
		head = append(head, fmt.Sprintf("%d ranks", p))
	}
	table.add(head, rows)
	file := "efficiency_" + it.size.name + ".png"
	if err := figure.DrawCurves(r.Path(file), figure.Axes{Title: "Predicted efficiency of " + it.size.name, X: "ranks", Y: "efficiency", LogX: true}, curves...); err != nil {
		return err
	}
	r.AddFigure(file, fmt.Sprintf("Efficiency that a model of the cost predicts, with as many rows on each rank as on one (weak, %d) and in all (strong), for a rank on each of as many computers like this one. It takes an iteration as fixed time and time per row, fitted to times measured here, and a sum of the %d gradients as latency and bytes of an idle network. It has neither ranks that wait for slower ones nor communication beside computation.", n, it.weights))
	return nil
}
