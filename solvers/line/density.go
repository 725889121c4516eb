package line

import (
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Density is a probability density on ℝ, positive everywhere and of finite variance. It
// is given in logarithms, so that it is accurate far out in both tails.
type Density interface {
	// LogPDF is log ρ(x).
	LogPDF(x float64) float64

	// LogLower is log P(X ≤ x).
	LogLower(x float64) float64

	// LogUpper is log P(X > x), not computed from 1 − P(X ≤ x).
	LogUpper(x float64) float64

	// Mean is E X.
	Mean() float64

	// Variance is Var X.
	Variance() float64
}

// Quantile is the x with P(X ≤ x) = p under ρ, for 0 < p < 1. For other p it is NaN.
func Quantile(rho Density, p float64) float64 {
	if !(p > 0 && p < 1) {
		return math.NaN()
	}
	return quantileAt(rho, logit(p))
}

// logit is log p/(1−p). Unlike p, it distinguishes the levels of both tails.
func logit(p float64) float64 { return math.Log(p) - math.Log1p(-p) }

// quantileAt is the x with log P(X ≤ x)/P(X > x) = level, by bisection.
func quantileAt(rho Density, level float64) float64 {
	above := func(x float64) bool { return rho.LogLower(x)-rho.LogUpper(x) > level }
	mean, step := rho.Mean(), math.Sqrt(rho.Variance())
	lo, hi := mean-step, mean+step
	for s := step; above(lo) && !math.IsInf(lo, 0); s *= 2 {
		lo, hi = lo-s, lo
	}
	for s := step; !above(hi) && !math.IsInf(hi, 0); s *= 2 {
		lo, hi = hi, hi+s
	}
	for range 200 {
		middle := lo + (hi-lo)/2
		if middle <= lo || middle >= hi {
			break
		}
		if above(middle) {
			hi = middle
		} else {
			lo = middle
		}
	}
	return hi
}

// Component is Weight·N(Mean, SD²).
type Component struct{ Weight, Mean, SD float64 }

// Mixture is the mixture Σ_k Weight_k·N(Mean_k, SD_k²) on ℝ.
type Mixture struct {
	Components []Component // their weights sum to one

	// Total is the sum of the given weights: 1 up to rounding unless they had to be
	// normalised.
	Total float64
}

var _ Density = (*Mixture)(nil)

// NewMixture normalises the weights. None may be negative, and at least one must be
// positive; standard deviations must be positive.
func NewMixture(components ...Component) (*Mixture, error) {
	m := &Mixture{}
	for k, c := range components {
		for _, v := range []struct {
			ok    bool
			name  string
			value float64
			rule  string
		}{
			{c.Weight >= 0 && c.Weight <= math.MaxFloat64, "weight", c.Weight, "finite and not negative"},
			{math.Abs(c.Mean) <= math.MaxFloat64, "mean", c.Mean, "finite"},
			{c.SD > 0 && c.SD <= math.MaxFloat64, "standard deviation", c.SD, "finite and positive"},
		} {
			if !v.ok {
				return nil, fmt.Errorf("component %d has %s %g; it must be %s", k+1, v.name, v.value, v.rule)
			}
		}
		m.Total += c.Weight
	}
	if !(m.Total > 0) || math.IsInf(m.Total, 0) {
		return nil, fmt.Errorf("the weights of %d components sum to %g; the sum must be positive and finite", len(components), m.Total)
	}
	for _, c := range components {
		if c.Weight /= m.Total; c.Weight > 0 {
			m.Components = append(m.Components, c)
		}
	}
	return m, nil
}

// LogPDF is log ρ(x).
func (m *Mixture) LogPDF(x float64) float64 {
	return m.logSum(func(c Component) float64 {
		z := (x - c.Mean) / c.SD
		return -z*z/2 - math.Log(c.SD*math.Sqrt(2*math.Pi))
	})
}

// LogLower is log P(X ≤ x).
func (m *Mixture) LogLower(x float64) float64 {
	return min(0, m.logSum(func(c Component) float64 { return logNormalTail((c.Mean - x) / c.SD) }))
}

// LogUpper is log P(X > x).
func (m *Mixture) LogUpper(x float64) float64 {
	return min(0, m.logSum(func(c Component) float64 { return logNormalTail((x - c.Mean) / c.SD) }))
}

// Mean is E X.
func (m *Mixture) Mean() float64 {
	var s float64
	for _, c := range m.Components {
		s += c.Weight * c.Mean
	}
	return s
}

// Variance is Var X.
func (m *Mixture) Variance() float64 {
	mean, s := m.Mean(), 0.
	for _, c := range m.Components {
		s += c.Weight * (c.SD*c.SD + (c.Mean-mean)*(c.Mean-mean))
	}
	return s
}

// Sample returns n independent draws, (n, 1).
func (m *Mixture) Sample(n int, rng *random.Stream) blas32.General {
	x := batch.New(n, 1)
	for i := range n {
		u, k := rng.Float64(), 0
		for u -= m.Components[0].Weight; u >= 0 && k+1 < len(m.Components); u -= m.Components[k].Weight {
			k++
		}
		x.Data[i] = float32(m.Components[k].Mean + m.Components[k].SD*rng.NormFloat64())
	}
	return x
}

// logSum is log Σ_k Weight_k·exp f(component k).
func (m *Mixture) logSum(f func(Component) float64) float64 {
	sum := math.Inf(-1)
	for _, c := range m.Components {
		sum = logAdd(sum, math.Log(c.Weight)+f(c))
	}
	return sum
}

// logAdd is log(eᵃ + eᵇ).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// logNormalTail is log P(Z > z) for a standard normal Z.
func logNormalTail(z float64) float64 {
	switch {
	case z < 0:
		return math.Log1p(-math.Erfc(-z/math.Sqrt2) / 2)
	case z < 30:
		return math.Log(math.Erfc(z/math.Sqrt2) / 2)
	}
	return logMills(z) - (z*z+math.Log(2*math.Pi))/2
}

// logMills is the logarithm of Mills' ratio P(Z > z)/φ(z) for a standard normal Z. Far
// out, where erfc underflows, its asymptotic series is used.
func logMills(z float64) float64 {
	if z < 30 {
		return logNormalTail(z) + (z*z+math.Log(2*math.Pi))/2
	}
	q := 1 / (z * z)
	return math.Log1p(-q*(1-3*q*(1-5*q))) - math.Log(z)
}
