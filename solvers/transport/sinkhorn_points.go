package transport

import (
	"fmt"
	"math"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// Plan finds the coupling of the rows of x, (n, d), with those of y, (m, d), for equal
// weights and the cost c_ij = ‖x_i − y_j‖². Rows that are not finite are an error.
func (s *Sinkhorn) Plan(x, y blas32.General) (*Coupling, error) {
	if err := s.place(x, y); err != nil {
		return nil, err
	}
	return s.between(s.x, s.y, 0)
}

// Barycentres writes the barycentre Σ_j π_ij y_j / Σ_j π_ij of the partners of x_i
// into the rows of dst, (n, d). The rows of x, (n, d), and y, (m, d), are coupled as by
// Plan. dst may be x but must not overlap y.
func (s *Sinkhorn) Barycentres(dst, x, y blas32.General) (*Coupling, error) {
	c, err := s.Plan(x, y)
	if err != nil {
		return nil, err
	}
	return c, c.Barycentres(dst, y)
}

// Divergence is the debiased cost between the laws of the rows of x, (n, d), and y,
// (m, d), in squared units of the rows,
//
//	S_ε(x, y) = OT_ε(x, y) − ½·OT_ε(x, x) − ½·OT_ε(y, y),
//
// with equal weights, c_ij = ‖x_i − y_j‖² and one ε, relative to the mean cost
// between x and y. It is at least 0, and 0 only for equal laws. Here it is an error if
// a solve does not converge. A. Genevay, G. Peyré, M. Cuturi, "Learning Generative
// Models with Sinkhorn Divergences", AISTATS 2018; J. Feydy et al., "Interpolating
// between Optimal Transport and MMD using Sinkhorn Divergences", AISTATS 2019.
func (s *Sinkhorn) Divergence(x, y blas32.General) (float64, error) {
	if err := s.place(x, y); err != nil {
		return 0, err
	}
	var sum, epsilon float64
	for _, term := range []struct {
		weight float64
		x, y   blas32.General
	}{{1, s.x, s.y}, {-.5, s.x, s.x}, {-.5, s.y, s.y}} {
		c, err := s.between(term.x, term.y, epsilon)
		if err != nil {
			return 0, err
		}
		if c.Status != potential.Converged {
			return 0, fmt.Errorf("transport: the Sinkhorn divergence did not converge: marginal error %.2g after %d iterations; raise MaxIterations, Epsilon or Tolerance", c.MarginalError, c.Iterations)
		}
		epsilon = c.Epsilon
		sum += term.weight * c.Dual
	}
	return max(0, sum), nil
}

// place copies x and y relative to the mean of y, where rounding their distances costs least.
func (s *Sinkhorn) place(x, y blas32.General) error {
	if err := s.ready(); err != nil {
		return err
	}
	if x.Rows < 1 || y.Rows < 1 || x.Cols < 1 || x.Cols != y.Cols {
		return fmt.Errorf("transport: a coupling of batches (%d, %d) and (%d, %d); neither may be empty and the widths must agree", x.Rows, x.Cols, y.Rows, y.Cols)
	}
	if err := batch.Check("x of a coupling", x); err != nil {
		return err
	}
	if err := batch.Check("y of a coupling", y); err != nil {
		return err
	}
	s.centre = batch.Resized(s.centre, y.Cols)
	clear(s.centre)
	for i := range y.Rows {
		kernel.Axpy(s.centre, 1/float32(y.Rows), batch.Row(y, i))
	}
	s.x, s.y = about(s.x, x, s.centre), about(s.y, y, s.centre)
	return nil
}

// about is x − centre, in the memory of dst if that is large enough.
func about(dst, x blas32.General, centre []float32) blas32.General {
	dst = batch.Reshaped(dst, x.Rows, x.Cols)
	for i := range x.Rows {
		kernel.Sub(batch.Row(dst, i), batch.Row(x, i), centre)
	}
	return dst
}

// between couples points that place has copied, at ε, or at Epsilon if epsilon is 0.
func (s *Sinkhorn) between(x, y blas32.General, epsilon float64) (*Coupling, error) {
	s.cost = batch.Reshaped(s.cost, x.Rows, y.Rows)
	if err := SquaredDistances(s.cost, x, y); err != nil {
		return nil, err
	}
	if err := s.load(s.cost, nil, nil); err != nil {
		return nil, err
	}
	return s.couple(epsilon), nil
}

// EntropicMap is the entropic estimate of the Monge map from the law of x to the law of
// the y_j,
//
//	T_ε(x) = Σ_j y_j e^{(g_j − ‖x − y_j‖²)/ε} / Σ_j e^{(g_j − ‖x − y_j‖²)/ε},
//
// at any x; at the points from which it was estimated it is the barycentric projection
// of their coupling. A.-A. Pooladian, J. Niles-Weed, "Entropic Estimation of Optimal
// Transport Maps", 2021 (arXiv 2109.12004), equation 6.
//
// It owns its memory, apart from that of its Sinkhorn, and is not safe for concurrent use.
type EntropicMap struct {
	Epsilon float64 // ε, in squared units of the rows

	y, centred blas32.General
	centre     []float32
	potential  []float64 // g_j/ε, up to a constant

	scaling scaling
	x, cost blas32.General
}

// Map estimates the Monge map from the law of the rows of x, (n, d), to the law of the
// rows of y, (m, d), from their Plan. It returns the plan too.
func (s *Sinkhorn) Map(x, y blas32.General) (*EntropicMap, *Coupling, error) {
	c, err := s.Plan(x, y)
	if err != nil {
		return nil, nil, err
	}
	t := &EntropicMap{
		Epsilon: c.Epsilon, y: batch.New(y.Rows, y.Cols), centred: batch.New(y.Rows, y.Cols),
		centre: make([]float32, y.Cols), potential: make([]float64, y.Rows),
	}
	batch.Copy(t.y, y)
	batch.Copy(t.centred, s.y)
	copy(t.centre, s.centre)
	copy(t.potential, s.p)
	return t, c, nil
}

// mapRows is how many points an EntropicMap takes at a time.
const mapRows = 512

// Apply writes T_ε(x_i) into the rows of dst for the rows of x, both (n, d). dst may
// be x. Rows that are not finite are an error.
func (t *EntropicMap) Apply(dst, x blas32.General) error {
	if x.Cols != t.y.Cols || dst.Rows != x.Rows || dst.Cols != x.Cols {
		return fmt.Errorf("transport: an entropic map on ℝ^%d from shape (%d, %d) to shape (%d, %d)", t.y.Cols, x.Rows, x.Cols, dst.Rows, dst.Cols)
	}
	if err := batch.Check("the points of an entropic map", x); err != nil {
		return err
	}
	if err := batch.Check("the images of an entropic map", dst); err != nil {
		return err
	}
	for lo := 0; lo < x.Rows; lo += mapRows {
		hi := min(lo+mapRows, x.Rows)
		t.x = about(t.x, batch.Rows(x, lo, hi), t.centre)
		for i := range t.x.Rows {
			if s := kernel.SumSquares(batch.Row(t.x, i)); math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
				return fmt.Errorf("transport: row %d of the points of an entropic map is not finite, or too far out for float32", lo+i)
			}
		}
		t.cost = batch.Reshaped(t.cost, t.x.Rows, t.y.Rows)
		if err := SquaredDistances(t.cost, t.x, t.centred); err != nil {
			return err
		}
		w := &t.scaling
		w.resize(t.cost.Rows, t.cost.Cols)
		w.cost, w.epsilon = t.cost, t.Epsilon
		w.absorb(t.potential)
		average(batch.Rows(dst, lo, hi), w.kernel, t.y)
	}
	return nil
}
