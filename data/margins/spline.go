package margins

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/interp"
)

// Spline is an increasing function of one variable: cubic and continuously
// differentiable between its knots, with the slopes of F. N. Fritsch and J. Butland
// (SIAM J. Sci. Stat. Comput. 5, 1984). Beyond its knots it is linear, or
// approaches Low and High exponentially where these are given.
type Spline struct {
	S, X, Slopes []float64  // X_k = f(S_k); both increase strictly
	Tails        [2]float64 // slopes at and beyond the ends
	Low, High    *float64   `json:",omitempty"`
}

// newSpline interpolates strictly increasing points.
func newSpline(s, x []float64, low, high *float64) (*Spline, error) {
	f := &Spline{S: s, X: x, Low: low, High: high}
	if len(s) == 1 {
		return nil, errors.New("a spline through one point; it takes at least two")
	}
	// Slopes are products of slopes: in a unit near the span these neither overflow nor vanish.
	_, exponent := math.Frexp(x[len(x)-1] - x[0])
	unit := make([]float64, len(x))
	for k, v := range x {
		unit[k] = math.Ldexp(v, -exponent)
	}
	var fit interp.FritschButland
	if err := fit.Fit(s, unit); err != nil {
		return nil, err
	}
	f.Slopes = make([]float64, len(s))
	for k, at := range s {
		f.Slopes[k] = math.Ldexp(fit.PredictDerivative(at), exponent)
	}
	// The formula for the ends may give 0, which has no inverse.
	for _, k := range []int{0, len(s) - 1} {
		from := min(k, len(s)-2)
		f.Slopes[k] = max(f.Slopes[k], .1*(x[from+1]-x[from])/(s[from+1]-s[from]))
	}
	// The outermost knots are single values. A slope between two of them says little
	// about what lies beyond, so that of a few knots is taken.
	const few = 6
	last := len(s) - 1
	inner := min(few, last)
	f.Tails[0] = (x[inner] - x[0]) / (s[inner] - s[0])
	f.Tails[1] = (x[last] - x[last-inner]) / (s[last] - s[last-inner])
	return f, f.check()
}

// check says what is wrong with a spline from a file.
func (f *Spline) check() error {
	n := len(f.S)
	if n < 2 || len(f.X) != n || len(f.Slopes) != n {
		return fmt.Errorf("a spline of %d, %d and %d numbers; it takes equally many, at least two", n, len(f.X), len(f.Slopes))
	}
	for k := range n {
		if k > 0 && !(f.S[k] > f.S[k-1] && f.X[k] > f.X[k-1]) || !(f.Slopes[k] > 0) ||
			!batch.AllFinite([]float64{f.S[k], f.X[k], f.Slopes[k]}) {
			return fmt.Errorf("a spline that does not increase at its knot %d, (%g, %g) with slope %g", k+1, f.S[k], f.X[k], f.Slopes[k])
		}
	}
	if !(f.Tails[0] > 0 && f.Tails[1] > 0) || !batch.AllFinite(f.Tails[:]) {
		return fmt.Errorf("a spline whose tails have the slopes %g", f.Tails)
	}
	if f.Low != nil && !(*f.Low < f.X[0]) || f.High != nil && !(*f.High > f.X[n-1]) {
		return errors.New("a spline beyond its bounds")
	}
	return nil
}

// at is f(s) and f'(s).
func (f *Spline) at(s float64) (x, slope float64) {
	last := len(f.S) - 1
	switch {
	case s < f.S[0]:
		return tail(f.X[0], f.Tails[0], f.S[0]-s, f.Low, -1)
	case s > f.S[last]:
		return tail(f.X[last], f.Tails[1], s-f.S[last], f.High, 1)
	}
	k := min(sort.SearchFloat64s(f.S, s), last)
	return f.within(max(k-1, 0), s)
}

// tail is the value at a distance beyond the last knot, in the direction of sign.
func tail(x, slope, distance float64, bound *float64, sign float64) (value, derivative float64) {
	if bound == nil {
		return x + sign*slope*distance, slope
	}
	gap := math.Abs(*bound - x)
	decay := math.Exp(-slope * distance / gap)
	return *bound - sign*gap*decay, max(slope*decay, math.SmallestNonzeroFloat64)
}

// within is the cubic between knots k and k+1.
func (f *Spline) within(k int, s float64) (x, slope float64) {
	h := f.S[k+1] - f.S[k]
	t := (s - f.S[k]) / h
	rise, a, b := f.X[k+1]-f.X[k], f.Slopes[k]*h, f.Slopes[k+1]*h
	// X_k + t·a + t²·(3·rise − 2a − b) + t³·(a + b − 2·rise)
	quadratic, cubic := 3*rise-2*a-b, a+b-2*rise
	return f.X[k] + t*(a+t*(quadratic+t*cubic)), (a + t*(2*quadratic+t*3*cubic)) / h
}

// inverse is s with f(s) = x, and f'(s).
func (f *Spline) inverse(x float64) (s, slope float64) {
	last := len(f.X) - 1
	switch {
	case x < f.X[0]:
		distance, slope := untail(f.X[0], f.Tails[0], f.X[0]-x, f.Low)
		return f.S[0] - distance, slope
	case x > f.X[last]:
		distance, slope := untail(f.X[last], f.Tails[1], x-f.X[last], f.High)
		return f.S[last] + distance, slope
	}
	k := max(min(sort.SearchFloat64s(f.X, x), last)-1, 0)
	low, high := f.S[k], f.S[k+1]
	s = low + (high-low)*(x-f.X[k])/(f.X[k+1]-f.X[k])
	for range 60 { // Newton's method, kept within a bracket
		value, slope := f.within(k, s)
		if value > x {
			high = s
		} else {
			low = s
		}
		next := s - (value-x)/slope
		if !(next > low && next < high) {
			next = (low + high) / 2
		}
		if done := math.Abs(next-s) <= 1e-13*(1+math.Abs(s)); done {
			s = next
			break
		}
		s = next
	}
	_, slope = f.within(k, s)
	return s, max(slope, math.SmallestNonzeroFloat64)
}

// untail is the distance of tail for a value, and the slope there. Values at or
// beyond a bound have the distance of one just within it.
func untail(x, slope, distance float64, bound *float64) (along, derivative float64) {
	if bound == nil {
		return distance / slope, slope
	}
	gap := math.Abs(*bound - x)
	left := max(1-distance/gap, 1e-12)
	return -math.Log(left) * gap / slope, slope * left
}

// increasing drops points so that s and x increase strictly by clear steps.
func increasing(s, x []float64) (ss, xx []float64) {
	if len(s) == 0 {
		return nil, nil
	}
	step := 1e-9 * (slices.Max(x) - slices.Min(x))
	for k := range s {
		n := len(ss)
		if n == 0 || s[k] > ss[n-1]+1e-9 && x[k] > xx[n-1]+max(step, 1e-13*math.Abs(x[k])) {
			ss, xx = append(ss, s[k]), append(xx, x[k])
		}
	}
	return ss, xx
}
