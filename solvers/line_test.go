package solvers

import "testing"
import "fmt"
import "math"

func TestTmp(t *testing.T) {
	for _, c := range [][]NormalComponent{
		{{1, 0, .5}},{{1, 1, 2}},{{1,0,.05}},
		{{.5, -2, .5}, {.5, 2, .5}},
		{{.2, -2, .5}, {.8, 1, .2}},
		{{.3, -3, 1}, {.2, 0, .3}, {.5, 4, .6}},
		{{.5, -5, .05}, {.5, 5, .05}},
		{{.3, -5, .05}, {.7, 5, .05}},
		{{.3, 0, .05}, {.7, 10, .05}},
		{{.9, 0, 3}, {.1, 20, .05}},
		{{.1, 0, .05}, {.2, 4,1}, {.7, 10, .05}},
		{{.999, 0, 1}, {.001, 10, .05}},
		{{.5, 0, .05}, {.5, .2, .05}},
		{{.5, 100, 1}, {.5, 110, .05}},
	} {
		m, _ := NewMixture1D(c...)
		fmt.Println(c, m.Mean(), m.Variance())
		for _, moment := range []bool{false, true} {
			for _, n := range []int{8001, 16001} {
				o := LineSolver{Nodes: n}
				f := o.Conjugate
				if moment {
					f = o.Moment
				}
				p, err := f(m)
				if err != nil {
					fmt.Println(err)
					continue
				}
				fmt.Printf("%v %5d mean %.7f var %.7f logz %.7f res %.1e it %d %v  x∈[%.3g,%.3g] ", moment, n, p.Mean, p.Variance, p.LogZ, p.Residual, p.Iterations, p.Converged, p.monge.x[0], p.monge.x[len(p.monge.x)-1])
				for _, x := range []float64{-2, -1, 0, .5, 1, 2} {
					fmt.Printf(" %.7f", p.Slope(x))
				}
				worst := 0.
				for _, x := range []float64{-2.1, -1, 0.3, .5, 1, 2} {
					worst = math.Max(worst, math.Abs(p.ConjugateSlope(p.Slope(x))-x))
				}
				fmt.Printf("  inv %.1e\n", worst)
			}
		}
	}
}
