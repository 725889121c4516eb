package transport

import (
	"errors"
	"fmt"
	"math"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

const (
	firstEpsilon  = .05 // the first ε, in mean costs, on the way to a smaller one
	epsilonFactor = .25 // ratio of each ε to the one before

	// looseTolerance is the relative error that every single marginal must reach before
	// the next ε. The sum of errors hardly shows a few columns without their mass, and at
	// a smaller ε these take longer to find it.
	looseTolerance = .01

	leastUnit = 1e-30 // a smaller unit counts as 0, because 1/ε must fit float32
)

// transport is the problem that a Sinkhorn solves, with the memory for solving it.
type transport struct {
	scaling    scaling
	accelerate anderson
	unit       float64   // mean of |c_ij|, or leastUnit if that is less
	b          []float64 // weights of the columns
	p, r       []float64 // g/ε + log b, and its change in a plain iteration
	coupling   Coupling

	x, y, cost blas32.General // points relative to centre, and their distances
	centre     []float32
}

// load takes in a cost and its weights.
func (t *transport) load(cost blas32.General, a, b []float64) error {
	n, m := cost.Rows, cost.Cols
	if n < 1 || m < 1 {
		return fmt.Errorf("transport: the cost of a coupling has shape (%d, %d); it must not be empty", n, m)
	}
	if err := batch.Check("the cost of a coupling", cost); err != nil {
		return err
	}
	t.scaling.resize(n, m)
	t.b, t.p, t.r = batch.Resized(t.b, m), batch.Resized(t.p, m), batch.Resized(t.r, m)
	t.coupling.F, t.coupling.G = batch.Resized(t.coupling.F, n), batch.Resized(t.coupling.G, m)
	if err := normalise(t.scaling.a, a, "rows"); err != nil {
		return err
	}
	if err := normalise(t.b, b, "columns"); err != nil {
		return err
	}
	t.scaling.cost = cost
	t.unit = t.scaling.meanCost()
	if math.IsNaN(t.unit) || math.IsInf(t.unit, 0) {
		return notFinite(cost)
	}
	t.unit = max(t.unit, leastUnit)
	return nil
}

// normalise writes w divided by its sum into dst; a nil w gives equal weights.
func normalise[T kernel.Float](dst []T, w []float64, of string) error {
	if w == nil {
		for k := range dst {
			dst[k] = T(1 / float64(len(dst)))
		}
		return nil
	}
	if len(w) != len(dst) {
		return fmt.Errorf("transport: %d weights for %d %s of a cost; they must agree", len(w), len(dst), of)
	}
	var sum float64
	for k, v := range w {
		if !(v > 0) {
			return fmt.Errorf("transport: weight %d of the %s is %g; it must be positive; leave out points without mass", k, of, v)
		}
		sum += v
	}
	if math.IsInf(sum, 1) {
		return fmt.Errorf("transport: the weights of the %s sum to %g; the sum must be finite", of, sum)
	}
	for k, v := range w {
		dst[k] = T(v / sum)
	}
	return nil
}

// notFinite returns an error that names a cost that is not finite.
func notFinite(cost blas32.General) error {
	for i := range cost.Rows {
		for j, c := range batch.Row(cost, i) {
			if math.IsNaN(float64(c)) || math.IsInf(float64(c), 0) {
				return fmt.Errorf("transport: the cost of row %d and column %d is %g; it must be finite", i, j, c)
			}
		}
	}
	return errors.New("transport: the costs of a row sum to more than float32 can hold; divide them by a constant")
}

// solve lowers ε to epsilon and returns the coupling.
func (t *transport) solve(epsilon, tolerance float64, limit int) *Coupling {
	e := max(epsilon, firstEpsilon*t.unit)
	for j, b := range t.b {
		t.p[j] = math.Log(b) // g = 0
	}
	t.coupling.Iterations = 0
	for e > epsilon {
		next := max(epsilon, e*epsilonFactor)
		if t.iterate(e, 0, max(looseTolerance, tolerance), limit) != potential.Converged {
			next = epsilon
		}
		for j, b := range t.b {
			t.p[j] = (t.p[j]-math.Log(b))*e/next + math.Log(b) // the same g
		}
		e = next
	}
	t.coupling.Status = t.iterate(epsilon, tolerance, 0, limit)
	t.finish(epsilon)
	return &t.coupling
}

// iterate solves at one ε, starting from p, until the marginal error is at most
// tolerance or each log ratio of marginal to weight is at most single.
func (t *transport) iterate(epsilon, tolerance, single float64, limit int) potential.Status {
	w := &t.scaling
	w.epsilon = epsilon
	t.absorb()
	t.accelerate.restart(len(t.p))
	noise := 1e-6 + 1e-7*t.unit/epsilon // rounding error of the dual value over ε
	for t.coupling.Iterations < limit {
		w.sum()
		t.coupling.Iterations++
		var err, worst float64
		for j, b := range t.b {
			mass := float64(w.z[j]) * float64(w.v[j]) // Σ_i π_ij for the best f
			err += math.Abs(mass - b)
			t.r[j] = math.Log(b / mass)
			worst = max(worst, math.Abs(t.r[j]))
		}
		if err <= tolerance || worst <= single {
			return potential.Converged
		}
		plain := t.accelerate.takeBack(t.p, t.r, w.dual()+kernel.Dot(t.b, t.p), noise)
		if t.coupling.Iterations == limit {
			break // before a step to a point that would not be evaluated
		}
		if !plain {
			t.accelerate.step(t.p, t.r)
		}
		if tooLarge := w.scale(t.p); tooLarge {
			t.absorb()
		}
	}
	return potential.MaxIterations
}

// absorb puts p into the kernel. A constant may move from g to f: this keeps p where
// float32 is most accurate.
func (t *transport) absorb() {
	var mean float64
	for j, b := range t.b {
		mean += b * (t.p[j] - math.Log(b))
	}
	for j := range t.p {
		t.p[j] -= mean
	}
	t.scaling.absorb(t.p)
}

// finish reads the coupling off p.
func (t *transport) finish(epsilon float64) {
	w, c := &t.scaling, &t.coupling
	t.absorb()
	w.sum()
	c.Epsilon, c.a, c.rows = epsilon, w.a, w.kernel
	c.Cost, c.Dual, c.MarginalError = 0, 0, 0
	for i, a := range w.a {
		c.F[i] = epsilon * w.row[i]
		c.Dual += float64(a) * c.F[i]
		c.Cost += float64(a) * float64(kernel.Dot(batch.Row(w.cost, i), batch.Row(w.kernel, i)))
	}
	for j, b := range t.b {
		c.G[j] = epsilon * (t.p[j] - math.Log(b))
		c.Dual += b * c.G[j]
		c.MarginalError += math.Abs(float64(w.z[j]) - b)
	}
}
