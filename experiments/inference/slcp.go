package inference

import (
	"math"
	"sort"

	"cmf/solvers/random"

	"gonum.org/v1/gonum/mathext"
)

// SLCP has a simple likelihood and a complex posterior: θ uniform on [−3, 3]⁵, and x are four
// draws of N(m, S) in the plane,
//
//	m = (θ₁, θ₂),  S = (s₁², ρs₁s₂; ρs₁s₂, s₂²),  s₁ = θ₃², s₂ = θ₄², ρ = tanh θ₅
//
// Its posterior has four modes, alike but for the signs of θ₃ and θ₄.
func SLCP() Simulator {
	const draws = 4
	all := func(v float64) []float64 { return []float64{v, v, v, v, v} }
	return Simulator{
		Name:       "slcp",
		Parameters: numbered("θ", 5),
		Outputs:    2 * draws,
		Lower:      all(-slcpBound),
		Upper:      all(slcpBound),
		Simulate: func(theta []float64, rng *random.Stream) []float64 {
			s1, s2, rho := theta[2]*theta[2], theta[3]*theta[3], math.Tanh(theta[4])
			x := make([]float64, 0, 2*draws)
			for range draws {
				a, b := rng.NormFloat64(), rng.NormFloat64()
				x = append(x, theta[0]+s1*a, theta[1]+s2*(rho*a+math.Sqrt(1-rho*rho)*b))
			}
			return x
		},
		Reference: func(x []float64) func(*random.Stream) []float64 {
			return newSLCPPosterior(x).draw
		},
	}
}

// slcpPosterior draws from the exact posterior of SLCP, by rejection. With x̄ the mean of the
// draws and A = Σ(x_i − x̄)(x_i − x̄)ᵀ their scatter, m ~ N(x̄, S/4) given S, and
//
//	p(S) ∝ |S|^{−3/2}·exp(−½ tr S⁻¹A) ∝ (uv)³(1−ρ²)^{−3/2}·exp(−(A₁₁u² − 2ρA₁₂uv + A₂₂v²)/(2(1−ρ²)))
//
// with u = 1/s₁, v = 1/s₂. As 2uv·√(A₁₁A₂₂) ≤ A₁₁u² + A₂₂v², this is at most the same with
// (1 − κ)(A₁₁u² + A₂₂v²) in the exponent, κ the positive part of ρ·A₁₂/√(A₁₁A₂₂). Of that law
// u² and v² have truncated gamma laws given θ₅, and θ₅ has a density of one variable.
type slcpPosterior struct {
	mean    [2]float64 // x̄
	a11     float64
	a12     float64
	a22     float64
	nodes   []float64 // of θ₅
	density []float64 // of θ₅ at the nodes, of the law above
	mass    []float64 // from the first node to each
}

// slcpBound bounds the parameters on both sides of 0.
const slcpBound = 3

// slcpShape is that of u²: du·u³·|dθ₃/du|, which is u^{3/2}·du, with s = u² is s^{1/4}·ds.
const slcpShape = 5. / 4

func newSLCPPosterior(x []float64) *slcpPosterior {
	p := new(slcpPosterior)
	n := float64(len(x) / 2)
	for i, v := range x {
		p.mean[i%2] += v / n
	}
	for i := 0; i < len(x); i += 2 {
		a, b := x[i]-p.mean[0], x[i+1]-p.mean[1]
		p.a11, p.a12, p.a22 = p.a11+a*a, p.a12+a*b, p.a22+b*b
	}
	// Outputs are rounded to float32, to which equal draws owe a scatter of their own.
	const rounding = 0x1p-24
	for k, a := range []*float64{&p.a11, &p.a22} {
		*a += n * math.Pow(rounding*max(math.Abs(p.mean[k]), 1e-30), 2)
	}
	const cells = 600
	for k := range cells + 1 {
		theta := slcpBound * (2*float64(k)/cells - 1)
		rho := math.Tanh(theta)
		density := math.Pow(1-rho*rho, -1.5)
		for _, a := range []float64{p.a11, p.a22} {
			rate := p.rate(a, rho)
			density *= math.Pow(rate, -slcpShape) * mathext.GammaIncRegComp(slcpShape, rate*slcpLeast)
		}
		p.nodes, p.density = append(p.nodes, theta), append(p.density, density)
		mass := 0.
		if k > 0 {
			mass = p.mass[k-1] + (p.density[k-1]+density)/2*2*slcpBound/cells
		}
		p.mass = append(p.mass, mass)
	}
	return p
}

// rate is that of the gamma law of u² or v², for A₁₁ or A₂₂.
func (p *slcpPosterior) rate(a, rho float64) float64 {
	return a * (1 - p.kappa(rho)) / (2 * (1 - rho*rho))
}

// kappa is κ.
func (p *slcpPosterior) kappa(rho float64) float64 {
	return max(0, rho*p.a12/math.Sqrt(p.a11*p.a22))
}

// slcpLeast is the least u², where |θ₃| is the bound.
var slcpLeast = math.Pow(slcpBound, -4)

// draw draws θ, or returns nil if it was rejected.
func (p *slcpPosterior) draw(rng *random.Stream) []float64 {
	if mass := p.mass[len(p.mass)-1]; !(mass > 0) {
		return nil // outputs so far apart that no θ is likely
	}
	theta := p.drawCorrelation(rng)
	rho := math.Tanh(theta)
	var inverse [2]float64 // u and v
	for k, a := range []float64{p.a11, p.a22} {
		inverse[k] = math.Sqrt(gammaAbove(p.rate(a, rho), rng))
	}
	u, v := inverse[0], inverse[1]
	excess := p.kappa(rho)*(p.a11*u*u+p.a22*v*v) - 2*rho*p.a12*u*v
	if rng.Float64() >= math.Exp(-excess/(2*(1-rho*rho))) {
		return nil
	}
	a, b := rng.NormFloat64()/2, rng.NormFloat64()/2 // m ~ N(x̄, S/4)
	return []float64{
		p.mean[0] + a/u,
		p.mean[1] + (rho*a+math.Sqrt(1-rho*rho)*b)/v,
		sign(rng) / math.Sqrt(u),
		sign(rng) / math.Sqrt(v),
		theta,
	}
}

// drawCorrelation draws θ₅ by its density, between the nodes as on a line.
func (p *slcpPosterior) drawCorrelation(rng *random.Stream) float64 {
	last := len(p.nodes) - 1
	mass := rng.Float64() * p.mass[last]
	k := min(max(sort.SearchFloat64s(p.mass, mass), 1), last)
	from, to, width := p.density[k-1], p.density[k], p.nodes[k]-p.nodes[k-1]
	// The root of (to−from)/(2·width)·t² + from·t = mass − mass[k−1], stable where to is from.
	rest := mass - p.mass[k-1]
	t := 2 * rest / (from + math.Sqrt(math.Max(0, from*from+2*(to-from)/width*rest)))
	return p.nodes[k-1] + math.Min(t, width)
}

func sign(rng *random.Stream) float64 {
	if rng.Float64() < .5 {
		return -1
	}
	return 1
}

// gammaAbove draws from the law with the density s^{1/4}·e^{−rate·s} on s ≥ slcpLeast.
func gammaAbove(rate float64, rng *random.Stream) float64 {
	if rate*slcpLeast < slcpShape {
		for {
			if s := gamma(rng) / rate; s >= slcpLeast {
				return s
			}
		}
	}
	// log s lies below its tangent at least, so that an exponential law is above this one.
	slope := (slcpShape - 1) / slcpLeast
	for {
		over := rng.ExpFloat64() / (rate - slope)
		if rng.Float64() < math.Exp((slcpShape-1)*math.Log1p(over/slcpLeast)-slope*over) {
			return slcpLeast + over
		}
	}
}

// gamma draws from the gamma law of slcpShape and rate 1.
//
// G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM TOMS 26
// (2000).
func gamma(rng *random.Stream) float64 {
	const d = slcpShape - 1./3
	for {
		x := rng.NormFloat64()
		v := 1 + x/math.Sqrt(9*d)
		if v <= 0 {
			continue
		}
		v *= v * v
		if math.Log(1-rng.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
