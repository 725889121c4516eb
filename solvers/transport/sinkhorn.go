package transport

import (
	"cmp"
	"fmt"
	"math"

	"cmf/graph/kernel"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// Sinkhorn solves entropic optimal transport between weights a and b,
//
//	OT_ε = min_π Σ_ij c_ij π_ij + ε·KL(π | a⊗b),  Σ_j π_ij = a_i,  Σ_i π_ij = b_j,
//	     = max_{f,g} Σ_i a_i f_i + Σ_j b_j g_j,   π_ij = a_i b_j e^{(f_i + g_j − c_ij)/ε},
//
// by alternating updates of the potentials: f exactly, g accelerated. A small ε is
// reached in steps, and potentials are kept in the log domain. It computes in float32,
// which gives π to a relative accuracy of about 10⁻⁷·max c/ε. M. Cuturi, "Sinkhorn
// Distances: Lightspeed Computation of Optimal Transport", NeurIPS 2013; G. Peyré, M.
// Cuturi, "Computational Optimal Transport", 2019, chapter 4.
//
// A Sinkhorn keeps its memory from call to call, and copies share it; it is not safe
// for concurrent use.
type Sinkhorn struct {
	// Epsilon is ε in units of the mean of |c_ij|, at least 1e-6; 0 means .05.
	Epsilon float64

	// Tolerance is the marginal error at which a solve has converged, below 1; 0
	// means 1e-3. Rounding leaves about 1e-6.
	Tolerance float64

	// MaxIterations is the limit on all iterations of a solve; 0 means 1000.
	MaxIterations int

	*transport
}

// Coupling is an entropic plan π between n rows and m columns. It holds until the next
// call of the Sinkhorn that made it.
type Coupling struct {
	F, G    []float64 // potentials f and g, Σ_j b_j g_j = 0, in units of the cost
	Epsilon float64   // ε, in units of the cost
	Cost    float64   // Σ_ij c_ij π_ij
	Dual    float64   // Σ_i a_i f_i + Σ_j b_j g_j, a lower bound that tends to OT_ε

	// MarginalError is Σ_j |Σ_i π_ij − b_j|, at most 2; the sums Σ_j π_ij equal a_i
	// up to rounding.
	MarginalError float64
	Iterations    int // passes over the cost
	Status        potential.Status

	a    []float32
	rows blas32.General // π_ij/a_i
}

// Solve finds π for the cost c, (n, m), and positive weights a of the n rows and b of
// the m columns. It divides a and b by their sums; nil weights are equal.
//
// If it does not converge, that is not an error: the coupling's Status says so. A cost
// that is empty or not finite, and weights that are not positive and finite, are errors.
func (s *Sinkhorn) Solve(cost blas32.General, a, b []float64) (*Coupling, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	if err := s.load(cost, a, b); err != nil {
		return nil, err
	}
	return s.couple(0), nil
}

// ready checks the options and makes sure that there is memory.
func (s *Sinkhorn) ready() error {
	switch {
	case s.Epsilon != 0 && !(s.Epsilon >= 1e-6) || math.IsInf(s.Epsilon, 1):
		return fmt.Errorf("transport: Sinkhorn's ε is %g mean costs; it must be finite and at least 1e-6, or 0 for .05", s.Epsilon)
	case !(s.Tolerance >= 0 && s.Tolerance < 1):
		return fmt.Errorf("transport: Sinkhorn's tolerance is %g; it must be at least 0 and less than 1", s.Tolerance)
	case s.MaxIterations < 0:
		return fmt.Errorf("transport: Sinkhorn's limit of iterations is %d; it must be at least 0", s.MaxIterations)
	}
	if s.transport == nil {
		s.transport = new(transport)
	}
	return nil
}

// couple solves the loaded problem at ε, or at Epsilon if epsilon is 0.
func (s *Sinkhorn) couple(epsilon float64) *Coupling {
	if epsilon == 0 {
		epsilon = cmp.Or(s.Epsilon, .05) * s.unit
	}
	return s.solve(epsilon, cmp.Or(s.Tolerance, 1e-3), cmp.Or(s.MaxIterations, 1000))
}

// Matrix writes π into dst, (n, m).
func (c *Coupling) Matrix(dst blas32.General) error {
	if dst.Rows != c.rows.Rows || dst.Cols != c.rows.Cols {
		return fmt.Errorf("transport: a coupling of shape (%d, %d) does not fit into shape (%d, %d); the shapes must be equal", c.rows.Rows, c.rows.Cols, dst.Rows, dst.Cols)
	}
	if err := batch.Check("a coupling", dst); err != nil {
		return err
	}
	for i, a := range c.a {
		kernel.Affine(batch.Row(dst, i), a, batch.Row(c.rows, i), 0)
	}
	return nil
}

// Barycentres writes Σ_j π_ij y_j / Σ_j π_ij into the rows of dst, (n, d), for the
// rows of y, (m, d): the barycentric projection of π. dst must not overlap y.
func (c *Coupling) Barycentres(dst, y blas32.General) error {
	if y.Rows != c.rows.Cols || dst.Rows != c.rows.Rows || dst.Cols != y.Cols {
		return fmt.Errorf("transport: barycentres of a batch (%d, %d) under a coupling (%d, %d) do not go into shape (%d, %d)",
			y.Rows, y.Cols, c.rows.Rows, c.rows.Cols, dst.Rows, dst.Cols)
	}
	if err := batch.Check("barycentres of y", y); err != nil {
		return err
	}
	if err := batch.Check("barycentres", dst); err != nil {
		return err
	}
	if y.Cols > 0 {
		average(dst, c.rows, y)
	}
	return nil
}

// average writes K·y; the rows of K sum to 1.
func average(dst, k, y blas32.General) {
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, k, y, 0, dst)
}
