package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cmf/experiments/run"
	"cmf/graph/blas"
	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// rates are the speeds that this processor reaches, in GFLOP/s.
type rates struct {
	peak     float64 // of fused multiply–adds on one core's registers; 0 if unknown
	products float64 // of large products with the run's threads
}

// measureRates measures the rates and adds them to the report.
func measureRates(r *run.Run) rates {
	v := rates{peak: kernel.PeakFLOPS() / 1e9, products: productPeak()}
	if v.peak > 0 {
		r.Report.Metrics["fma_peak_gflops"] = v.peak
	}
	r.Report.Metrics["product_peak_gflops"] = v.products
	return v
}

// productPeak is the rate in GFLOP/s of large square products.
func productPeak() float64 {
	const n = 768
	a, b, c := batch.New(n, n), batch.New(n, n), batch.New(n, n)
	best := time.Hour
	for range 50 {
		start := time.Now()
		blas.Gemm(false, false, n, n, n, 1, a.Data, n, b.Data, n, 0, c.Data, n)
		best = min(best, time.Since(start))
	}
	return 2 * n * n * n / best.Seconds() / 1e9
}

// benchProduct is op(A)·op(B) of shape (m, n), with k terms in each element.
type benchProduct struct {
	m, n, k        int
	transA, transB bool
}

func (p benchProduct) String() string {
	letter := map[bool]string{false: "N", true: "T"}
	return fmt.Sprintf("%d×%d×%d %s%s", p.m, p.n, p.k, letter[p.transA], letter[p.transB])
}

// benchProducts are a large square product and those of a step, for the size big and then
// small: a layer forward, backward to its inputs, and the gradient of its weights.
var benchProducts = []benchProduct{
	{512, 512, 512, false, false},
	{256, 512, 784, false, false}, {256, 512, 512, false, false}, {256, 512, 512, false, true},
	{256, 784, 512, false, true}, {784, 512, 256, true, false}, {512, 512, 256, true, false},
	{1024, 64, 64, false, false}, {1024, 64, 64, false, true}, {64, 64, 1024, true, false},
	{1024, 64, 2, false, false}, {1024, 2, 64, false, true},
}

// timeProducts adds the rates of the products to the report and the table.
func timeProducts(r *run.Run, peak float64, table *benchTable) {
	rng := random.New(1, "bench products", 0)
	var rows [][]string
	for _, p := range benchProducts {
		a, b, c := batch.New(p.m, p.k), batch.New(p.k, p.n), batch.New(p.m, p.n)
		rng.Normals(a.Data)
		rng.Normals(b.Data)
		lda, ldb := p.k, p.n
		if p.transA {
			lda = p.m
		}
		if p.transB {
			ldb = p.k
		}
		seconds := bestTime(func() {
			blas.Gemm(p.transA, p.transB, p.m, p.n, p.k, 1, a.Data, lda, b.Data, ldb, 0, c.Data, p.n)
		})
		rate := rounded(2 * float64(p.m*p.n*p.k) / seconds / 1e9)
		r.Report.Metrics["product "+p.String()+".gflops"] = rate
		rows = append(rows, []string{p.String(), fmt.Sprintf("%.0f", rate), percent(rate, peak)})
	}
	table.add([]string{"product m×n×k", "GFLOP/s", "of FMA peak"}, rows)
}

// elementwise are the kernels that are timed as functions of their argument.
var elementwise = []struct {
	name string
	run  func(dst, second, x []float32)
}{
	{"softplus", func(dst, _, x []float32) { kernel.Softplus(dst, x) }},
	{"sigmoid", func(dst, _, x []float32) { kernel.Sigmoid(dst, x) }},
	{"softplusSigmoid", func(dst, second, x []float32) { kernel.SoftplusSigmoid(dst, second, x) }},
	{"exp", func(dst, _, x []float32) { kernel.Exp(dst, x) }},
}

// timeElementwise adds the times per element for different arguments. These range from where
// e^x is 0 in float32 and where it is subnormal (−100, −88) to where it is large. All times are
// near that at −5 if no argument takes a slow path.
func timeElementwise(r *run.Run, table *benchTable) {
	const usual = -5
	arguments := []float32{-120, -100, -88, -50, -20, usual, 0, 5, 20}
	const n = 2048 // which fits in the first cache together with its results
	x, dst, second := make([]float32, n), make([]float32, n), make([]float32, n)
	head := []string{"ns per element at x ="}
	for _, v := range arguments {
		head = append(head, strings.ReplaceAll(fmt.Sprint(v), "-", "−"))
	}
	var rows [][]string
	for _, k := range elementwise {
		row := []string{k.name}
		times := make([]float64, len(arguments))
		for i, v := range arguments {
			for j := range x {
				x[j] = v
			}
			times[i] = rounded(1e9 * bestTime(func() { k.run(dst, second, x) }) / n)
			r.Report.Metrics[fmt.Sprintf("%s.at_%g.ns", k.name, v)] = times[i]
			row = append(row, fmt.Sprintf("%.3f", times[i]))
		}
		worst := rounded(slices.Max(times) / times[slices.Index(arguments, usual)])
		r.Report.Metrics[k.name+".worst_ratio"] = worst
		rows = append(rows, append(row, fmt.Sprintf("%.2f", worst)))
	}
	table.add(append(head, "worst to −5"), rows)
}

// bestTime is the best time of a call, in seconds. It times groups of calls for a fortieth of a
// second; each group is long compared with the resolution of the clock.
func bestTime(f func()) float64 {
	calls := 1
	stretch := func() time.Duration {
		start := time.Now()
		for range calls {
			f()
		}
		return time.Since(start)
	}
	for stretch() < 30*time.Microsecond {
		calls *= 2
	}
	best := time.Hour
	for end := time.Now().Add(25 * time.Millisecond); time.Now().Before(end); {
		best = min(best, stretch())
	}
	return best.Seconds() / float64(calls)
}
