//go:build !js

package data

import (
	"math"
	"sync"

	"cmf/data/units"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// InUnits is the energy z ↦ E(Center + Scale⊙z): the law of z where x has the law of e. Zero
// units return e. An *Energy gives an *Energy, which computes the points x and its draws in
// float64, so that a law far from 0 loses no digits; points of other energies are rounded to
// float32.
func InUnits(e solvers.Energy, u units.Affine) (solvers.Energy, error) {
	if err := u.Check(e.Dim()); err != nil {
		return nil, err
	}
	if len(u.Scale) == 0 {
		return e, nil
	}
	known, ok := e.(*Energy)
	if !ok {
		return rescaled{e, u}, nil
	}
	volume := LogScale(u)
	in := &Energy{Name: known.Name, dim: known.dim, LogZ: known.LogZ - volume}
	scratch := sync.Pool{New: func() any { x := make([]float64, known.dim); return &x }}
	in.at = func(grad, z []float64) float64 {
		x := scratch.Get().(*[]float64)
		defer scratch.Put(x)
		for j, v := range z {
			(*x)[j] = u.Center[j] + u.Scale[j]*v
		}
		v := known.at(grad, *x)
		for j := range grad {
			grad[j] *= u.Scale[j]
		}
		return v
	}
	if known.Box.Lower != nil {
		in.Box = BoxInUnits(known.Box, u)
	}
	switch {
	case known.wide != nil:
		in.wide = func(n int, rng *random.Stream) []float64 {
			x := known.wide(n, rng)
			for i := range x {
				j := i % known.dim
				x[i] = (x[i] - u.Center[j]) / u.Scale[j]
			}
			return x
		}
		in.Draw = in.narrowed
	case known.Draw != nil:
		in.Draw = func(n int, rng *random.Stream) blas32.General {
			x := known.Draw(n, rng)
			for i := range x.Rows {
				for j, v := range batch.Row(x, i) {
					batch.Row(x, i)[j] = float32((float64(v) - u.Center[j]) / u.Scale[j])
				}
			}
			return x
		}
	}
	return in, nil
}

// BoxInUnits is a box of x in the units of z.
func BoxInUnits(b solvers.Box, u units.Affine) solvers.Box {
	in := solvers.Box{Lower: append([]float64(nil), b.Lower...), Upper: append([]float64(nil), b.Upper...)}
	for j, s := range u.Scale {
		in.Lower[j], in.Upper[j] = (b.Lower[j]-u.Center[j])/s, (b.Upper[j]-u.Center[j])/s
	}
	return in
}

// LogScale is Σ log Scale_j, the log volume of x for a unit of volume of z.
func LogScale(u units.Affine) (sum float64) {
	for _, s := range u.Scale {
		sum += math.Log(s)
	}
	return sum
}

// rescaled is an energy in other units.
type rescaled struct {
	solvers.Energy
	u units.Affine
}

// Eval implements solvers.Energy.
func (r rescaled) Eval(z blas32.General, value []float32, grad blas32.General) error {
	x, err := r.u.Data(z, nil)
	if err != nil {
		return err
	}
	if err := r.Energy.Eval(x, value, grad); err != nil {
		return err
	}
	for i := range grad.Rows {
		for j := range grad.Cols {
			batch.Row(grad, i)[j] *= float32(r.u.Scale[j])
		}
	}
	return nil
}
