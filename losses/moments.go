package losses

import (
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// Moments matches the mean and the covariance of the image of the data to those of the
// Gibbs factor,
//
//	L = ‖mean_i g_i − mean_j y_j‖² + ‖Cov(g) − Cov(y)‖²_F,  g_i = ∇w(x_i)
//
// with covariances of divisor n, and y held fixed. Both summands vanish where ∇w♯ρ =
// 𝔓_w. They compare the two laws by few numbers: use the term for the first steps, or
// together with dual. Batches should be much larger than d: if the eigenvalues are
// similar, the noise of Cov(g) raises its squared norm by a share of about d/n, and this
// draws ∇w inwards by half that share.
type Moments struct{}

// Name is "moments".
func (Moments) Name() string { return "moments" }

// Inputs are the data and the Gibbs samples.
func (Moments) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchData, solvers.BatchGibbs}
}

// Declare declares L.
func (Moments) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	mean, cov := moments(s, w.Gradient(s, batch(solvers.BatchData)))
	meanY, covY := moments(s, batch(solvers.BatchGibbs))
	return s.Add(s.Sum(s.Square(s.Sub(mean, meanY))), s.Sum(s.Square(s.Sub(cov, covY))))
}

// moments declares the mean, (1, d), and the covariance, (d, d), of the rows of z.
func moments(s *graph.Scope, z *gorgonia.Node) (mean, cov *gorgonia.Node) {
	if s.Err != nil {
		return nil, nil
	}
	each := 1 / float64(z.Shape()[0])
	mean = s.Scale(each, s.SumRows(z))
	centred := s.Sub(z, mean)
	return mean, s.Scale(each, s.MatMul(centred, true, centred, false))
}
