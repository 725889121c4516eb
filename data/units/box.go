package units

import (
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat/distuv"
)

// Box are units of points in a box, x = Lower + (Upper − Lower)⊙Φ(Center + Scale⊙z): normal
// scores of the uniform law of the box, centred and scaled. Every z has its x in the box, and a
// density on the box that does not vanish at its sides has normal tails in z.
type Box struct {
	Lower, Upper  []float64 // of each coordinate, in the data's units
	Center, Scale []float64 // in scores, and scores per unit of learning
}

// Dim implements Units.
func (u Box) Dim(d int) int { return d }

// Check implements Units.
func (u Box) Check(d int) error {
	if len(u.Lower) != d || len(u.Upper) != d || len(u.Center) != d {
		return fmt.Errorf("units of %d lower and %d upper bounds and %d centres for points of %d coordinates", len(u.Lower), len(u.Upper), len(u.Center), d)
	}
	for k, lower := range u.Lower {
		if upper := u.Upper[k]; !(lower < upper) || !batch.Finite(upper-lower) {
			return fmt.Errorf("units with coordinate %d between %g and %g; these must be finite and ascend", k+1, lower, upper)
		}
	}
	return u.scores().Check(d)
}

func (u Box) scores() Affine { return Affine{Center: u.Center, Scale: u.Scale} }

// Data implements Units.
func (u Box) Data(z blas32.General, _ *random.Stream) (blas32.General, error) {
	return each(z, u.Center, func(j int, v float64) float64 {
		lower, upper := u.Lower[j], u.Upper[j]
		x := lower + (upper-lower)*distuv.UnitNormal.CDF(u.Center[j]+u.Scale[j]*v)
		return math.Min(math.Max(x, lower), upper)
	})
}

// leastShare keeps scores of points on the sides of a box finite.
const leastShare = 1e-8

// Learning implements Units. Points beyond a side are an error.
func (u Box) Learning(x blas32.General) (blas32.General, error) {
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			// Sides as float32 has them: a point may be rounded to one.
			if j < len(u.Lower) && !(v >= float32(u.Lower[j]) && v <= float32(u.Upper[j])) {
				return x, fmt.Errorf("row %d, column %d is %v; it must be in [%g, %g]", i, j, v, u.Lower[j], u.Upper[j])
			}
		}
	}
	return each(x, u.Center, func(j int, v float64) float64 {
		share := (v - u.Lower[j]) / (u.Upper[j] - u.Lower[j])
		return (distuv.UnitNormal.Quantile(min(max(share, leastShare), 1-leastShare)) - u.Center[j]) / u.Scale[j]
	})
}

// LogVolume implements Units.
func (u Box) LogVolume(z, _ blas32.General) ([]float64, error) {
	volume := make([]float64, z.Rows)
	for i := range volume {
		for j, v := range batch.Row(z, i) {
			volume[i] -= math.Log((u.Upper[j]-u.Lower[j])*u.Scale[j]) + distuv.UnitNormal.LogProb(u.Center[j]+u.Scale[j]*float64(v))
		}
	}
	return volume, nil
}
