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

// Simplex learns one of K labels as a point z near one of the K corners of a
// regular simplex in R^(K−1), N(r·a_k, σ²I) for label k. So no label is between
// two others, means that depend on labels are linear in z, and the gaps between
// the corners keep labels apart. A point has the label k whose ⟨a_k, z⟩ +
// Offsets[k] is largest.
type Simplex struct {
	Values  []float64 // of the labels; that of a missing value is the number of labels
	Null    bool      `json:",omitempty"` // the last one is that of a missing value
	Shares  []float64 // of the labels in the data
	Offsets []float64

	corners [][]float32 // a_k
	inside  []float64   // log share of the draws that cover cell k that are within it
}

// The distance of the corners from 0 and the deviation about them. Labels of
// tables with few rows were best predicted by what they come with for these;
// smaller gaps blur them, and sharper peaks are learned less well.
const (
	cornerRadius = 1.5
	cornerSpread = .3
)

// mostCorners limits the labels of a simplex.
const mostCorners = 12

// newSimplex has the given values, whose weights are their shares.
func newSimplex(labels []weighted, null bool) (*Simplex, error) {
	c := &Simplex{Null: null, Offsets: make([]float64, len(labels))}
	var total float64
	for _, l := range labels {
		total += l.w
	}
	for _, l := range labels {
		c.Values, c.Shares = append(c.Values, l.v), append(c.Shares, l.w/total)
	}
	return c, c.prepare()
}

// corners of a regular simplex about 0, at distance 1: Helmert's orthonormal
// basis of the vectors of sum 0.
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

// corrected has its offsets moved so that labels have their shares among draws z
// of a model: the dual of optimal transport between z and the corners, concave
// in the offsets, by ascent with falling steps.
func (c *Simplex) corrected(z blas32.General) (*Simplex, error) {
	const rounds = 200
	out := *c
	out.Offsets = slices.Clone(c.Offsets)
	mass := make([]float64, len(c.corners))
	for round := range rounds {
		clear(mass)
		for i := range z.Rows {
			mass[out.cell(batch.Row(z, i))] += 1 / float64(z.Rows)
		}
		step := 4 / (1 + .1*float64(round))
		for k := range mass {
			out.Offsets[k] += step * (c.Shares[k] - mass[k])
		}
	}
	return &out, out.prepare()
}

// cell is the number of the label of z.
func (c *Simplex) cell(z []float32) int {
	best, highest := 0, math.Inf(-1)
	for k, a := range c.corners {
		if s := batch.Inner(a, z) + c.Offsets[k]; s > highest {
			best, highest = k, s
		}
	}
	return best
}

func (c *Simplex) dim() int { return len(c.Values) - 1 }

// label is the number of a value's cell, −1 if there is none.
func (c *Simplex) label(v float64) int {
	labels, null := c.Values, -1
	if c.Null {
		null = len(labels) - 1
		labels = labels[:null]
	}
	if math.IsNaN(v) {
		return null
	}
	return slices.Index(labels, v)
}

func (c *Simplex) encode(v float64, z []float32, rng *random.Stream, cover bool) (logWeight float64, err error) {
	k := c.label(v)
	if k < 0 {
		return 0, errUnseen
	}
	if rng == nil {
		for j, a := range c.corners[k] {
			z[j] = cornerRadius * a
		}
		return 0, nil
	}
	const most = 1000 // draws; the last one is taken
	for range most {
		c.draw(k, z, rng, cover)
		if c.cell(z) == k {
			break
		}
	}
	return c.inside[k] - c.logDraw(k, z), nil
}

// wideShare of the draws that cover a cell come from N(0, wideSpread²·I), which
// also meets points that a model leaves between corners.
const (
	wideShare  = .2
	wideSpread = 1.2
)

// draw draws z about corner k.
func (c *Simplex) draw(k int, z []float32, rng *random.Stream, cover bool) {
	radius, spread := cornerRadius, cornerSpread
	if cover && rng.Float64() < wideShare {
		radius, spread = 0, wideSpread
	}
	for j := range z {
		z[j] = float32(radius*float64(c.corners[k][j]) + spread*rng.NormFloat64())
	}
}

// logDraw is the log density of draws that cover a cell.
func (c *Simplex) logDraw(k int, z []float32) float64 {
	d := float64(len(z))
	var near, wide float64
	for j, v := range z {
		e := (float64(v) - cornerRadius*float64(c.corners[k][j])) / cornerSpread
		near -= e * e / 2
		wide -= float64(v) * float64(v) / (2 * wideSpread * wideSpread)
	}
	near += math.Log(1-wideShare) - d*math.Log(cornerSpread)
	wide += math.Log(wideShare) - d*math.Log(wideSpread)
	highest := max(near, wide)
	return highest + math.Log(math.Exp(near-highest)+math.Exp(wide-highest)) - d/2*math.Log(2*math.Pi)
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
	if n < 2 || n > mostCorners || len(c.Offsets) != n || len(c.Shares) != n {
		return fmt.Errorf("its cells have %d labels, %d offsets and %d shares", n, len(c.Offsets), len(c.Shares))
	}
	if !batch.AllFinite(c.Offsets) || !(floats.Min(c.Shares) > 0) || math.Abs(floats.Sum(c.Shares)-1) > 1e-6 {
		return errors.New("its cells have offsets that are not finite, or shares that are not positive and of sum 1")
	}
	c.corners = corners(n)
	c.inside = make([]float64, n)
	const draws = 20_000
	rng, z := random.New(0, "cells", 0), make([]float32, n-1)
	for k := range c.inside {
		met := 0
		for range draws {
			if c.draw(k, z, rng, true); c.cell(z) == k {
				met++
			}
		}
		c.inside[k] = math.Log(float64(max(met, 1)) / draws)
	}
	return nil
}
