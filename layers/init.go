package layers

import (
	"errors"
	"fmt"
	"math"

	"cmf/layers/internal/hinges"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// Start initialises an ICNN near the closed form of a Gaussian: its outer
// quadratic is a share of ½(x−c)ᵀΣ^{-1/3}(x−c), and the network's hinges
// provide the rest of the curvature, on average over the data. A quadratic at
// full strength would bound the curvature from below, and training could then
// only contract.
type Start struct {
	// Law is the Gaussian.
	Law *exact.Gaussian

	// Given is the regression of the data on Contexts, one for each row of the data, where
	// the network is a Conditional. It takes the place of Law.
	Given    *exact.Regression
	Contexts blas32.General

	// Classes are the Gaussians of the data of each class, where Contexts are classes. They
	// take the place of Law and of Given.
	Classes []*exact.Gaussian

	// Gaussian starts at the Monge map from the data to N(0, I) instead, w(x) =
	// ½(x−m)ᵀΣ^{-1/2}(x−m): the baseline without a Gibbs factor.
	Gaussian bool

	// Source is the law of the noise where that is given, a Gaussian N(m₀, Σ₀). The closed
	// form is then that of the Monge map from Law to Source, ∇w(x) = A(x−m) + m₀; see
	// exact.Gaussian.MongeTo. With it Gaussian and Carry are ignored.
	Source *exact.Gaussian

	// Carry is s where the noise is carried by Σˢ; see potential.Carried. The
	// closed form is then w(x) = ½(x−c)ᵀΣ^{-(1−2s)/3}(x−c). With Gaussian it is
	// ignored.
	Carry float64

	// Share is the part of the Gaussian's curvature that the quadratic
	// provides, in (0, 1]. 0 means .2. With 1 the hinges start without effect,
	// and the Gibbs factor is exactly that of the closed form.
	Share float64

	// Fixed is the fraction of the quadratic that is not trained: the modulus of
	// strong convexity. 0 means .25.
	Fixed float64

	// Spread is the standard deviation of each pre-activation over the data, and
	// of the difference of the two pieces of a Maximum. 0 means 4.
	Spread float64

	// MinDeviation is the least deviation that the data is taken to have along
	// a unit direction, so that a direction with almost no variation does not
	// get enormous weights. 0 means .3 of the root mean square deviation of a
	// coordinate.
	MinDeviation float64

	// Balanced makes the learning rate of every array of hidden and output weights
	// proportional to its first root mean square. These differ by three orders of
	// magnitude: at one rate for all, output weights jump about while the hinges
	// hardly turn.
	Balanced bool

	// RootRate multiplies the learning rate of the matrix A of a Full quadratic. A
	// coherent step of its d² entries is d times as long as that of one of them. 0
	// means 1.
	RootRate float64

	// Directions fills the columns of the (d, h) matrix b with unit directions
	// for the hinges of a layer. nil means uniform in the coordinates in which the
	// data is white.
	Directions func(b blas32.General, layer int, rng *random.Stream)
}

// Init initialises the float32 network w on data of shape (n, d), n ≥ 2: a
// sample of ρ, or of any law over which the hinges, or the quadratics, are to
// spread. Of a maximum of quadratics it uses the laws, Contexts, Gaussian and Carry.
func (o Start) Init(w Network, data blas32.General, rng *random.Stream) error {
	if m, ok := w.(*ICNN); ok && m.context != nil {
		return o.initConditional(m, data, rng)
	}
	q := quadraticsOf(w)
	if q != nil && q.context != nil {
		return o.initQuadraticsGiven(q, data, rng)
	}
	o = o.withDefaults()
	if q != nil {
		return o.initQuadratics(q, data, rng)
	}
	if m, ok := w.(*ICNN); ok {
		return o.initICNN(m, data, rng)
	}
	return fmt.Errorf("layers: no initialisation for %T", w)
}

// quadraticsOf is φ if w is the conjugate of Quadratics, and nil otherwise.
func quadraticsOf(w Network) *Quadratics {
	if c, ok := w.(*Conjugate); ok {
		q, _ := c.phi.(*Quadratics)
		return q
	}
	return nil
}

func (o Start) initICNN(m *ICNN, data blas32.General, rng *random.Stream) error {
	d := m.Dim()
	switch {
	case m.Float64:
		return errors.New("layers: initialisation needs a float32 network")
	case o.Law == nil || o.Law.Dim() != d:
		return fmt.Errorf("layers: initialisation on ℝ^%d needs a Gaussian of that dimension", d)
	case o.Source != nil && o.Source.Dim() != d:
		return fmt.Errorf("layers: initialisation on ℝ^%d from a source on ℝ^%d", d, o.Source.Dim())
	case data.Cols != d || data.Rows < 2:
		return fmt.Errorf("layers: initialisation on ℝ^%d with data of shape (%d, %d)", d, data.Rows, data.Cols)
	case !(o.Carry >= 0 && o.Carry <= .5):
		return fmt.Errorf("layers: the noise is carried by the power %g of the covariance; it must lie in [0, ½]", o.Carry)
	case !(o.Share > 0 && o.Share <= 1):
		return fmt.Errorf("layers: the quadratic's share is %g; it must lie in (0, 1]", o.Share)
	case !(o.Fixed > 0 && o.Fixed <= 1):
		return fmt.Errorf("layers: the fixed fraction of the quadratic is %g; it must lie in (0, 1]", o.Fixed)
	}
	form, err := o.closed()
	if err != nil {
		return err
	}
	for _, p := range m.Params().All() {
		p.Fill(func(int) float64 { return 0 })
	}
	if len(m.Convolutions) > 0 {
		data = m.fewer(data)
	}
	o.placeHinges(m, data, rng)
	if err := o.balance(m, data, form); err != nil {
		return err
	}
	if o.Balanced {
		balanceRates(m)
	}
	if m.Root != nil {
		m.Root.Rate = o.RootRate
	}
	return o.matchMean(m, data)
}

// fewer is rows of the data, evenly spaced, such that the widest layer has at most
// 2²⁴ values over them, 64 MiB; but at least 64 rows.
func (m *ICNN) fewer(data blas32.General) blas32.General {
	widest := 1
	for _, layer := range m.Layers {
		widest = max(widest, layer.width())
	}
	n := max(64, (1<<24)/widest)
	if n >= data.Rows {
		return data
	}
	index := make([]int, n)
	for i := range index {
		index[i] = i * data.Rows / n
	}
	return batch.Gathered(data, index)
}

func (o Start) withDefaults() Start {
	set := func(v *float64, zero float64) {
		if *v == 0 {
			*v = zero
		}
	}
	set(&o.Share, .2)
	set(&o.Fixed, .25)
	set(&o.Spread, 4)
	if o.MinDeviation == 0 && o.Law != nil {
		var trace float64
		for _, v := range o.Law.Values {
			trace += v
		}
		o.MinDeviation = .3 * math.Sqrt(trace/float64(o.Law.Dim()))
	}
	if o.Directions == nil {
		o.Directions = hinges.White(o.Law)
	}
	return o
}

// closedForm is the quadratic ½(x−c)ᵀS^{-e}(x−c), with S and e apart so that powers of S
// are exact to rounding.
type closedForm struct {
	law      *exact.Gaussian // S is its covariance
	exponent float64         // e
	center   []float64       // c
}

// closed is the closed form.
func (o Start) closed() (closedForm, error) {
	if o.Source == nil {
		return o.conjugateMoment(), nil
	}
	q, err := o.Law.MongeTo(o.Source)
	if err != nil {
		return closedForm{}, fmt.Errorf("layers: %w", err)
	}
	return closedForm{q.Gibbs(), 1, q.Center}, nil
}

// conjugateMoment is the closed form without a Source.
func (o Start) conjugateMoment() closedForm {
	if o.Gaussian {
		return closedForm{o.Law, .5, o.Law.Mean}
	}
	return closedForm{o.Law, (1 - 2*o.Carry) / 3, o.Law.CarriedMoment(o.Carry).Center}
}

// conjugates are S^e·y + c for the rows of y.
func (f closedForm) conjugates(y blas32.General) blas32.General {
	x, p := batch.New(y.Rows, y.Cols), batch.FromMatrix(f.law.Power(f.exponent))
	for i := range x.Data {
		x.Data[i] = float32(f.center[i%y.Cols])
	}
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, y, p, 1, x)
	return x
}

// Conjugates are the conjugates of the rows of y, (n, d), under the closed form.
func (o Start) Conjugates(y blas32.General) (blas32.General, error) {
	form, err := o.closed()
	if err != nil {
		return blas32.General{}, err
	}
	return form.conjugates(y), nil
}

// Particles returns n draws y of the noise of the closed form without a Source,
// with their conjugates: y ~ N(c, Σ^{1/3}) and Σ^{1/3}y + c, both changed by
// Carry where that is set; with Gaussian y ~ N(0, I) and Σ^{1/2}y + m.
func (o Start) Particles(n int, rng *random.Stream) (y, conjugates blas32.General) {
	if o.Gaussian {
		y = batch.New(n, o.Law.Dim())
		rng.Normals(y.Data)
	} else {
		y = o.Law.SampleCarried(o.Carry, n, rng)
	}
	return y, o.conjugateMoment().conjugates(y)
}
