package layers

import (
	"errors"
	"fmt"

	"cmf/graph"
	"cmf/graph/kernel"
	"cmf/graph/op"
	"cmf/layers/internal/spectrum"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Curvature estimates the mean Hessian of a float32 network over a batch, to
// precondition samplers and conjugate solves. It is exact for a Conjugate, and
// for an ICNN of one hidden layer without quadratic skips, with knots or
// without. For deeper networks the mean of
//
//	H = Σ_l J_lᵀ·diag(γ_l ⊙ σ′(u_l)/τ)·J_l + Σ_l diag(d_l·δ_l) + Σ_l,r A_r·diag(δ_l)·A_rᵀ + ∇²Q
//
// is taken factor by factor, with the Jacobians J_l = ∂(τu_l)/∂x of the mean
// slopes; the sums over d and A_r are over all pieces of a layer.
type Curvature struct {
	w        Network
	m        *ICNN // w, if it is one
	programs map[int]*graph.Program
}

// NewCurvature returns an estimator for w, an ICNN or a Conjugate.
func NewCurvature(w Network) (*Curvature, error) {
	if w.Params().Dtype() != tensor.Float32 {
		return nil, errors.New("layers: curvature estimates need a float32 network")
	}
	if v, ok := w.(Conditional); ok && v.Contexts() > 0 {
		return nil, errors.New("layers: no curvature estimates for a potential with contexts; use potential.MeanHessian of an evaluator that is given them")
	}
	c := &Curvature{w: w, programs: make(map[int]*graph.Program)}
	switch v := w.(type) {
	case *ICNN:
		c.m = v
	case *Conjugate:
	default:
		return nil, fmt.Errorf("layers: no curvature estimates for %T", w)
	}
	return c, nil
}

// MeanHessian returns the estimate for the rows of x, at least one.
func (c *Curvature) MeanHessian(x blas32.General) (*mat.SymDense, error) {
	d := c.w.Dim()
	if x.Rows < 1 || x.Cols != d {
		return nil, fmt.Errorf("layers: mean Hessian over points of shape (%d, %d); it needs at least one point of ℝ^%d", x.Rows, x.Cols, d)
	}
	p, err := c.program(x.Rows)
	if err != nil {
		return nil, err
	}
	batch.Copy(p.In("x").General(), x)
	if err := p.Run(); err != nil {
		return nil, err
	}
	if c.m == nil {
		return spectrum.Symmetric(p.Out("mean").General()), nil
	}
	mean := make([]float32, d)
	for i := range x.Rows {
		for j, v := range x.Data[i*x.Stride:][:d] {
			mean[j] += v / float32(x.Rows)
		}
	}
	h := batch.New(d, d)
	var below blas32.General // ∂z/∂x of the layer below, (d, h)
	for l, layer := range c.m.Layers {
		var js []blas32.General // ∂a/∂x of the pieces
		for k, piece := range layer {
			js = append(js, piece.jacobian(below, mean, h, func(name string) []float32 { return p.Out(pieceKey(name, l, k)).F32 }))
		}
		j := js[0]
		if len(js) > 1 {
			j = batch.New(d, layer.width())
			for i := range j.Data {
				j.Data[i] = js[0].Data[i] - js[1].Data[i]
			}
		}
		addGram(h, j, p.Out(key("bend", l)).F32)
		below = j
		batch.ScaleColumns(below, p.Out(key("slope", l)).F32)
		if len(js) > 1 {
			for i, v := range js[1].Data {
				below.Data[i] += v
			}
		}
	}
	c.addQuadratic(h)
	for k := range c.m.Knots {
		for i, v := range p.Out(key("knot", k)).F32 {
			h.Data[i*d+i] += v
		}
	}
	return spectrum.Symmetric(h), nil
}

// jacobian is ∂a/∂x of a piece at the mean point x, (d, h), given ∂z/∂x of the layer
// below and the means of δ and of the products x·A_r. It adds the curvature of the
// piece itself to h.
func (p Piece) jacobian(below blas32.General, x []float32, h blas32.General, mean func(name string) []float32) blas32.General {
	if p.over != nil {
		return p.jacobianOfConvolution(below, x, h, mean)
	}
	d, width := len(x), p.Bias.Cols
	delta := mean("delta")
	j := batch.New(d, width)
	copy(j.Data, p.Skip.Float32s())
	if p.Weigh != nil {
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, below, paramMatrix(p.Weigh), 1, j)
	}
	if p.Diag != nil {
		for i := range d {
			for k, v := range p.Diag.Float32s()[i*width : (i+1)*width] {
				j.Data[i*width+k] += x[i] * v
				h.Data[i*d+i] += delta[k] * v
			}
		}
	}
	for r, a := range p.Ranks {
		addGram(h, paramMatrix(a), delta)
		addScaled(j, paramMatrix(a), mean(rankName(r)))
	}
	return j
}

// jacobianOfConvolution is jacobian. A matrix with a row for each coordinate of x is
// a batch of pictures, each with one pixel set.
func (p Piece) jacobianOfConvolution(below blas32.General, x []float32, h blas32.General, mean func(name string) []float32) blas32.General {
	d := len(x)
	view, at := batch.New(d, d), blas32.General{Rows: 1, Cols: d, Stride: d, Data: x}
	for i := range d {
		view.Data[i*d+i] = 1
	}
	view, at = Layer{p}.viewOf(view), Layer{p}.viewOf(at)
	delta := mean("delta")
	j := p.skippedOf(view, p.Skip)
	if p.Weigh != nil {
		kernel.Add(j.Data, j.Data, p.weighedOf(below).Data)
	}
	if p.Diag != nil {
		back := p.over.skip.ConvolveTransposed(op.Matrix[float32]{Rows: 1, Cols: len(delta), Data: delta}, dense(paramMatrix(p.Diag)))
		addGram(h, view, back.Data)
		scaled := batch.New(d, view.Cols)
		addScaled(scaled, view, at.Data)
		kernel.Add(j.Data, j.Data, p.skippedOf(scaled, p.Diag).Data)
	}
	for r, a := range p.Ranks {
		m := p.skippedOf(view, a)
		addGram(h, m, delta)
		addScaled(j, m, mean(rankName(r)))
	}
	return j
}

func (c *Curvature) addQuadratic(h blas32.General) {
	d := c.m.Dim()
	s := make([]float32, d)
	for i := range s {
		s[i] = c.m.Floor.Float32s()[i] + c.m.Share.Float32s()[i]
	}
	if c.m.Root != nil {
		a := paramMatrix(c.m.Root)
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, a, a, 1, h)
	}
	if c.m.Basis == nil {
		for i, v := range s {
			h.Data[i*d+i] += v
		}
		return
	}
	u := paramMatrix(c.m.Basis)
	addGram(h, u, s)
}

// program gives what the mean Hessian over n rows is made of.
func (c *Curvature) program(n int) (*graph.Program, error) {
	if p, ok := c.programs[n]; ok {
		return p, nil
	}
	s := graph.NewScope(tensor.Float32)
	x := s.Input("x", n, c.w.Dim())
	var out map[string]*gorgonia.Node
	if w, ok := c.w.(*Conjugate); ok {
		out = map[string]*gorgonia.Node{"mean": w.meanHessian(s, x)}
	} else {
		out = c.means(s, x, n)
	}
	p, err := s.Compile(out)
	if err != nil {
		return nil, err
	}
	c.programs[n] = p
	return p, nil
}

// means declares the means over n rows of σ(u_l), γ_l ⊙ σ′(u_l)/τ, δ_l and x·A_r.
func (c *Curvature) means(s *graph.Scope, x *gorgonia.Node, n int) map[string]*gorgonia.Node {
	f := c.m.forward(s, x)
	c.m.backward(s, f)
	out := make(map[string]*gorgonia.Node)
	mean := func(v *gorgonia.Node) *gorgonia.Node { return s.Scale(1/float64(n), s.SumRows(v)) }
	for l := range c.m.Layers {
		out[key("slope", l)] = mean(f.sigma[l])
		// γ ⊙ σ′ = δ₁ ⊙ (1 − σ)
		out[key("bend", l)] = s.Scale(1/c.m.tau(), mean(s.Mul(f.delta[l][0], s.Affine(-1, f.sigma[l], 1))))
		for k, delta := range f.delta[l] {
			out[pieceKey("delta", l, k)] = mean(delta)
			for r, v := range f.ranks[l][k] {
				out[pieceKey(rankName(r), l, k)] = mean(v)
			}
		}
	}
	for k, knot := range c.m.Knots {
		out[key("knot", k)] = mean(knot.curvature(s, x))
	}
	return out
}
