// Package target knows laws that are given exactly: the units in which a Gaussian, a mixture or
// an energy is learned, what is known of the law of an energy, and how well a model has it.
package target

import (
	"fmt"
	"math"

	"cmf/data"
	"cmf/data/units"
	"cmf/experiments/run"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/line"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// UnitsAbout are units of learning for a law with the given means and standard deviations.
// They are zero, for those of the data, if the law lies near 0 at a scale near 1; otherwise
// the law has mean 0 and deviations 1 in them. The method knows neither places nor scales:
// its particles and their conjugates are vectors of similar size.
func UnitsAbout(mean, sd []float64) units.Affine {
	for k, s := range sd {
		if !(math.Abs(mean[k]) <= max(1.25, s) && s >= .2 && s <= 5) {
			return units.Affine{Center: mean, Scale: sd}
		}
	}
	return units.Affine{}
}

// ForProblem are units for a fit.Problem: nil for those of the data.
func ForProblem(u units.Affine) units.Units {
	if u.Scale == nil {
		return nil
	}
	return u
}

// NoteUnits says in which units a law is learned, unless these are the data's.
func NoteUnits(r *run.Run, u units.Affine) {
	if u.Scale != nil {
		r.Note("The method does not know units: the law is learned minus %.6g, divided by %.6g. The potential, its Gibbs factor and maps are in these units; samples.npy is in those of the law.", u.Center, u.Scale)
	}
}

// CovarianceIn is a covariance in other units.
func CovarianceIn(cov mat.Symmetric, u units.Affine) *mat.SymDense {
	in := mat.NewSymDense(cov.SymmetricDim(), nil)
	in.CopySym(cov)
	for i := range u.Scale {
		for j := range i + 1 {
			in.SetSym(i, j, cov.At(i, j)/u.Scale[i]/u.Scale[j])
		}
	}
	return in
}

// PointIn is a point in other units.
func PointIn(mean []float64, u units.Affine) []float64 {
	in := append([]float64(nil), mean...)
	for k, s := range u.Scale {
		in[k] = (mean[k] - u.Center[k]) / s
	}
	return in
}

// MixtureIn is a mixture on the line in other units.
func MixtureIn(rho *line.Mixture, u units.Affine) (*line.Mixture, error) {
	if u.Scale == nil {
		return rho, nil
	}
	var parts []line.Component
	for _, c := range rho.Components {
		parts = append(parts, line.Component{Weight: c.Weight, Mean: (c.Mean - u.Center[0]) / u.Scale[0], SD: c.SD / u.Scale[0]})
	}
	return line.NewMixture(parts...)
}

// detail is, for each coordinate, the standard deviation of x times that of ∂E(x): 1 for a
// Gaussian of independent coordinates, by the inequality of Cramér and Rao at least 1 for any
// law, and for a mixture about how many times wider it is than its components. It knows no
// units.
func detail(e solvers.Energy, x blas32.General) (mean, sd, times []float64, err error) {
	slope := batch.New(x.Rows, x.Cols)
	if err := e.Eval(x, nil, slope); err != nil {
		return nil, nil, nil, err
	}
	var kept []int
	for i := range x.Rows {
		var sum float32
		for _, v := range batch.Row(slope, i) {
			sum += v
		}
		if sum-sum == 0 {
			kept = append(kept, i)
		}
	}
	if len(kept) < 2 {
		return nil, nil, nil, fmt.Errorf("the energy has a finite slope at %d of %d points of its law: %w", len(kept), x.Rows, potential.ErrEnergy)
	}
	mean, cov := batch.Moments(batch.Gathered(x, kept))
	_, slopes := batch.Moments(batch.Gathered(slope, kept))
	for k := range mean {
		sd = append(sd, math.Sqrt(cov.At(k, k)))
		times = append(times, math.Sqrt(cov.At(k, k)*slopes.At(k, k)))
	}
	return mean, sd, times, nil
}

// refined is the midpoint rule with so many cells that their size hardly matters, or with the
// most that are allowed; ok is false if these miss parts of the law, as modes far narrower
// than the box.
func refined(e solvers.Energy, box solvers.Box) (q *data.Quadrature, ok bool, err error) {
	const change, missing = 1e-3, .1 // of log Z from cells three times as wide
	most := map[int]int{1: 331695, 2: 1539}[e.Dim()]
	if q, err = data.RefineQuadrature(e, box, change, 0, most); err != nil {
		return nil, false, err
	}
	return q, q.Change <= missing, nil
}

// streamOfPlace is the stream by which the place of a law is found.
func streamOfPlace() *random.Stream { return random.New(1, "place", 0) }
