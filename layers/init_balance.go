package layers

import (
	"errors"
	"math"

	"cmf/graph"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// balance sets the quadratic, and scales the output so that the network
// contributes tr(S^e·E∇²net) = (1−Share)·d.
func (o Start) balance(m *ICNN, data blas32.General, f closedForm) error {
	d := m.Dim()
	for i := range m.Out.Float32s() {
		m.Out.Float32s()[i] = 1
	}
	if o.Share < 1 {
		c, err := NewCurvature(m)
		if err != nil {
			return err
		}
		h, err := c.MeanHessian(data)
		if err != nil {
			return err
		}
		metric := f.law.Power(f.exponent)
		var trace float64
		for i := range d {
			for j := range d {
				trace += metric.At(i, j) * h.At(i, j)
			}
		}
		if !(trace > 0) {
			return errors.New("layers: the hinges have no curvature over the data")
		}
		rest := 1 - o.Share
		if len(m.Knots) > 0 {
			rest /= 2 // the knots take the other half
			precision := make([]float64, d)
			for j := range precision {
				precision[j] = 1 / metric.At(j, j)
			}
			m.placeKnots(data, rest, precision, o.MinDeviation)
		}
		factor := rest * float64(d) / trace
		m.Out.Fill(func(int) float64 { return factor })
	} else {
		m.Out.Fill(func(int) float64 { return 0 })
	}
	m.Center.Fill(func(i int) float64 { return f.center[i] })
	if m.Basis != nil {
		m.Basis.Fill(func(i int) float64 { return f.law.Vectors.At(i/d, i%d) })
	}
	if m.Root != nil {
		// A multiple of the identity is fixed; A carries the rest of the quadratic.
		floor := o.Fixed * math.Pow(f.law.Values[d-1], -f.exponent)
		m.Floor.Fill(func(int) float64 { return o.Share * floor })
		var scaled, root mat.Dense
		scaled.Apply(func(_, k int, v float64) float64 {
			rest := math.Pow(f.law.Values[k], -f.exponent) - floor
			return v * math.Sqrt(o.Share*math.Max(rest, 0))
		}, f.law.Vectors)
		root.Mul(&scaled, f.law.Vectors.T())
		m.Root.Fill(func(i int) float64 { return root.At(i/d, i%d) })
		return nil
	}
	spectrum := make([]float64, d)
	if m.Basis != nil {
		for i, v := range f.law.Values {
			spectrum[i] = math.Pow(v, -f.exponent)
		}
	} else {
		p := f.law.Power(-f.exponent)
		for i := range d {
			spectrum[i] = p.At(i, i)
		}
	}
	m.Floor.Fill(func(i int) float64 { return o.Share * o.Fixed * spectrum[i] })
	m.Share.Fill(func(i int) float64 { return o.Share * (1 - o.Fixed) * spectrum[i] })
	return nil
}

// balanceRates sets the factor on the learning rate of each array of weights to
// the root mean square of the array; arrays of zeros keep 1, and filters on the layer
// below theirs.
func balanceRates(m *ICNN) {
	weights := []*graph.Param{m.Out, m.Share}
	for _, layer := range m.Layers {
		for _, piece := range layer {
			weights = append(weights, piece.Skip, piece.Bias)
			if piece.Weigh != nil && piece.over == nil {
				weights = append(weights, piece.Weigh)
			}
		}
	}
	for _, p := range weights {
		p.Rate = batch.RootMeanSquare(p.Float32s())
	}
}

// matchMean sets the linear part so that the image of the data under ∇w has the
// mean of the noise.
func (o Start) matchMean(m *ICNN, data blas32.General) error {
	if o.Share == 1 {
		return nil
	}
	e, err := NewEvaluator(m)
	if err != nil {
		return err
	}
	g := batch.New(data.Rows, data.Cols)
	if err := e.Eval(data, nil, g); err != nil {
		return err
	}
	noise := make([]float64, m.Dim())
	switch {
	case o.Source != nil:
		noise = o.Source.Mean
	case !o.Gaussian:
		noise = o.Law.CarriedMean(o.Carry)
	}
	image := batch.Means(g)
	m.Linear.Fill(func(j int) float64 { return noise[j] - image[j] })
	return nil
}
