package losses

import (
	"cmp"
	"errors"
	"math"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/random"

	"gorgonia.org/gorgonia"
)

// Amortised learns to predict conjugates, by regression on the solved ones,
//
//	L = Σ_j m_j·‖h(y_j) − x̂_j‖²
//	h(y) = y·A + b + softplus(softplus(y·U + u)·V + v)·C
//
// with mask weights m. L depends on the weights of h and not on those of w. The
// predictions of h replace the particles' last solutions as starts of the
// conjugate solves: the solves stay exact, and h can only shorten them. Use it
// beside a term that trains w, as in dual+amortised; with Adam its factor
// hardly matters.
//
// Amos, "On amortizing convex conjugates for optimal transport", ICLR 2023,
// section 3.2.2, uses this regression and fine-tunes the prediction with a
// solver.
type Amortised struct {
	// Width of both hidden layers; 0 means max(64, 2d).
	Width int

	h *predictor
}

// predictor holds the weights of h.
type predictor struct {
	params                *graph.Params
	linear, offset        *graph.Param // A, (d, d), and b, (1, d)
	first, second         *graph.Param // U, (d, h), and V, (h, h)
	firstBias, secondBias *graph.Param // u and v, (1, h)
	out                   *graph.Param // C, (h, d)
}

var _ Predictor = Amortised{}

// Name is "amortised".
func (Amortised) Name() string { return "amortised" }

// Inputs are the Gibbs samples, their conjugates and the mask.
func (Amortised) Inputs() []*solvers.Kind {
	return []*solvers.Kind{solvers.BatchGibbs, solvers.BatchConjugate, solvers.BatchMask}
}

// Bind gives h new weights: it starts as the identity, with the same hidden
// weights in every run.
func (a Amortised) Bind(w layers.Potential) (Parametric, error) {
	ps, err := graph.NewParams(w.Params().Dtype())
	if err != nil {
		return nil, err
	}
	d := w.Dim()
	width := cmp.Or(a.Width, max(64, 2*d))
	h := &predictor{
		params: ps,
		linear: ps.New("amortised.linear", d, d), offset: ps.New("amortised.offset", 1, d),
		first: ps.New("amortised.first", d, width), firstBias: ps.New("amortised.first.bias", 1, width),
		second: ps.New("amortised.second", width, width), secondBias: ps.New("amortised.second.bias", 1, width),
		out: ps.New("amortised.out", width, d),
	}
	rng := random.New(0, "amortised conjugate", 0)
	random := func(p *graph.Param) {
		p.Fill(func(int) float64 { return rng.NormFloat64() / math.Sqrt(float64(p.Rows)) })
	}
	random(h.first)
	random(h.firstBias)
	random(h.second)
	h.linear.Fill(func(i int) float64 {
		if i/d == i%d {
			return 1
		}
		return 0
	})
	a.h = h
	return a, nil
}

// Params are the weights of h, nil before Bind.
func (a Amortised) Params() *graph.Params {
	if a.h == nil {
		return nil
	}
	return a.h.params
}

// Declare declares L.
func (a Amortised) Declare(s *graph.Scope, _ layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	r := s.Sub(a.Predict(s, batch(solvers.BatchGibbs)), batch(solvers.BatchConjugate))
	return s.MatMul(batch(solvers.BatchMask), true, s.SumCols(s.Square(r)), false)
}

// Predict declares h(y), (n, d).
func (a Amortised) Predict(s *graph.Scope, y *gorgonia.Node) *gorgonia.Node {
	if a.h == nil {
		s.Err = cmp.Or(s.Err, errors.New("losses: the term amortised has no weights; Bind gives it some"))
		return nil
	}
	affine := func(x *gorgonia.Node, by, bias *graph.Param) *gorgonia.Node {
		return s.Add(s.MatMul(x, false, s.Param(by), false), s.Param(bias))
	}
	z := s.Softplus(affine(y, a.h.first, a.h.firstBias))
	z = s.Softplus(affine(z, a.h.second, a.h.secondBias))
	return s.Add(affine(y, a.h.linear, a.h.offset), s.MatMul(z, false, s.Param(a.h.out), false))
}
