package data

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// CheckIntegrable returns an error if ∫e^{−E} diverges. With the mean over
// directions u of the sphere,
//
//	ℓ(r) = log mean_u e^{−E(ru)} + d·log r,
//
// is the log of the mass per unit of log r. It must fall in the end, and is
// followed up to r = 10⁶. The directions are a thousand fixed ones and the one
// of least energy, which is searched for at each radius, so that a narrow
// valley to infinity is found in most cases.
func CheckIntegrable(e solvers.Energy) error {
	_, err := reachOf(e)
	return err
}

// FindBox returns a box outside of which e^{−E} has a negligible mass. In up to
// two dimensions it fits closely; in more it is a cube about 0. It may miss
// modes that are narrow and far apart: give the box where it is known. An E
// that is not integrable is an error.
func FindBox(e solvers.Energy) (solvers.Box, error) {
	const rounds, cells = 6, 153
	reach, err := reachOf(e)
	if err != nil {
		return solvers.Box{}, err
	}
	d := e.Dim()
	box := solvers.Box{Lower: constant(d, -reach), Upper: constant(d, reach)}
	if d > 2 {
		return box, nil
	}
	for range rounds {
		q, err := NewQuadrature(e, box, cells)
		if err != nil {
			return solvers.Box{}, err
		}
		next := q.support()
		if slices.Equal(next.Lower, box.Lower) && slices.Equal(next.Upper, box.Upper) {
			break // so are all that follow
		}
		box = next
	}
	return box, nil
}

// negligible is how far below its largest value a log density is neglected.
const negligible = 25

// reachOf is a radius beyond which every shell has a negligible mass.
func reachOf(e solvers.Energy) (radius float64, err error) {
	const first, last = -10, 20 // shells of radius 2ᵏ
	const leastFall = .05       // of ℓ, from the second-last shell to the last
	s, err := newShells(e)
	if err != nil {
		return 0, err
	}
	var mass []float64
	best := math.Inf(-1)
	for k := first; k <= last; k++ {
		l, err := s.logMass(math.Ldexp(1, k))
		if err != nil {
			return 0, err
		}
		mass = append(mass, l)
		best = max(best, l)
	}
	if math.IsInf(best, -1) {
		return 0, errors.New("the energy is +Inf or not a number wherever it was evaluated, up to |x| = 10⁶; no mass of e^{−E} was found")
	}
	n := len(mass)
	if !math.IsInf(mass[n-1], -1) && !(mass[n-1] < mass[n-2]-leastFall) {
		return 0, fmt.Errorf("e^{−E} is not integrable on ℝ^%d: in the direction %.3g the energy is %.3g at |x| = 10⁶, and the mass of shells does not fall for large |x|; "+
			"E must grow faster than %d·log|x| in every direction: add a term that confines it, such as |x|²/200", e.Dim(), s.steepest, s.lowest, e.Dim())
	}
	k := n
	for k > 1 && mass[k-1] < best-negligible {
		k--
	}
	return math.Ldexp(1, first+k), nil
}

// shells evaluates an energy on spheres about 0.
type shells struct {
	e          solvers.Energy
	rng        *random.Stream
	directions blas32.General // u, (n, d)
	steepest   []float32      // the direction of least energy on the last sphere
	lowest     float64        // that energy
}

func newShells(e solvers.Energy) (*shells, error) {
	const n = 1000
	d := e.Dim()
	if d < 1 {
		return nil, fmt.Errorf("an energy on ℝ^%d; the dimension must be at least 1", d)
	}
	s := &shells{e: e, rng: random.New(1, "directions", 0), directions: batch.New(2*d+n, d)}
	s.rng.Normals(s.directions.Data)
	for i := range s.directions.Rows {
		u := batch.Row(s.directions, i)
		switch {
		case i < 2*d: // the axes, along which valleys lie most often
			clear(u)
			u[i/2] = float32(1 - 2*(i%2))
		case d == 2: // evenly
			x, y := circle(1, (float64(i)+.5)/n)
			u[0], u[1] = float32(x), float32(y)
		}
		normalise(u)
	}
	s.steepest = make([]float32, d)
	copy(s.steepest, batch.Row(s.directions, 0))
	return s, nil
}

// logMass is ℓ(r).
func (s *shells) logMass(r float64) (float64, error) {
	value, err := s.on(r, s.directions)
	if err != nil {
		return 0, err
	}
	carried, err := s.on(r, blas32.General{Rows: 1, Cols: s.e.Dim(), Stride: s.e.Dim(), Data: s.steepest})
	if err != nil {
		return 0, err
	}
	s.lowest = carried[0]
	for i, v := range value {
		if v < s.lowest || math.IsNaN(s.lowest) {
			s.lowest = v
			copy(s.steepest, batch.Row(s.directions, i))
		}
	}
	if err := s.descend(r); err != nil {
		return 0, err
	}
	if math.IsInf(s.lowest, -1) {
		return 0, fmt.Errorf("the energy is −Inf at |x| = %.3g in the direction %.3g; E must be bounded from below", r, s.steepest)
	}
	logs := []float64{-s.lowest}
	for _, v := range value {
		if !math.IsNaN(v) {
			logs = append(logs, -v)
		}
	}
	if len(logs) == 1 && math.IsNaN(s.lowest) {
		return math.Inf(-1), nil
	}
	return floats.LogSumExp(logs) - math.Log(float64(len(logs))) + float64(s.e.Dim())*math.Log(r), nil
}

// descend looks for a direction of lower energy about the best one, in ever
// smaller circles.
func (s *shells) descend(r float64) error {
	const rounds, tries = 24, 16
	near := batch.New(tries, s.e.Dim())
	for k := range rounds {
		s.rng.Normals(near.Data)
		for i := range tries {
			u := batch.Row(near, i)
			for j := range u {
				u[j] = s.steepest[j] + u[j]*float32(math.Ldexp(.5, -k))
			}
			normalise(u)
		}
		value, err := s.on(r, near)
		if err != nil {
			return err
		}
		for i, v := range value {
			if v < s.lowest {
				s.lowest = v
				copy(s.steepest, batch.Row(near, i))
			}
		}
	}
	return nil
}

// on is E(ru) for each row u.
func (s *shells) on(r float64, directions blas32.General) ([]float64, error) {
	x := batch.New(directions.Rows, directions.Cols)
	for i, u := range directions.Data {
		x.Data[i] = float32(r * float64(u))
	}
	value := make([]float32, x.Rows)
	if err := s.e.Eval(x, value, blas32.General{}); err != nil {
		return nil, fmt.Errorf("evaluating the energy at |x| = %.3g: %w", r, err)
	}
	out := make([]float64, x.Rows)
	for i, v := range value {
		out[i] = float64(v)
	}
	return out, nil
}

func normalise(u []float32) {
	size := norm(u)
	for j := range u {
		u[j] = float32(float64(u[j]) / size)
	}
}
