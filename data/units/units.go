// Package units converts points between the units in which a model is learned
// and those of the data: Affine for points, Box for points in a box, margins.Margins
// for tables, Pixels for pictures, and Principal for pictures in which only the
// leading directions are learned. Form says how points of the data are stored and
// shown.
package units

import (
	"fmt"
	"math"

	"cmf/data/margins"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Units convert points between the units of learning, z, and those of the data,
// x.
type Units interface {
	// Dim is the dimension of x for z of dimension d.
	Dim(d int) int

	// Check says what is wrong with the units for z of dimension d.
	Check(d int) error

	// Data converts z, (n, d), to x. Coordinates of x that z leaves open are
	// drawn, or have their mean where rng is nil.
	Data(z blas32.General, rng *random.Stream) (x blas32.General, err error)

	// Learning converts x to z. It is an error where x has no z, for example a
	// grey value outside of [0, 1].
	Learning(x blas32.General) (z blas32.General, err error)

	// LogVolume is added to the log density at each row of z to give the log
	// density at the same row of x, in nats: log |det ∂z/∂x| plus the log
	// density of what z leaves open. Only units that leave something open read
	// x.
	LogVolume(z, x blas32.General) ([]float64, error)
}

var (
	_ Units = Affine{}
	_ Units = Box{}
	_ Units = Pixels{}
	_ Units = (*Principal)(nil)
	_ Units = (*margins.Margins)(nil)
)

// Affine units are x = Center + Scale⊙z. The zero value leaves points as they are.
type Affine struct {
	Center []float64 // of each coordinate, in the data's units
	Scale  []float64 // positive, in the data's units per unit of learning
}

// Dim implements Units.
func (u Affine) Dim(d int) int { return d }

// Check implements Units.
func (u Affine) Check(d int) error {
	switch {
	case len(u.Center) != len(u.Scale) || len(u.Center) != 0 && len(u.Center) != d:
		return fmt.Errorf("units of %d centres and %d scales for points of %d coordinates", len(u.Center), len(u.Scale), d)
	case !batch.AllFinite(u.Center) || !batch.AllFinite(u.Scale):
		return fmt.Errorf("units with centres %v and scales %v; they must be finite", u.Center, u.Scale)
	}
	for k, s := range u.Scale {
		if !(s > 0) {
			return fmt.Errorf("units with the scale %g of coordinate %d; it must be positive", s, k+1)
		}
	}
	return nil
}

// Data implements Units.
func (u Affine) Data(z blas32.General, _ *random.Stream) (blas32.General, error) {
	return each(z, u.Center, func(j int, v float64) float64 { return u.Center[j] + u.Scale[j]*v })
}

// Learning implements Units.
func (u Affine) Learning(x blas32.General) (blas32.General, error) {
	return each(x, u.Center, func(j int, v float64) float64 { return (v - u.Center[j]) / u.Scale[j] })
}

// LogVolume implements Units.
func (u Affine) LogVolume(z, _ blas32.General) ([]float64, error) {
	volume := make([]float64, z.Rows)
	var sum float64
	for _, s := range u.Scale {
		sum -= math.Log(s)
	}
	for i := range volume {
		volume[i] = sum
	}
	return volume, nil
}

// Pixels are units of pictures, x = (σ(Center + z) − α)/(1 − 2α): logits less Center.
type Pixels struct {
	Alpha  float64   // α, between 0 and ½
	Center []float64 // of each pixel, in logits; nil for 0
}

// Dim implements Units.
func (u Pixels) Dim(d int) int { return d }

// Check implements Units.
func (u Pixels) Check(d int) error {
	switch {
	case !(u.Alpha > 0 && u.Alpha < .5):
		return fmt.Errorf("units of pixels with α = %g; it must be between 0 and 0.5", u.Alpha)
	case len(u.Center) != 0 && len(u.Center) != d:
		return fmt.Errorf("units of pixels with %d centres for points of %d coordinates", len(u.Center), d)
	case !batch.AllFinite(u.Center):
		return fmt.Errorf("units of pixels with centres %v; they must be finite", u.Center)
	}
	return nil
}

// Data implements Units.
func (u Pixels) Data(z blas32.General, _ *random.Stream) (blas32.General, error) {
	x, err := u.logits(z)
	if err != nil {
		return x, err
	}
	return x, Logit{Alpha: u.Alpha}.Inverse(x, x)
}

// Learning implements Units. Pixels are not dequantised.
func (u Pixels) Learning(x blas32.General) (blas32.General, error) { return u.Dequantised(x, nil) }

// Dequantised converts pictures x to z. rng spreads their grey levels as in
// Logit.Forward.
func (u Pixels) Dequantised(x blas32.General, rng *random.Stream) (blas32.General, error) {
	z := batch.New(x.Rows, x.Cols)
	if err := (Logit{Alpha: u.Alpha}).Forward(z, x, rng); err != nil {
		return z, err
	}
	return each(z, u.Center, func(j int, v float64) float64 { return v - u.Center[j] })
}

// LogVolume implements Units.
func (u Pixels) LogVolume(z, _ blas32.General) ([]float64, error) {
	logits, err := u.logits(z)
	if err != nil {
		return nil, err
	}
	volume := make([]float64, z.Rows)
	return volume, Logit{Alpha: u.Alpha}.LogDetJacobian(volume, logits)
}

func (u Pixels) logits(z blas32.General) (blas32.General, error) {
	return each(z, u.Center, func(j int, v float64) float64 { return v + u.Center[j] })
}

// each returns a copy of x with change applied to every coordinate that has a
// centre.
func each(x blas32.General, center []float64, change func(j int, v float64) float64) (blas32.General, error) {
	out := batch.New(x.Rows, x.Cols)
	if center != nil && x.Cols != len(center) {
		return out, fmt.Errorf("points of %d coordinates in units of %d", x.Cols, len(center))
	}
	for i := range x.Rows {
		to := batch.Row(out, i)
		copy(to, batch.Row(x, i))
		for j := range center {
			to[j] = float32(change(j, float64(to[j])))
		}
	}
	return out, nil
}
