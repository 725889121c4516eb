package layers

import (
	"errors"
	"fmt"
	"math"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// initConditional starts m at the closed form of x | c ~ N(m + Kδ, S), δ = c − c̄. Its
// network v is that of the residuals x − Kδ, for which N(m, S) is Law, with
//
//	t(c) = Kδ,  ℓ(c) = (I + S^{1/3})⁻¹Kδ
//
// where ℓ moves the centre of the quadratic to that of N(m + Kδ, S). For the baseline
// without a Gibbs factor ℓ is 0. Whatever else depends on the context starts without effect.
func (o Start) initConditional(m *ICNN, data blas32.General, rng *random.Stream) error {
	switch {
	case o.Given == nil || o.Given.Dim() != m.Dim() || len(o.Given.Context) != m.Context:
		return fmt.Errorf("layers: initialisation on ℝ^%d with contexts of %d columns needs a regression of the data on them", m.Dim(), m.Context)
	case o.Source != nil || o.Carry != 0:
		return errors.New("layers: initialisation with contexts, and with a given source or noise that is carried; only one is possible")
	}
	residuals, err := o.Given.Residuals(data, o.Contexts)
	if err != nil {
		return fmt.Errorf("layers: %w", err)
	}
	plain := *m
	plain.context, plain.Architecture.Context = nil, 0
	o.Law = o.Given.Law
	if err := o.withDefaults().initICNN(&plain, residuals, rng); err != nil {
		return err
	}
	c := m.context
	deviations := o.setStandard(c.ContextFeatures)
	gain := mat.DenseCopyOf(o.Given.Gain.T()) // in standardised contexts, (k, d)
	gain.Apply(func(j, _ int, v float64) float64 { return v * deviations[j] }, gain)
	fill(c.Shift.Linear, gain)
	if !o.Gaussian {
		var slope mat.Dense
		slope.Mul(gain, o.Given.CenterMatrix())
		fill(c.Slope.Linear, &slope)
	}
	o.placeFeatures(c.ContextFeatures, rng)
	return nil
}

// setStandard sets c̄ and s, and returns the deviations 1/s of the contexts.
func (o Start) setStandard(c ContextFeatures) []float64 {
	deviations := make([]float64, o.Contexts.Cols)
	for i := range o.Contexts.Rows {
		for j, v := range batch.Row(o.Contexts, i) {
			e := float64(v) - o.Given.Context[j]
			deviations[j] += e * e / float64(o.Contexts.Rows)
		}
	}
	for j, v := range deviations {
		if deviations[j] = math.Sqrt(v); v == 0 {
			deviations[j] = 1
		}
	}
	c.Mean.Fill(func(j int) float64 { return o.Given.Context[j] })
	c.Scale.Fill(func(j int) float64 { return 1 / deviations[j] })
	return deviations
}

func fill(p *graph.Param, a mat.Matrix) {
	p.Fill(func(i int) float64 { return a.At(i/p.Cols, i%p.Cols) })
}

// placeFeatures makes every hidden feature of a context bend at the context of a data point,
// along a random direction, over about one deviation.
func (o Start) placeFeatures(c ContextFeatures, rng *random.Stream) {
	if c.Features == nil {
		return
	}
	k, h := c.Features.Rows, c.Features.Cols
	for j := range h {
		direction := make([]float64, k)
		var squares float64
		for i := range direction {
			direction[i] = rng.NormFloat64()
			squares += direction[i] * direction[i]
		}
		at := batch.Row(o.Contexts, rng.IntN(o.Contexts.Rows))
		var bias float64
		for i := range direction {
			v := 2 * direction[i] / math.Sqrt(squares)
			c.Features.Set(i*h+j, v)
			bias -= v * (float64(at[i]) - c.Mean.At(i)) * c.Scale.At(i)
		}
		c.Bias.Set(j, bias)
	}
}

// ParticlesGiven returns a draw of the noise of the closed form for each of the contexts,
// (n, k), with the conjugates; see Particles.
func (o Start) ParticlesGiven(contexts blas32.General, rng *random.Stream) (y, conjugates blas32.General, err error) {
	if o.Classes != nil {
		return o.particlesOfClasses(contexts, rng)
	}
	if !o.Gaussian {
		return o.Given.SampleGibbs(contexts, rng)
	}
	if conjugates, err = o.Given.Shifts(contexts); err != nil {
		return y, conjugates, err
	}
	y = batch.New(contexts.Rows, o.Given.Dim())
	rng.Normals(y.Data)
	o.Law = o.Given.Law
	for i, v := range o.conjugateMoment().conjugates(y).Data {
		conjugates.Data[i] += v
	}
	return y, conjugates, nil
}
