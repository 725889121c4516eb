package line

import (
	"math"
	"sort"
)

// spline is a nondecreasing function y on ℝ made of cubic Hermite pieces, with its
// integral. Beyond its nodes it is a straight line.
type spline struct {
	x, y, slope []float64
	sum         []float64 // ∫y from the first node
}

// newSpline has the nodes x, in ascending order; the caller fills y and slope.
func newSpline(x []float64) *spline {
	n := len(x)
	return &spline{x, make([]float64, n), make([]float64, n), make([]float64, n)}
}

// integrate makes the pieces monotone and fills sum. Pieces are monotone if each slope is
// at most three times those of both chords: Fritsch and Carlson, "Monotone piecewise
// cubic interpolation", SIAM J. Numer. Anal. 17(2), 1980.
func (s *spline) integrate() {
	chord := func(i int) float64 { return max(0, (s.y[i+1]-s.y[i])/(s.x[i+1]-s.x[i])) }
	last := len(s.x) - 1
	for i := range last {
		s.slope[i] = min(s.slope[i], 3*chord(i))
		s.slope[i+1] = min(s.slope[i+1], 3*chord(i))
	}
	s.sum[0] = 0
	for i := range last {
		h := s.x[i+1] - s.x[i]
		s.sum[i+1] = s.sum[i] + h*(s.y[i]+s.y[i+1])/2 + h*h*(s.slope[i]-s.slope[i+1])/12
	}
}

// piece is ∫y, y and y′ at the fraction t of the way from node i to the next.
func (s *spline) piece(i int, t float64) (sum, y, slope float64) {
	h := s.x[i+1] - s.x[i]
	rise, a, b := s.y[i+1]-s.y[i], h*s.slope[i], h*s.slope[i+1]
	// y = y_i + a·t + quad·t² + cube·t³
	quad, cube := 3*rise-2*a-b, a+b-2*rise
	y = s.y[i] + t*(a+t*(quad+t*cube))
	slope = (a + t*(2*quad+t*3*cube)) / h
	sum = s.sum[i] + h*t*(s.y[i]+t*(a/2+t*(quad/3+t*cube/4)))
	return sum, y, slope
}

// eval is ∫y, y and y′ at x.
func (s *spline) eval(x float64) (sum, y, slope float64) {
	last := len(s.x) - 1
	i := sort.SearchFloat64s(s.x, x) - 1
	if i < 0 || i >= last {
		i = min(max(i, 0), last)
		d := x - s.x[i]
		return s.sum[i] + d*(s.y[i]+d*s.slope[i]/2), s.y[i] + d*s.slope[i], s.slope[i]
	}
	return s.piece(i, (x-s.x[i])/(s.x[i+1]-s.x[i]))
}

func (s *spline) at(x float64) float64 { _, y, _ := s.eval(x); return y }

// inverse is the x with y(x) = y; in a flat stretch it is any such x.
func (s *spline) inverse(y float64) float64 {
	last := len(s.x) - 1
	i := sort.SearchFloat64s(s.y, y) - 1
	if i < 0 || i >= last {
		i = min(max(i, 0), last)
		return s.x[i] + (y-s.y[i])/s.slope[i]
	}
	lo, hi := 0., 1.
	for range 60 {
		t := (lo + hi) / 2
		if _, at, _ := s.piece(i, t); at < y {
			lo = t
		} else {
			hi = t
		}
	}
	return s.x[i] + (lo+hi)/2*(s.x[i+1]-s.x[i])
}

// hermite is the cubic on [0, 1] with the given values and slopes at the ends.
func hermite(t, y0, slope0, y1, slope1 float64) float64 {
	rise := y1 - y0
	return y0 + t*(slope0+t*(3*rise-2*slope0-slope1+t*(slope0+slope1-2*rise)))
}

// The nodes and weights of the Gauss–Legendre rule with four nodes, on [0, 1].
var (
	gaussNodes   = [4]float64{.06943184420297371, .33000947820757187, .6699905217924281, .9305681557970263}
	gaussWeights = [4]float64{.17392742256872692, .32607257743127307, .32607257743127307, .17392742256872692}
)

// steepNode is node k, with its weight, of the Gauss–Legendre rule for e^{−rise·t} on
// [0, 1]. If the exponential is steep, the rule is in the variable that makes it flat.
func steepNode(k int, rise float64) (t, weight float64) {
	v, weight := gaussNodes[k], gaussWeights[k]
	steep := math.Abs(rise)
	if steep < 1 {
		return v, weight
	}
	fall := -math.Expm1(-steep)
	t, weight = -math.Log1p(-v*fall)/steep, weight*fall/(steep*(1-v*fall))
	if rise < 0 {
		t = 1 - t
	}
	return t, weight
}
