package losses

import (
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// Likelihood is maximum likelihood for the model's density
// q_w(x) = e^{−w(∇w(x))}·det ∇²w(x)/Z_w, by the Monge–Ampère equation,
//
//	L = mean_i [w(∇w(x_i)) − log det ∇²w(x_i)] − mean_j w(y_j)
//
// with y_j ~ 𝔓_w. Its gradient in θ is the gradient of the mean negative
// log-likelihood, because ∂log Z_w = −E[∂w(y)]. Its value is not a likelihood:
// it has −mean_j w(y_j) in place of log Z_w.
//
// The log-determinants are exact: d Hessian–vector products per point and a
// Cholesky factorisation, for d up to some dozens. Cordero-Erausquin and
// Klartag, "Moment measures", J. Funct. Anal. 268(12), 2015, has the equation
// of moment measures; this is its conjugate form.
type Likelihood struct{}

// Name is "likelihood".
func (Likelihood) Name() string { return "likelihood" }

// Inputs are the data and the Gibbs samples.
func (Likelihood) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchData, solvers.BatchGibbs}
}

// Declare declares L.
func (Likelihood) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	return s.Sub(s.Mean(minusLogDensity(s, w, batch(solvers.BatchData))), s.Mean(w.Value(s, batch(solvers.BatchGibbs))))
}

// LikelihoodCG is Likelihood in high dimension,
//
//	L = mean_i [w(∇w(x_i)) − ⟨u_i, ∇²w(x_i)·v_i⟩] − mean_j w(y_j)
//
// with probes v_i of independent signs and u_i = ∇²w(x_i)⁻¹v_i solved by
// conjugate gradients, both held fixed. Its gradient in θ is an unbiased
// estimate of Likelihood's, up to the residuals of the solves, because ∂log det
// H = tr(H⁻¹∂H) = E⟨u, ∂H·v⟩. Its value is a surrogate that says nothing about
// the likelihood: ⟨u, H·v⟩ is ‖v‖² = d wherever the solve is exact. So it is
// logged as "likelihood-cg-surrogate".
//
// In up to 32 dimensions it was seen to learn as Likelihood does. On pictures
// of 784 pixels it did not converge alone at the learning rate that suits Dual:
// there use it beside Dual, with a small factor.
//
// Huang, Chen, Tsirigotis, Courville, "Convex Potential Flows: Universal
// Probability Distributions with Optimal Transport and Convex Optimization",
// ICLR 2021, section 3.
type LikelihoodCG struct{}

// Name is "likelihood-cg".
func (LikelihoodCG) Name() string { return "likelihood-cg" }

// Inputs are the data, the Gibbs samples, the probes and their solves.
func (LikelihoodCG) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchData, solvers.BatchGibbs, solvers.BatchProbe, solvers.BatchSolved}
}

// Declare declares L.
func (LikelihoodCG) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	x := batch(solvers.BatchData)
	trace := s.SumCols(s.Mul(batch(solvers.BatchSolved), w.HessVec(s, x, batch(solvers.BatchProbe), 1)))
	energy := s.Sub(w.Value(s, w.Gradient(s, x)), trace)
	return s.Sub(s.Mean(energy), s.Mean(w.Value(s, batch(solvers.BatchGibbs))))
}

// logged is the name under which the value of a term is reported.
func logged(t Term) string {
	if _, ok := t.(LikelihoodCG); ok {
		return t.Name() + "-surrogate"
	}
	return t.Name()
}
