package layers

import (
	"errors"
	"fmt"
	"math"

	"cmf/graph"
	"cmf/layers/internal/pieces"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

const (
	offsetRate = .2  // of the spread
	leastFloor = .05 // s, in units of the least curvature of the closed form
)

// initQuadratics initialises the conjugate network φ.
func (o Start) initQuadratics(q *Quadratics, data blas32.General, rng *random.Stream) error {
	if err := q.checkStart(data); err != nil {
		return err
	}
	if d := q.Dim(); o.Law == nil || o.Law.Dim() != d {
		return fmt.Errorf("layers: initialisation on ℝ^%d needs a Gaussian of that dimension", d)
	}
	form, err := o.closed()
	if err != nil {
		return err
	}
	return o.initAbove(q, form, form.floor(), data, rng)
}

// checkStart says what is wrong with a start of q on the data.
func (q *Quadratics) checkStart(data blas32.General) error {
	switch d := q.Dim(); {
	case q.Float64:
		return errors.New("layers: initialisation needs a float32 network")
	case data.Cols != d || data.Rows < 2:
		return fmt.Errorf("layers: initialisation on ℝ^%d with data of shape (%d, %d)", d, data.Rows, data.Cols)
	case q.Pieces > data.Rows:
		return fmt.Errorf("layers: %d quadratics for %d points; there must be a point for each", q.Pieces, data.Rows)
	}
	return nil
}

// floor is s for the closed form.
func (f closedForm) floor() float64 {
	least := math.Inf(1)
	for _, v := range f.law.Values {
		least = min(least, math.Pow(v, f.exponent))
	}
	return leastFloor * least
}

// initAbove initialises φ with the given s.
func (o Start) initAbove(q *Quadratics, form closedForm, floor float64, data blas32.General, rng *random.Stream) error {
	m := q.arrays()
	noise := o.noise(form, m.Draws(), rng)
	q.Floor.Set(0, floor)
	spread, err := m.Start(noise, floor, data, rng)
	if err != nil {
		return err
	}
	o.setRates(q, spread)
	return nil
}

// arrays are the weights of q.
func (q *Quadratics) arrays() *pieces.Maximum {
	m := &pieces.Maximum{
		Dim: q.Dim(), Pieces: q.Pieces, Rank: q.maximum.Rank, Tau: q.maximum.Tau,
		Factors: q.Factors.Float32s(), Centers: q.Centers.Float32s(), Offsets: q.Offsets.Float32s(),
	}
	if q.Root != nil {
		m.Root = q.Root.Float32s()
	}
	if c := q.context; c != nil && !q.Classes {
		m.Slopes, m.Linear, m.Products = c.Centers.Linear.Float32s(), c.Offsets.Linear.Float32s(), c.Products.Float32s()
	}
	return m
}

// noise draws the noise of the closed form, with its mean and covariance: that of the
// Source, N(0, I), or Σ^{1/3}, with Carry Σ^{(1+4s)/3}.
func (o Start) noise(form closedForm, draws int, rng *random.Stream) pieces.Noise {
	n := pieces.Noise{Law: o.Law, Exponent: form.exponent}
	switch {
	case o.Source != nil:
		n.Draws, n.Mean, n.Scale = o.Source.Sample(draws, rng), o.Source.Mean, o.Source.Power(1)
	case o.Gaussian:
		n.Draws, _ = o.Particles(draws, rng)
		n.Mean, n.Scale = make([]float64, o.Law.Dim()), o.Law.Power(0)
	default:
		n.Draws, _ = o.Particles(draws, rng)
		n.Mean, n.Scale = o.Law.CarriedMean(o.Carry), o.Law.Power((1+4*o.Carry)/3)
	}
	return n
}

// setRates makes the learning rate of each array proportional to its size: to the
// root mean square of factors and diagonals, to a deviation of the data for the
// centers, and to a part of the spread of the pieces' values for the offsets.
func (o Start) setRates(q *Quadratics, spread float64) {
	var trace float64
	for _, v := range o.Law.Values {
		trace += v
	}
	q.Factors.Rate = batch.RootMeanSquare(q.Factors.Float32s())
	q.Centers.Rate = math.Sqrt(trace / float64(q.Dim()))
	q.Offsets.Rate = max(q.maximum.Tau, offsetRate*spread)
	if q.Root != nil {
		q.Root.Rate = batch.RootMeanSquare(q.Root.Float32s())
	}
}

// initQuadraticsGiven initialises φ(·; c) from the regression, in cells of (x, c).
func (o Start) initQuadraticsGiven(q *Quadratics, data blas32.General, rng *random.Stream) error {
	d, k := q.Dim(), q.Context
	if err := q.checkStart(data); err != nil {
		return err
	}
	switch {
	case o.Source != nil || o.Carry != 0:
		return errors.New("layers: initialisation with contexts, and with a given source or noise that is carried; only one is possible")
	case o.Contexts.Rows != data.Rows || o.Contexts.Cols != k:
		return fmt.Errorf("layers: initialisation with contexts of shape (%d, %d), for %d points with contexts of %d columns", o.Contexts.Rows, o.Contexts.Cols, data.Rows, k)
	}
	for _, p := range q.Params().All() {
		p.Fill(func(int) float64 { return 0 })
	}
	if q.Classes {
		return o.initClasses(q, data, rng)
	}
	if o.Given == nil || o.Given.Dim() != d || len(o.Given.Context) != k {
		return fmt.Errorf("layers: initialisation on ℝ^%d with contexts of %d columns needs a regression of the data on them", d, k)
	}
	c, m := q.context, q.arrays()
	deviations := o.setStandard(c.ContextFeatures)
	o.placeFeatures(c.ContextFeatures, rng)
	o.Law = o.Given.Law
	form := o.conjugateMoment()
	floor := form.floor()
	q.Floor.Set(0, floor)

	rows := make([]int, m.Draws())
	for i := range rows {
		rows[i] = rng.IntN(o.Contexts.Rows)
	}
	at := batch.Gathered(o.Contexts, rows)
	y, _, err := o.ParticlesGiven(at, rng)
	if err != nil {
		return err
	}
	noise := pieces.Noise{Law: o.Law, Exponent: form.exponent, Mean: make([]float64, d), Scale: o.Law.Power(0), Draws: y}
	given := pieces.Given{Contexts: o.standard(c.ContextFeatures, o.Contexts), AtDraws: o.standard(c.ContextFeatures, at), Gain: mat.DenseCopyOf(o.Given.Gain), Slope: mat.NewDense(d, k, nil)}
	given.Gain.Apply(func(_, j int, v float64) float64 { return v * deviations[j] }, given.Gain)
	if !o.Gaussian {
		noise.Mean, noise.Scale = o.Law.Center(), o.Law.Power(1./3)
		given.Slope.Mul(o.Given.CenterMatrix(), given.Gain)
	}
	spread, err := m.StartGiven(noise, floor, data, given, rng)
	if err != nil {
		return err
	}
	o.setRates(q, spread)
	for p, rate := range map[*graph.Param]float64{
		c.Centers.Linear: q.Centers.Rate, c.Centers.Hidden: q.Centers.Rate,
		c.Offsets.Linear: q.Offsets.Rate, c.Offsets.Hidden: q.Offsets.Rate, c.Products: q.Offsets.Rate / 2,
	} {
		if p != nil {
			p.Rate = rate
		}
	}
	return nil
}

// standard are the standardised contexts.
func (o Start) standard(f ContextFeatures, c blas32.General) blas32.General {
	out := batch.Shifted(c, o.Given.Context)
	batch.ScaleColumns(out, f.Scale.Float32s())
	return out
}
