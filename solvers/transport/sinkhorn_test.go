package transport

import (
	"math"
	"strings"
	"testing"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

func TestSinkhornTendsToTheAssignment(t *testing.T) {
	const n = 128
	cost := distances(t, problem.NormalBatch(n, 2, "x"), problem.NormalBatch(n, 2, "y"))
	best := assign(t, cost).Total / n
	last := math.Inf(1)
	for _, epsilon := range []float64{.1, .01, .001, .0001} {
		s := Sinkhorn{Epsilon: epsilon, Tolerance: 1e-4, MaxIterations: 10000}
		c, err := s.Solve(cost, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		excess := c.Cost - best
		if c.Status != potential.Converged || excess < -1e-3*best || excess > last {
			t.Errorf("ε = %g: %v, cost %g over the assignment's, before %g", c.Epsilon, c.Status, excess, last)
		}
		// The entropy can change the cost by at most ε·log n for each unit of mass.
		if gap := c.Dual - best; gap < 0 || gap > c.Epsilon*math.Log(n)+1e-3*best {
			t.Errorf("ε = %g: OT is %g over the assignment's", c.Epsilon, gap)
		}
		last = excess
	}
	if last > 1e-3*best {
		t.Errorf("the cost stays %g over the assignment's, %g", last, best)
	}
}

// coupled is a problem drawn at random.
type coupled struct {
	cost    blas32.General
	a, b    []float64
	epsilon float64
}

func drawCoupled(r *rapid.T) coupled {
	n, m := rapid.IntRange(1, 12).Draw(r, "n"), rapid.IntRange(1, 12).Draw(r, "m")
	p := coupled{cost: batch.New(n, m), epsilon: rapid.Float64Range(.1, 3).Draw(r, "epsilon")}
	for k := range p.cost.Data {
		p.cost.Data[k] = rapid.Float32Range(-5, 5).Draw(r, "c")
	}
	for range n {
		p.a = append(p.a, rapid.Float64Range(1e-3, 1).Draw(r, "a"))
	}
	for range m {
		p.b = append(p.b, rapid.Float64Range(1e-3, 1).Draw(r, "b"))
	}
	return p
}

func TestSinkhornSatisfiesItsConditions(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := drawCoupled(r)
		n, m := p.cost.Rows, p.cost.Cols
		s := Sinkhorn{Epsilon: p.epsilon, Tolerance: 1e-5, MaxIterations: 5000}
		c, err := s.Solve(p.cost, p.a, p.b)
		if err != nil {
			r.Fatal(err)
		}
		// With few points, two ways to split the mass may differ by as little as a small ε
		// lets through, e^{−c/ε}; then it is enough that the status says so.
		if c.Status == potential.Converged && c.MarginalError > 2e-5 || c.Status != potential.Converged && p.epsilon > .3 {
			r.Fatalf("%v, marginal error %g after %d iterations", c.Status, c.MarginalError, c.Iterations)
		}
		pi := batch.New(n, m)
		if err := c.Matrix(pi); err != nil {
			r.Fatal(err)
		}
		a, b := make([]float64, n), make([]float64, m)
		_, _ = normalise(a, p.a, ""), normalise(b, p.b, "")
		columns := make([]float64, m)
		var cost, primal float64
		for i := range n {
			var sum float64
			for j := range m {
				got, c0 := float64(batch.Row(pi, i)[j]), float64(batch.Row(p.cost, i)[j])
				want := a[i] * b[j] * math.Exp((c.F[i]+c.G[j]-c0)/c.Epsilon)
				if math.Abs(got-want) > 1e-4*want+1e-12 {
					r.Fatalf("π_%d,%d is %g, the potentials say %g", i, j, got, want)
				}
				sum += got
				columns[j] += got
				cost += c0 * got
				if got > 0 {
					primal += c0*got + c.Epsilon*got*math.Log(got/a[i]/b[j])
				}
			}
			if math.Abs(sum-a[i]) > 1e-6 {
				r.Fatalf("row %d sums to %g, want %g", i, sum, a[i])
			}
		}
		var err1 float64
		for j := range m {
			err1 += math.Abs(columns[j] - b[j])
		}
		if math.Abs(err1-c.MarginalError) > 1e-6 || math.Abs(cost-c.Cost) > 1e-5 {
			r.Fatalf("marginal error %g and cost %g, but π has %g and %g", c.MarginalError, c.Cost, err1, cost)
		}
		if c.Status == potential.Converged && math.Abs(primal-c.Dual) > 1e-3*c.Epsilon+1e-4 {
			r.Fatalf("dual %g, primal %g", c.Dual, primal)
		}
	})
}

// ∂OT_ε/∂c_ij = π_ij, by the envelope theorem.
func TestSinkhornDualDerivative(t *testing.T) {
	const n, m, h = 20, 30, 1e-2
	cost, direction := distances(t, problem.NormalBatch(n, 3, "x"), problem.NormalBatch(m, 3, "y")), problem.NormalBatch(n, m, "direction")
	var epsilon float64
	value := func(step float32) (*Coupling, float64) {
		moved := batch.New(n, m)
		kernel.Axpy(moved.Data, 1, cost.Data)
		kernel.Axpy(moved.Data, step, direction.Data)
		s := Sinkhorn{Tolerance: 1e-6}
		if err := s.ready(); err != nil {
			t.Fatal(err)
		}
		if err := s.load(moved, nil, nil); err != nil {
			t.Fatal(err)
		}
		c := s.couple(epsilon)
		epsilon = c.Epsilon
		return c, c.Dual
	}
	c, _ := value(0)
	pi := batch.New(n, m)
	if err := c.Matrix(pi); err != nil {
		t.Fatal(err)
	}
	want := float64(kernel.Dot(pi.Data, direction.Data))
	_, up := value(h)
	_, down := value(-h)
	if got := (up - down) / (2 * h); math.Abs(got-want) > 1e-3*math.Abs(want)+1e-4 {
		t.Errorf("derivative %g, want %g", got, want)
	}
}

func TestSinkhornHardProblems(t *testing.T) {
	const n = 200
	outliers, y := problem.NormalBatch(n, 2, "outliers"), problem.NormalBatch(n, 2, "y")
	for i := range 3 {
		outliers.Data[2*i] += 60
	}
	constant := batch.New(n, n)
	for k := range constant.Data {
		constant.Data[k] = 7
	}
	for name, c := range map[string]blas32.General{
		"rows far out":    distances(t, outliers, y),
		"columns far out": distances(t, y, outliers),
		"same points":     distances(t, y, y),
		"no cost":         batch.New(n, n),
		"constant":        constant,
		"one row":         distances(t, batch.Rows(y, 0, 1), y),
		"one column":      distances(t, y, batch.Rows(y, 0, 1)),
		"one pair":        batch.New(1, 1),
		"hardly a cost":   {Rows: 2, Cols: 2, Stride: 2, Data: []float32{1e-45, 0, 0, 1e-45}},
	} {
		for _, epsilon := range []float64{10, .05, .001} {
			s := Sinkhorn{Epsilon: epsilon}
			g, err := s.Solve(c, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if g.Status != potential.Converged || g.MarginalError > 1.1e-3 || math.IsNaN(g.Dual) {
				t.Errorf("%s, ε = %g: %v after %d iterations, marginal error %g, dual %g", name, epsilon, g.Status, g.Iterations, g.MarginalError, g.Dual)
			}
		}
	}
	s := Sinkhorn{Epsilon: 1e-4, Tolerance: 1e-4, MaxIterations: 5000}
	if c, err := s.Solve(distances(t, y, outliers), nil, nil); err != nil || c.Status != potential.Converged || c.MarginalError > 1.5e-4 {
		t.Errorf("ε = 1e-4: %v, marginal error %g, error %v", c.Status, c.MarginalError, err)
	}
	s = Sinkhorn{Epsilon: .001, MaxIterations: 3}
	if c, err := s.Solve(distances(t, outliers, y), nil, nil); err != nil || c.Status != potential.MaxIterations || c.Iterations != 3 || c.MarginalError < 1e-3 {
		t.Errorf("three iterations: %v after %d, marginal error %g, error %v", c.Status, c.Iterations, c.MarginalError, err)
	}
}

func TestSinkhornKeepsItsMemoryAndItsBits(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	cost := distances(t, problem.NormalBatch(300, 2, "x"), problem.NormalBatch(400, 2, "y"))
	s := Sinkhorn{Epsilon: .01}
	solve := func(s Sinkhorn) float64 {
		c, err := s.Solve(cost, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Dual
	}
	kernel.SetThreads(1)
	one := solve(s)
	kernel.SetThreads(2)
	if two := solve(s); one != two {
		t.Errorf("OT is %v by one thread, %v by two", one, two)
	}
	if _, err := s.Solve(cost, nil, nil); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(5, func() { solve(s) }); n > 0 {
		t.Errorf("%g allocations in a solve", n)
	}
}

func TestSinkhornRefuses(t *testing.T) {
	cost := batch.New(2, 3)
	bad := batch.New(2, 3)
	bad.Data[4] = float32(math.Inf(1))
	three := []float64{1, 2, 3}
	for want, solve := range map[string]func() (*Coupling, error){
		"row 1 and column 1": func() (*Coupling, error) { return new(Sinkhorn).Solve(bad, nil, nil) },
		"must not be empty":  func() (*Coupling, error) { return new(Sinkhorn).Solve(batch.New(0, 3), nil, nil) },
		"3 weights for 2":    func() (*Coupling, error) { return new(Sinkhorn).Solve(cost, three, nil) },
		"weight 1 of the columns is 0": func() (*Coupling, error) {
			return new(Sinkhorn).Solve(cost, nil, []float64{1, 0, 1})
		},
		"weight 0 of the rows is NaN": func() (*Coupling, error) {
			return new(Sinkhorn).Solve(cost, []float64{math.NaN(), 1}, nil)
		},
		"the sum must be finite": func() (*Coupling, error) {
			return new(Sinkhorn).Solve(cost, []float64{math.MaxFloat64, math.MaxFloat64}, nil)
		},
		"ε is -1":                   func() (*Coupling, error) { return (&Sinkhorn{Epsilon: -1}).Solve(cost, nil, nil) },
		"tolerance is 2":            func() (*Coupling, error) { return (&Sinkhorn{Tolerance: 2}).Solve(cost, nil, nil) },
		"limit of iterations is -1": func() (*Coupling, error) { return (&Sinkhorn{MaxIterations: -1}).Solve(cost, nil, nil) },
		"widths must agree":         func() (*Coupling, error) { return new(Sinkhorn).Plan(batch.New(2, 2), batch.New(2, 3)) },
		"neither may be empty":      func() (*Coupling, error) { return new(Sinkhorn).Plan(batch.New(0, 2), batch.New(2, 2)) },
		"do not go into shape": func() (*Coupling, error) {
			return new(Sinkhorn).Barycentres(batch.New(2, 2), batch.New(3, 2), batch.New(4, 2))
		},
	} {
		if _, err := solve(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}
