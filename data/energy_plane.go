package data

import (
	"math"

	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// energies are the named ones, all on the plane.
var energies = []struct {
	name string
	make func() (*Energy, error)
}{
	{"gaussian", func() (*Energy, error) {
		law, err := exact.GaussianFromMatrix([]float64{0, 0}, mat.NewDense(2, 2, []float64{2, 1.8, 1.8, 2}))
		if err != nil {
			return nil, err
		}
		return GaussianEnergy(law), nil
	}},
	{"two-gaussians", func() (*Energy, error) { return MixtureEnergy(around(2, 1.5, .6)...) }},
	{"8gaussians", func() (*Energy, error) { return MixtureEnergy(around(8, 2.5, .5)...) }},
	{"banana", func() (*Energy, error) {
		return bent(1.4, .6, func(x float64) (y, slope float64) { return .5*x*x - 1, x }), nil
	}},
	{"wave", func() (*Energy, error) {
		return bent(2, .4, func(x float64) (y, slope float64) {
			sin, cos := math.Sincos(math.Pi * x / 2)
			return sin, math.Pi / 2 * cos
		}), nil
	}},
	{"two-moons", func() (*Energy, error) { return twoMoons(), nil }},
	{"himmelblau", func() (*Energy, error) { return himmelblau(20), nil }},
	{"muller-brown", func() (*Energy, error) { return mullerBrown(25), nil }},
}

// around is k normals of equal weight on a circle about 0.
func around(k int, radius, sd float64) []Normal {
	parts := make([]Normal, k)
	for i := range parts {
		x, y := circle(radius, float64(i)/float64(k))
		parts[i] = Normal{Weight: 1 / float64(k), Mean: []float64{x, y}, SD: sd}
	}
	return parts
}

// bent is the law of (x, f(x) + along·N(0, 1)) with x ~ N(0, along²), a Gaussian
// sheared along a curve f, given with its slope.
func bent(along, across float64, f func(x float64) (y, slope float64)) *Energy {
	const reach = 5.5 // standard deviations
	box := solvers.Box{Lower: []float64{-reach * along, math.Inf(1)}, Upper: []float64{reach * along, math.Inf(-1)}}
	for i := -100; i <= 100; i++ {
		y, _ := f(reach * along * float64(i) / 100)
		box.Lower[1], box.Upper[1] = min(box.Lower[1], y-reach*across), max(box.Upper[1], y+reach*across)
	}
	return &Energy{
		dim: 2, Box: box, LogZ: math.Log(2 * math.Pi * along * across),
		at: func(grad, x []float64) float64 {
			y, slope := f(x[0])
			u, v := x[0]/along, (x[1]-y)/across
			if grad != nil {
				grad[0], grad[1] = u/along-v/across*slope, v/across
			}
			return (u*u + v*v) / 2
		},
		Draw: func(n int, rng *random.Stream) blas32.General {
			x := batch.New(max(0, n), 2)
			for i := range x.Rows {
				u := along * rng.NormFloat64()
				y, _ := f(u)
				x.Data[2*i], x.Data[2*i+1] = float32(u), float32(y+across*rng.NormFloat64())
			}
			return x
		},
	}
}

// twoMoons is a ring times two bumps,
//
//	E(x) = ½((|x| − 2)/.4)² − log(e^{−½((x₁−2)/.6)²} + e^{−½((x₁+2)/.6)²}),
//
// the first test energy of Rezende and Mohamed, "Variational Inference with
// Normalizing Flows", ICML 2015.
func twoMoons() *Energy {
	const radius, width, at, bump = 2, .4, 2, .6
	return &Energy{
		dim: 2, Box: solvers.Box{Lower: []float64{-4.3, -4.3}, Upper: []float64{4.3, 4.3}}, LogZ: math.NaN(),
		at: func(grad, x []float64) float64 {
			r := math.Hypot(x[0], x[1])
			ring := (r - radius) / width
			left, right := (x[0]+at)/bump, (x[0]-at)/bump
			nearer := max(-left*left, -right*right) / 2
			a, b := math.Exp(-left*left/2-nearer), math.Exp(-right*right/2-nearer)
			if grad != nil {
				pull := 0.
				if r > 0 {
					pull = ring / width / r
				}
				grad[0] = pull*x[0] + (a*left+b*right)/(a+b)/bump
				grad[1] = pull * x[1]
			}
			return ring*ring/2 - nearer - math.Log(a+b)
		},
	}
}

// himmelblau is ((x₁² + x₂ − 11)² + (x₁ + x₂² − 7)²)/t, with four minima of equal
// depth: D. M. Himmelblau, "Applied Nonlinear Programming", 1972.
func himmelblau(t float64) *Energy {
	return &Energy{
		dim: 2, Box: solvers.Box{Lower: []float64{-6.5, -6.5}, Upper: []float64{6.5, 6.5}}, LogZ: math.NaN(),
		at: func(grad, x []float64) float64 {
			a, b := x[0]*x[0]+x[1]-11, x[0]+x[1]*x[1]-7
			if grad != nil {
				grad[0], grad[1] = (4*x[0]*a+2*b)/t, (2*a+4*x[1]*b)/t
			}
			return (a*a + b*b) / t
		},
	}
}

// mullerBrown is the potential surface of K. Müller and L. D. Brown, "Location
// of saddle points and minimum energy paths by a constrained simplex optimization
// procedure", Theor. Chim. Acta 53 (1979), 75–93, at temperature t: three minima,
// of depths −146.7/t, −108.2/t and −80.8/t.
func mullerBrown(t float64) *Energy {
	terms := []struct{ height, xx, xy, yy, x, y float64 }{
		{-200, -1, 0, -10, 1, 0},
		{-100, -1, 0, -10, 0, .5},
		{-170, -6.5, 11, -6.5, -.5, 1.5},
		{15, .7, .6, .7, -1, 1},
	}
	return &Energy{
		dim: 2, Box: solvers.Box{Lower: []float64{-4, -2}, Upper: []float64{2, 4}}, LogZ: math.NaN(),
		at: func(grad, x []float64) float64 {
			var sum, sumX, sumY float64
			for _, k := range terms {
				u, v := x[0]-k.x, x[1]-k.y
				e := k.height / t * math.Exp(k.xx*u*u+k.xy*u*v+k.yy*v*v)
				sum += e
				sumX += e * (2*k.xx*u + k.xy*v)
				sumY += e * (k.xy*u + 2*k.yy*v)
			}
			if grad != nil {
				grad[0], grad[1] = sumX, sumY
			}
			return sum
		},
	}
}
