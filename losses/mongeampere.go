package losses

import (
	"fmt"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// MongeAmpere fits w to the energy E of ρ ∝ e^{−E}. The residual of the
// Monge–Ampère equation,
//
//	r(x) = E(x) − w(∇w(x)) + log det ∇²w(x)
//
// is the constant log Z_w − log ∫e^{−E} wherever ρ has mass; the loss is its
// variance under the rows' weights m, Σ_i m_i = 1,
//
//	L = Σ_i m_i·(r_i − r̄)²,  r̄ = Σ_i m_i·r_i
//
// whichever law the points follow. With contexts the constant is one for each of them,
// log Z_w(c) − log ∫e^{−E(x; c)}dx, and the variance is that among the rows of one context,
//
//	L = Σ_i m_i·(r_i − r̄_c(i))²,  r̄_c = Σ_{c(i)=c} m_i·r_i / Σ_{c(i)=c} m_i
//
// of which there are solvers.ContextRows in a row, each group with the same sum of weights. If the points follow the model's law, it is the
// log-variance divergence: Richter, Boustati, Nüsken, Ruiz, Akyildiz, "VarGrad:
// A Low-Variance Gradient Estimator for Variational Inference", NeurIPS 2020.
type MongeAmpere struct{}

// Name is "monge-ampere".
func (MongeAmpere) Name() string { return "monge-ampere" }

// Inputs are the points, the energy there, and the rows' weights.
func (MongeAmpere) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchPoints, solvers.BatchEnergy, solvers.BatchMask}
}

// Declare declares L.
func (MongeAmpere) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	r := s.Sub(batch(solvers.BatchEnergy), minusLogDensity(s, w, batch(solvers.BatchPoints)))
	return s.MatMul(batch(solvers.BatchMask), true, s.Square(s.Sub(r, means(s, w, r, batch(solvers.BatchMask)))), false)
}

// means are the means r̄ of r under the weights m, (1, 1), or with contexts those of each row's,
// (n, 1).
func means(s *graph.Scope, w layers.Potential, r, m *gorgonia.Node) *gorgonia.Node {
	if c, ok := w.(layers.Conditional); s.Err != nil || !ok || c.Contexts() == 0 {
		return s.MatMul(m, true, r, false)
	}
	n := r.Shape()[0]
	groups := n / solvers.ContextRows
	if n%solvers.ContextRows != 0 {
		s.Err = fmt.Errorf("losses: batches of %d points with contexts; there must be a multiple of %d, which share a context each", n, solvers.ContextRows)
		return nil
	}
	members := s.Constant("rows of a context", groups, n, func(g, i int) float64 {
		if i/solvers.ContextRows == g {
			return 1
		}
		return 0
	})
	sums := s.MatMul(members, false, s.Mul(m, r), false) // of weights 1/groups
	return s.Scale(float64(groups), s.MatMul(members, true, sums, false))
}

// MongeAmpereConstant is MongeAmpere with a learned constant κ in place of the
// mean,
//
//	L = Σ_i m_i·(r_i − κ)²
//
// The optimum is the same. It is approached more slowly, because κ must be learned too.
type MongeAmpereConstant struct{ params *graph.Params }

var _ Parametric = MongeAmpereConstant{}

// Name is "monge-ampere-constant".
func (MongeAmpereConstant) Name() string { return "monge-ampere-constant" }

// Inputs are those of MongeAmpere.
func (MongeAmpereConstant) Inputs() []*solvers.Kind { return MongeAmpere{}.Inputs() }

// Bind gives the term its κ, which starts at 0.
func (MongeAmpereConstant) Bind(w layers.Potential) (Parametric, error) {
	ps, err := graph.NewParams(w.Params().Dtype())
	if err != nil {
		return nil, err
	}
	// κ must move by its full value in steps of the learning rate, while weights need to
	// change only by fractions of theirs.
	ps.New("monge-ampere.constant", 1, 1).Rate = 10
	return MongeAmpereConstant{ps}, nil
}

// Params are κ.
func (t MongeAmpereConstant) Params() *graph.Params { return t.params }

// Declare declares L.
func (t MongeAmpereConstant) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	r := s.Sub(batch(solvers.BatchEnergy), minusLogDensity(s, w, batch(solvers.BatchPoints)))
	constant := s.Param(t.params.All()[0])
	return s.MatMul(batch(solvers.BatchMask), true, s.Square(s.Sub(r, constant)), false)
}

// MongeAmpereGradient makes the residual flat at every point,
//
//	L = Σ_i m_i·‖∇r(x_i)‖²,  ∇r = ∇E − ∇[w∘∇w − log det ∇²w]
//
// It needs no constant. It does not see how mass is divided among modes with no
// points between them: there r may differ by a constant.
type MongeAmpereGradient struct{}

// Name is "monge-ampere-gradient".
func (MongeAmpereGradient) Name() string { return "monge-ampere-gradient" }

// Inputs are the points, the gradient of the energy there, and the rows' weights.
func (MongeAmpereGradient) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchPoints, solvers.BatchSlope, solvers.BatchMask}
}

// Declare declares L.
func (MongeAmpereGradient) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	x := batch(solvers.BatchPoints)
	model := s.Grad(s.Sum(minusLogDensity(s, w, x)), x)
	if s.Err != nil {
		return nil
	}
	r := s.Sub(batch(solvers.BatchSlope), model[0])
	return s.MatMul(batch(solvers.BatchMask), true, s.SumCols(s.Square(r)), false)
}

// minusLogDensity declares w(∇w(x_i)) − log det ∇²w(x_i), (n, 1): −log q_w(x_i)
// without log Z_w.
func minusLogDensity(s *graph.Scope, w layers.Potential, x *gorgonia.Node) *gorgonia.Node {
	return s.Sub(w.Value(s, w.Gradient(s, x)), s.LogDet(w.Dim(), layers.Hessian(s, w, x)))
}
