package margins

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/data/table"
	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// Column says how one column of a table is learned. At most one of its laws is
// set.
type Column struct {
	table.Column // without values

	Affine  *Affine  `json:",omitempty"`
	Scores  *Scores  `json:",omitempty"`
	Simplex *Simplex `json:",omitempty"`
	Circle  *Circle  `json:",omitempty"`

	// Columns that are not learned: Constant has the value of all rows, Linear and
	// Lookup say how other columns determine it.
	Constant *Constant `json:",omitempty"`
	Linear   *Linear   `json:",omitempty"`
	Lookup   *Lookup   `json:",omitempty"`

	Low, High *float64 `json:",omitempty"` // bounds of the values; nil for none
}

// coordinates are the law of a learned column: a map between its values and a
// few coordinates of learning.
type coordinates interface {
	// dim is the number of coordinates.
	dim() int

	// encode writes the coordinates of v to z. It draws what v leaves open; a nil
	// stream takes the middle. The density of v, or its probability, is the mean
	// of q(z)·e^logWeight over these draws, where q is the density of z. With cover
	// the draws reach wherever v may come from, also where the data's never are.
	encode(v float64, z []float32, rng *random.Stream, cover bool) (logWeight float64, err error)

	// decode is the value at z.
	decode(z []float32) float64

	prepare() error
}

// Dim is the number of coordinates of learning of the column.
func (c *Column) Dim() int {
	if law := c.law(); law != nil {
		return law.dim()
	}
	return 0
}

// Missing says whether values of the column may be missing.
func (c *Column) Missing() bool {
	switch {
	case c.Constant != nil:
		return c.Constant.Null
	case c.Simplex != nil:
		return c.Simplex.Null
	case c.Lookup != nil:
		return c.Lookup.Null >= 0 || slices.Contains(c.Lookup.Labels, -1)
	}
	return slices.ContainsFunc(c.atoms(), func(p Piece) bool { return p.Null })
}

var errUnseen = errors.New("it was not seen in learning")

// law is how a column is learned, nil if it is not.
func (c *Column) law() coordinates {
	switch {
	case c.Affine != nil:
		return c.Affine
	case c.Scores != nil:
		return c.Scores
	case c.Simplex != nil:
		return c.Simplex
	case c.Circle != nil:
		return c.Circle
	}
	return nil
}

// Learned says whether the column has coordinates of learning.
func (c *Column) Learned() bool { return c.law() != nil }

// Affine is x = Center + Scale·z.
type Affine struct{ Center, Scale float64 }

func (c *Affine) dim() int { return 1 }

func (c *Affine) encode(v float64, z []float32, _ *random.Stream, _ bool) (float64, error) {
	if math.IsNaN(v) {
		return 0, errUnseen
	}
	z[0] = float32((v - c.Center) / c.Scale)
	return -math.Log(c.Scale), nil
}

func (c *Affine) decode(z []float32) float64 { return c.Center + c.Scale*float64(z[0]) }

func (c *Affine) prepare() error {
	if !batch.Finite(c.Center) || !(c.Scale > 0) || math.IsInf(c.Scale, 0) {
		return fmt.Errorf("its centre is %g and its scale %g; they must be finite, and the scale positive", c.Center, c.Scale)
	}
	return nil
}

// Circle is an angle, learned as the point (r·cos θ, r·sin θ) with
// θ = 2π·(x − Low)/(High − Low). The radius is drawn, log r ~ N(0, σ²), so that
// the law has a density in the plane.
type Circle struct{ Low, High, Step float64 }

const circleSpread = .25 // σ

func (c *Circle) dim() int { return 2 }

func (c *Circle) encode(v float64, z []float32, rng *random.Stream, _ bool) (float64, error) {
	if math.IsNaN(v) {
		return 0, errUnseen
	}
	volume := math.Log(2 * math.Pi / (c.High - c.Low))
	if c.Step > 0 {
		v += c.Step * (inner(rng) - .5)
		volume += math.Log(c.Step)
	}
	var e float64
	if rng != nil {
		e = rng.NormFloat64()
	}
	r := math.Exp(circleSpread * e)
	sin, cos := math.Sincos(2 * math.Pi * (v - c.Low) / (c.High - c.Low))
	z[0], z[1] = float32(r*cos), float32(r*sin)
	// p(θ) = ∫ q·r dr = E[q·r/density of r], and the density of r is φ(e)/(σ·r).
	return volume + 2*math.Log(r) + math.Log(circleSpread*math.Sqrt(2*math.Pi)) + e*e/2, nil
}

func (c *Circle) decode(z []float32) float64 {
	turn := math.Atan2(float64(z[1]), float64(z[0])) / (2 * math.Pi)
	if turn < 0 {
		turn++
	}
	v := c.Low + turn*(c.High-c.Low)
	if c.Step > 0 {
		v = math.Round(v/c.Step) * c.Step
	}
	if v >= c.High {
		v = c.Low
	}
	return v
}

func (c *Circle) prepare() error {
	if !batch.AllFinite([]float64{c.Low, c.High, c.Step}) || !(c.High > c.Low) || c.Step < 0 {
		return fmt.Errorf("its circle goes from %g to %g by %g", c.Low, c.High, c.Step)
	}
	return nil
}

// Constant is the value of all rows, or that of missing ones.
type Constant struct {
	Value float64
	Null  bool `json:",omitempty"`
}

// Linear is x = Offset + Σ_k Weights[k]·(column From[k]) + Spread·ξ, ξ ~ N(0, 1).
type Linear struct {
	Offset  float64
	From    []int
	Weights []float64
	Spread  float64
}

// Lookup is a label that another column's label determines: Labels[k] belongs
// to label k of the column From, and Null where it is missing.
type Lookup struct {
	From   int
	Labels []int
	Null   int // −1 for a missing value, as in Labels
}
