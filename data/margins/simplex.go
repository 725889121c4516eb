package margins

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// Simplex learns one of K labels as a point z of R^(K−1): that label k whose
// ⟨a_k, z⟩ + Offsets[k] is largest, where the a_k are the corners of a regular
// simplex. So no label is between two others, and means that depend on labels
// are nearly linear in z. Under N(0, I) label k has the probability Masses[k],
// which is its share in the data: encoding draws z from N(0, I) within the cell.
type Simplex struct {
	Values  []float64 // of the labels; that of a missing value is the number of labels
	Null    bool      `json:",omitempty"` // the last one is that of a missing value
	Offsets []float64
	Masses  []float64
	Shares  []float64 // of the labels in the data

	corners [][]float32
}

// mostCorners limits the labels of a simplex.
const mostCorners = 12

// newSimplex makes cells for the given values, whose weights are their shares.
func newSimplex(labels []weighted, null bool, rng *random.Stream) (*Simplex, error) {
	c := &Simplex{Null: null, Offsets: make([]float64, len(labels))}
	var total float64
	for _, l := range labels {
		total += l.w
	}
	for _, l := range labels {
		c.Values, c.Shares = append(c.Values, l.v), append(c.Shares, l.w/total)
	}
	c.corners = corners(len(labels))
	const points = 50_000
	z := batch.New(points, c.dim())
	rng.Normals(z.Data)
	c.fit(z)
	c.measure(rng)
	return c, c.prepare()
}

// corners of a regular simplex about 0, at distance 1: the rows of I − 1/K in an
// orthonormal basis of the plane of sum 0 (Helmert's).
func corners(k int) [][]float32 {
	a := make([][]float32, k)
	for i := range a {
		a[i] = make([]float32, k-1)
		for j := range k - 1 {
			root := math.Sqrt(float64((j + 1) * (j + 2)))
			switch {
			case i <= j:
				a[i][j] = float32(1 / root)
			case i == j+1:
				a[i][j] = float32(-float64(j+1) / root)
			}
		}
		norm := float32(batch.Norm(a[i]))
		for j := range a[i] {
			a[i][j] /= norm
		}
	}
	return a
}

// fit chooses the offsets so that the cells hold their shares of the points z:
// the dual of optimal transport between z and the corners, concave in the
// offsets, by gradient ascent with falling steps.
func (c *Simplex) fit(z blas32.General) {
	const rounds = 300
	scores := make([][]float64, z.Rows)
	for i := range scores {
		scores[i] = make([]float64, len(c.corners))
		for k, a := range c.corners {
			scores[i][k] = batch.Inner(a, batch.Row(z, i))
		}
	}
	mass := make([]float64, len(c.corners))
	for round := range rounds {
		clear(mass)
		for _, s := range scores {
			mass[c.largest(s)] += 1 / float64(z.Rows)
		}
		step := 2 * float64(len(mass)) / (1 + .1*float64(round)) / 4
		for k := range mass {
			c.Offsets[k] += step * math.Max(-.5, math.Min(.5, c.Shares[k]-mass[k]))
		}
	}
}

// largest is the label of the largest of scores with offsets.
func (c *Simplex) largest(scores []float64) (best int) {
	for k, s := range scores {
		if s+c.Offsets[k] > scores[best]+c.Offsets[best] {
			best = k
		}
	}
	return best
}

// measure estimates the masses of the cells under N(0, I).
func (c *Simplex) measure(rng *random.Stream) {
	const points = 200_000
	c.Masses = make([]float64, len(c.corners))
	z := make([]float32, c.dim())
	for range points {
		rng.Normals(z)
		c.Masses[c.cell(z)] += 1. / points
	}
}

// cell is the label of z.
func (c *Simplex) cell(z []float32) int {
	best, highest := 0, math.Inf(-1)
	for k, a := range c.corners {
		if s := batch.Inner(a, z) + c.Offsets[k]; s > highest {
			best, highest = k, s
		}
	}
	return best
}

// corrected has its offsets moved so that labels have their shares among draws z
// of a model.
func (c *Simplex) corrected(z blas32.General) *Simplex {
	out := *c
	out.Offsets = slices.Clone(c.Offsets)
	out.fit(z)
	out.measure(random.New(0, "masses of cells", 0))
	for k := range out.Masses { // a cell that N(0, I) hardly meets can still be drawn from
		out.Masses[k] = max(out.Masses[k], 1e-6)
	}
	return &out
}

func (c *Simplex) dim() int { return len(c.Values) - 1 }

// label is the number of a value's cell, −1 if there is none.
func (c *Simplex) label(v float64) int {
	if math.IsNaN(v) {
		if c.Null {
			return len(c.Values) - 1
		}
		return -1
	}
	labels := c.Values
	if c.Null {
		labels = labels[:len(labels)-1]
	}
	for k, value := range labels {
		if value == v {
			return k
		}
	}
	return -1
}

func (c *Simplex) encode(v float64, z []float32, rng *random.Stream) (logWeight float64, err error) {
	k := c.label(v)
	if k < 0 {
		return 0, errUnseen
	}
	if rng == nil {
		copy(z, c.corners[k])
	} else {
		c.draw(k, z, rng)
	}
	// The mass is ∫ q over the cell = E[q(z)/r(z)], r = φ/mass within the cell.
	logWeight = math.Log(c.Masses[k]) + float64(len(z))/2*math.Log(2*math.Pi) + batch.SumSquares(z)/2
	return logWeight, nil
}

// draw draws z ~ N(0, I) in cell k by rejection.
func (c *Simplex) draw(k int, z []float32, rng *random.Stream) {
	const most = 100_000
	for range most {
		rng.Normals(z)
		if c.cell(z) == k {
			return
		}
	}
	copy(z, c.corners[k])
	for c.cell(z) != k { // so rare that its corner has to do
		for j := range z {
			z[j] *= 2
		}
	}
}

func (c *Simplex) decode(z []float32) float64 {
	k := c.cell(z)
	if c.Null && k == len(c.Values)-1 {
		return math.NaN()
	}
	return c.Values[k]
}

func (c *Simplex) prepare() error {
	n := len(c.Values)
	if n < 2 || n > 1000 || len(c.Offsets) != n || len(c.Masses) != n || len(c.Shares) != n {
		return fmt.Errorf("its cells have %d labels, %d offsets, %d masses and %d shares", n, len(c.Offsets), len(c.Masses), len(c.Shares))
	}
	if !batch.AllFinite(c.Offsets) || !(floats.Min(c.Masses) > 0) || math.Abs(floats.Sum(c.Masses)-1) > .01 {
		return errors.New("the masses of its cells are not positive and of sum 1")
	}
	c.corners = corners(n)
	return nil
}
