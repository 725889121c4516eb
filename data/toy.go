package data

import (
	"fmt"
	"math"
	"strings"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Set is a two-dimensional toy measure, centred, within about [−2, 2]².
type Set struct {
	name    string
	draw    func(rng *random.Stream) (x, y float64)
	support func(x, y float64) bool
}

// Toy returns the toy set of that name; an unknown name is an error that lists
// the known ones.
func Toy(name string) (Set, error) {
	for _, s := range toys {
		if s.name == name {
			return s, nil
		}
	}
	return Set{}, fmt.Errorf("unknown toy set %q; known are %s", name, strings.Join(ToyNames(), ", "))
}

// ToyNames lists the toy sets.
func ToyNames() []string {
	var names []string
	for _, s := range toys {
		names = append(names, s.name)
	}
	return names
}

// Name is the name that Toy knows the set by.
func (s Set) Name() string { return s.name }

// Sample draws n independent points as an (n, 2) batch (none for n < 0).
func (s Set) Sample(rng *random.Stream, n int) blas32.General {
	points := batch.New(max(0, n), 2)
	for i := range points.Rows {
		x, y := s.draw(rng)
		points.Data[2*i], points.Data[2*i+1] = float32(x), float32(y)
	}
	return points
}

// InSupport reports whether (x, y) is within four standard deviations of the
// set's noise from its noise-free curve (or in its area, for a set without
// noise). This is true for at least 99.9 % of the set's own points. The
// off-support mass of generated points is the share for which it is false.
func (s Set) InSupport(x, y float64) bool { return s.support(x, y) }

// supportWidth is the reach of InSupport in standard deviations: a Gaussian in
// the plane is farther out with probability e^{−8} = 0.03 %.
const supportWidth = 4

var toys = []Set{
	// Two concentric circles, the inner half as wide.
	curves("circles", .08, 2, func(arm int, t float64) (x, y float64) {
		return circle(1.6-.8*float64(arm), t)
	}),
	// Two interlocking half circles.
	curves("moons", .1, 2, func(arm int, t float64) (x, y float64) {
		y, x = math.Sincos(math.Pi * t)
		if arm == 1 {
			x, y = 1-x, .5-y
		}
		return 1.2 * (x - .5), 1.2 * (y - .25)
	}),
	curves("s-curve", .1, 1, func(_ int, t float64) (x, y float64) {
		a := 3 * math.Pi * (t - .5)
		return 1.2 * math.Sin(a), .9 * math.Copysign(1, a) * (math.Cos(a) - 1)
	}),
	// Eight Gaussians of equal weight on a circle.
	curves("8gaussians", .12, 8, func(arm int, _ float64) (x, y float64) {
		return circle(1.6, float64(arm)/8)
	}),
	pinwheel("pinwheel", 5, 1.15, .32, .1, .25),
	// Two arms of one and a half turns.
	curves("spirals", .05, 2, func(arm int, t float64) (x, y float64) {
		r := math.Sqrt(t)
		return circle(1.9*r, 1.5*r+float64(arm)/2)
	}),
	curves("swissroll", .06, 1, func(_ int, t float64) (x, y float64) {
		x, y = circle(.6+1.2*t, .75*(1+2*t))
		return x - .255, y - .027
	}),
	checkerboard("checkerboard"),
	// Four concentric circles.
	curves("rings", .05, 4, func(arm int, t float64) (x, y float64) {
		return circle(.48*float64(arm+1), t)
	}),
	blobAndRing("two-densities", .12, 1.7, .08),
}

// circle is the point at the given number of turns on a circle about 0.
func circle(radius, turns float64) (x, y float64) {
	y, x = math.Sincos(2 * math.Pi * turns)
	return radius * x, radius * y
}

// curves is f(arm, t) + sd·N(0, I) with a uniform arm and t uniform on [0, 1).
func curves(name string, sd float64, arms int, f func(arm int, t float64) (x, y float64)) Set {
	const pieces = 256
	reach := supportWidth * sd
	var path [][pieces + 1][2]float64
	for arm := range arms {
		var line [pieces + 1][2]float64
		for i := range line {
			line[i][0], line[i][1] = f(arm, float64(i)/pieces)
		}
		path = append(path, line)
	}
	return Set{
		name: name,
		draw: func(rng *random.Stream) (x, y float64) {
			x, y = f(rng.IntN(arms), rng.Float64())
			return x + sd*rng.NormFloat64(), y + sd*rng.NormFloat64()
		},
		support: func(x, y float64) bool {
			for _, line := range path {
				for i := range pieces {
					if squaredDistance(x, y, line[i], line[i+1]) <= reach*reach {
						return true
					}
				}
			}
			return false
		},
	}
}

// squaredDistance is the squared distance of (x, y) from the segment ab.
func squaredDistance(x, y float64, a, b [2]float64) float64 {
	dx, dy := b[0]-a[0], b[1]-a[1]
	x, y = x-a[0], y-a[1]
	t := 0.
	if length2 := dx*dx + dy*dy; length2 > 0 {
		t = min(max((x*dx+y*dy)/length2, 0), 1)
	}
	x, y = x-t*dx, y-t*dy
	return x*x + y*y
}

// pinwheel has arms Gaussians along rays, with mean radius radius and standard
// deviations along and across the ray. Points at radius r are turned by rate·eʳ
// radians (M. J. Johnson et al., Composing graphical models with neural
// networks, 2016).
func pinwheel(name string, arms int, radius, along, across, rate float64) Set {
	const turn = 2 * math.Pi
	return Set{
		name: name,
		draw: func(rng *random.Stream) (x, y float64) {
			u, v := radius+along*rng.NormFloat64(), across*rng.NormFloat64()
			sin, cos := math.Sincos(turn*float64(rng.IntN(arms))/float64(arms) + rate*math.Exp(math.Hypot(u, v)))
			return cos*u - sin*v, sin*u + cos*v
		},
		support: func(x, y float64) bool {
			r := math.Hypot(x, y)
			for arm := range arms {
				sin, cos := math.Sincos(-turn*float64(arm)/float64(arms) - rate*math.Exp(r))
				u, v := cos*x-sin*y, sin*x+cos*y
				if math.Hypot((u-radius)/along, v/across) <= supportWidth {
					return true
				}
			}
			return false
		},
	}
}

// checkerboard is uniform on the eight black squares of side 1 in [−2, 2]².
func checkerboard(name string) Set {
	return Set{
		name: name,
		draw: func(rng *random.Stream) (x, y float64) {
			column, pair := rng.IntN(4), rng.IntN(2)
			return float64(column-2) + rng.Float64(), float64(2*pair+column%2-2) + rng.Float64()
		},
		support: func(x, y float64) bool {
			// Rounding to float32 may take a point over an edge.
			const edge = 1e-6
			for _, at := range [][2]float64{{x - edge, y - edge}, {x - edge, y + edge}, {x + edge, y - edge}, {x + edge, y + edge}} {
				column, line := math.Floor(at[0]), math.Floor(at[1])
				if max(math.Abs(column+.5), math.Abs(line+.5)) < 2 && math.Mod(column+line, 2) == 0 {
					return true
				}
			}
			return false
		},
	}
}

// blobAndRing is half a dense Gaussian at 0 and half a noisy ring about it, of
// far lower density.
func blobAndRing(name string, blobSD, radius, ringSD float64) Set {
	return Set{
		name: name,
		draw: func(rng *random.Stream) (x, y float64) {
			if rng.IntN(2) == 0 {
				return blobSD * rng.NormFloat64(), blobSD * rng.NormFloat64()
			}
			x, y = circle(radius, rng.Float64())
			return x + ringSD*rng.NormFloat64(), y + ringSD*rng.NormFloat64()
		},
		support: func(x, y float64) bool {
			r := math.Hypot(x, y)
			return r <= supportWidth*blobSD || math.Abs(r-radius) <= supportWidth*ringSD
		},
	}
}
