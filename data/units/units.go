// Package units takes points between the units in which a model is learned and those of
// the data: means and deviations, logits of pixels, principal directions.
package units

import (
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Units take points between those that a model was learned in, z, and the
// data's, x: x = Center + Scale⊙z, or for pictures x = (σ(Center + z) − α)/(1 − 2α),
// the pixels of Logit. Without Center and Alpha both are the same. A
// checkpoint holds them.
type Units struct {
	Center []float64 `json:",omitempty"` // of each coordinate, in the data's units; of pictures in logits
	Scale  []float64 `json:",omitempty"` // positive, in the data's units per unit of learning

	Alpha         float64 `json:",omitempty"` // α of pixels; 0 where points are not pictures
	Height, Width int     `json:",omitempty"` // of a picture: d is H·W grey values or 3·H·W of colour

	// Columns name the coordinates of points that came from a table; its samples
	// are written as a table too. Table tells that of one without names.
	Columns []string `json:",omitempty"`
	Table   bool     `json:",omitempty"`

	// principal are the directions, of pictures' logits, of which z are the leading
	// coordinates; those beyond are normal and independent of z. A checkpoint holds
	// them as arrays. nil where z are all coordinates.
	Principal *Principal
}

// Dim is the dimension of the data for a model of dimension d.
func (u *Units) Dim(d int) int {
	if u.Principal != nil {
		return len(u.Principal.Mean)
	}
	return d
}

// Check says what is wrong with units of a model of dimension d.
func (u *Units) Check(d int) error {
	d = u.Dim(d)
	switch area := u.Height * u.Width; {
	case u.Alpha == 0 && len(u.Center) != len(u.Scale) || len(u.Center) != 0 && len(u.Center) != d:
		return fmt.Errorf("units of %d centres and %d scales for points of %d coordinates", len(u.Center), len(u.Scale), d)
	case !batch.AllFinite(u.Center) || !batch.AllFinite(u.Scale):
		return fmt.Errorf("units with centres %v and scales %v; they must be finite", u.Center, u.Scale)
	case len(u.Columns) != 0 && len(u.Columns) != d:
		return fmt.Errorf("names of %d columns for points of %d coordinates", len(u.Columns), d)
	case u.Alpha != 0 && (!(u.Alpha > 0 && u.Alpha < .5) || u.Scale != nil):
		return fmt.Errorf("units of pixels with α = %g and %d scales; α must be between 0 and 0.5, without scales", u.Alpha, len(u.Scale))
	case u.Principal != nil && (u.Alpha == 0 || u.Center != nil):
		return errors.New("units of principal directions without the α of pixels, or with centres besides their own")
	case u.Height < 0 || u.Width < 0 || u.Height > d || u.Width > d || area != 0 && area != d && 3*area != d:
		return fmt.Errorf("pictures of %d×%d pixels for points of %d coordinates", u.Height, u.Width, d)
	}
	for k, s := range u.Scale {
		if !(s > 0) {
			return fmt.Errorf("units with the scale %g of coordinate %d; it must be positive", s, k+1)
		}
	}
	return nil
}

// Data takes points z, (n, d), to the data's units; coordinates that z leaves open
// have their mean.
func (u *Units) Data(z blas32.General) (blas32.General, error) { return u.Sample(z, nil) }

// Sample takes points z, (n, d), to the data's units; coordinates that z leaves
// open are drawn.
func (u *Units) Sample(z blas32.General, rng *random.Stream) (blas32.General, error) {
	switch {
	case u.Principal != nil && z.Cols != u.Principal.Learned:
		return z, fmt.Errorf("points of %d coordinates in units of %d principal ones", z.Cols, u.Principal.Learned)
	case u.Principal != nil:
		z = u.Principal.Restored(u.Principal.Lift(z, 1./2, rng))
		return z, Logit{Alpha: u.Alpha}.Inverse(z, z)
	case u.Alpha > 0:
		x, err := u.uncentred(z)
		if err != nil {
			return x, err
		}
		return x, Logit{Alpha: u.Alpha}.Inverse(x, x)
	}
	return u.each(z, func(j int, v float64) float64 { return u.Center[j] + u.Scale[j]*v })
}

// Learning takes points x of the data, (n, d), to the units of learning. Pixels
// beyond [0, 1] are an error; they are not dequantised.
func (u *Units) Learning(x blas32.General) (blas32.General, error) {
	if u.Alpha == 0 {
		return u.each(x, func(j int, v float64) float64 { return (v - u.Center[j]) / u.Scale[j] })
	}
	z := batch.New(x.Rows, x.Cols)
	if err := (Logit{Alpha: u.Alpha}).Forward(z, x, nil); err != nil {
		return z, err
	}
	if u.Principal == nil {
		return u.Centred(z)
	}
	if x.Cols != len(u.Principal.Mean) {
		return z, fmt.Errorf("points of %d coordinates in units of %d", x.Cols, len(u.Principal.Mean))
	}
	return u.Principal.Coordinates(batch.Shifted(z, u.Principal.Mean), u.Principal.Learned), nil
}

// LogRest is the log density of what z leaves open of x, with log |det| of the
// change of pixels' units: what a density of z lacks to be one of x.
func (u *Units) LogRest(x blas32.General) ([]float64, error) {
	logits, volume := batch.New(x.Rows, x.Cols), make([]float64, x.Rows)
	transform := Logit{Alpha: u.Alpha}
	if err := transform.Forward(logits, x, nil); err != nil {
		return nil, err
	}
	if err := transform.LogDetJacobian(volume, logits); err != nil {
		return nil, err
	}
	for i, v := range u.Principal.logRest(batch.Shifted(logits, u.Principal.Mean)) {
		volume[i] += v
	}
	return volume, nil
}

// Centred and uncentred are logits less Center, and back.
func (u *Units) Centred(logits blas32.General) (blas32.General, error) {
	return u.each(logits, func(j int, v float64) float64 { return v - u.Center[j] })
}

func (u *Units) uncentred(z blas32.General) (blas32.General, error) {
	return u.each(z, func(j int, v float64) float64 { return v + u.Center[j] })
}

// each is a copy of x with the units of every coordinate changed.
func (u *Units) each(x blas32.General, change func(j int, v float64) float64) (blas32.General, error) {
	out := batch.New(x.Rows, x.Cols)
	if u.Center != nil && x.Cols != len(u.Center) {
		return out, fmt.Errorf("points of %d coordinates in units of %d", x.Cols, len(u.Center))
	}
	for i := range x.Rows {
		to := batch.Row(out, i)
		copy(to, batch.Row(x, i))
		for j := range u.Center {
			to[j] = float32(change(j, float64(to[j])))
		}
	}
	return out, nil
}

// LogVolume is log |det ∂z/∂x| at each row of z, by which a density of z becomes
// one of x.
func (u *Units) LogVolume(z blas32.General) ([]float64, error) {
	volume := make([]float64, z.Rows)
	if u.Alpha > 0 {
		logits, err := u.uncentred(z)
		if err != nil {
			return nil, err
		}
		return volume, Logit{Alpha: u.Alpha}.LogDetJacobian(volume, logits)
	}
	var sum float64
	for _, s := range u.Scale {
		sum -= math.Log(s)
	}
	for i := range volume {
		volume[i] = sum
	}
	return volume, nil
}

// Name is that of coordinate j, counted from 0.
func (u *Units) Name(j int) string {
	if u.Columns != nil {
		return u.Columns[j]
	}
	return fmt.Sprintf("x%d", j+1)
}
