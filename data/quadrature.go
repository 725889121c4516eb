package data

import (
	"fmt"
	"math"
	"sort"

	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Quadrature is the midpoint rule for ρ ∝ e^{−E} on a box of ℝ or ℝ², cut into
// cells of equal size. For a smooth E whose mass lies well inside the box its
// error falls faster than any power of the size of a cell.
type Quadrature struct {
	Box   solvers.Box
	Cells int // along each axis

	// LogZ is log ∫e^{−E} over the box.
	LogZ float64

	// Change is |LogZ − LogZ'| with LogZ' of cells three times as wide: a bound on
	// the error of LogZ where E is smooth.
	Change float64

	// LogDensity is log ρ at the centre of each cell, the first coordinate moving
	// fastest; −Inf where there is no mass.
	LogDensity []float64

	// Edge is the share of the mass in the cells along the edge of the box. It
	// is small where the box holds all of the mass.
	Edge float64

	// NaNs and Infs count the cells at whose centre E is NaN or +Inf; they are given
	// no mass.
	NaNs, Infs int

	cumulated []float64 // masses of cells
}

// DefaultCells is how many cells an axis of ℝᵈ has unless more or fewer are asked for.
func DefaultCells(d int) int {
	if d == 1 {
		return 4095
	}
	return 513
}

// NewQuadrature evaluates E at the centres of cells^d cells, d ≤ 2; cells must be
// an odd multiple of 3, such as 513, and 0 stands for DefaultCells: 4095 on the line
// and 513 in the plane. An E that is −Inf at a centre, or +Inf or NaN at all of them, is an
// error.
func NewQuadrature(e solvers.Energy, box solvers.Box, cells int) (*Quadrature, error) {
	d := e.Dim()
	switch {
	case d < 1 || d > 2:
		return nil, fmt.Errorf("quadrature on ℝ^%d; it is for one and two dimensions", d)
	case cells < 0 || cells%6 != 3 && cells != 0:
		return nil, fmt.Errorf("quadrature with %d cells along an axis; give an odd multiple of 3 such as 513, or 0", cells)
	case cells == 0:
		cells = DefaultCells(d)
	}
	if err := checkBox(box, d); err != nil {
		return nil, fmt.Errorf("quadrature: %w", err)
	}
	q := &Quadrature{Box: box, Cells: cells}
	value := make([]float32, q.size())
	if err := e.Eval(q.Centres(), value, blas32.General{}); err != nil {
		return nil, fmt.Errorf("quadrature: %w", err)
	}
	if err := q.take(value); err != nil {
		return nil, fmt.Errorf("quadrature: %w", err)
	}
	return q, nil
}

// RefineQuadrature is NewQuadrature with the given cells along an axis, then three times as
// many while Change is above tolerance and there are no more than most.
func RefineQuadrature(e solvers.Energy, box solvers.Box, tolerance float64, cells, most int) (*Quadrature, error) {
	for {
		q, err := NewQuadrature(e, box, cells)
		if err != nil || q.Change <= tolerance || 3*q.Cells > most {
			return q, err
		}
		cells = 3 * q.Cells
	}
}

// Centres returns the centres of the cells, (Cells^d, d), in the order of
// LogDensity.
func (q *Quadrature) Centres() blas32.General {
	x := batch.New(q.size(), len(q.Box.Lower))
	for i := range x.Rows {
		for j, k := range q.cell(i) {
			batch.Row(x, i)[j] = float32(q.Box.Lower[j] + (float64(k)+.5)*q.width(j))
		}
	}
	return x
}

// Sample draws n independent points of ρ, (n, d): a cell by its mass, and a point
// uniformly within it.
func (q *Quadrature) Sample(n int, rng *random.Stream) blas32.General {
	x := batch.New(max(0, n), len(q.Box.Lower))
	all := q.cumulated[len(q.cumulated)-1]
	for i := range x.Rows {
		level := all * rng.Float64()
		// The first cell beyond the level: a cell without mass is never taken.
		cell := sort.Search(len(q.cumulated)-1, func(k int) bool { return q.cumulated[k] > level })
		for j, k := range q.cell(cell) {
			batch.Row(x, i)[j] = float32(q.Box.Lower[j] + (float64(k)+rng.Float64())*q.width(j))
		}
	}
	return x
}

// KL is ∫ρ·log(ρ/q) over the box, from the log densities of q at the centres.
// It is +Inf if q has no mass in a cell where ρ has mass, and NaN if a log q is
// NaN there.
func (q *Quadrature) KL(logq []float64) (float64, error) {
	if len(logq) != len(q.LogDensity) {
		return 0, fmt.Errorf("quadrature: %d log densities for %d cells; they must agree", len(logq), len(q.LogDensity))
	}
	var sum float64
	for i, p := range q.LogDensity {
		if mass := math.Exp(p) * q.volume(); mass > 0 {
			sum += mass * (p - logq[i])
		}
	}
	return sum, nil
}

// take turns energies at the centres into the density.
func (q *Quadrature) take(energy []float32) error {
	lowest := math.Inf(1)
	for i, v := range energy {
		switch v := float64(v); {
		case math.IsNaN(v):
			q.NaNs++
		case math.IsInf(v, 1):
			q.Infs++
		case math.IsInf(v, -1):
			return fmt.Errorf("the energy is −Inf at %v; E must be bounded from below", batch.Row(q.Centres(), i))
		default:
			lowest = min(lowest, v)
		}
	}
	if math.IsInf(lowest, 1) {
		return fmt.Errorf("the energy is NaN (%d) or +Inf (%d) at all %d points of the box from %v to %v", q.NaNs, q.Infs, len(energy), q.Box.Lower, q.Box.Upper)
	}
	q.LogDensity, q.cumulated = make([]float64, len(energy)), make([]float64, len(energy))
	var sum, coarse, edge float64
	for i, v := range energy {
		if v != v {
			v = float32(math.Inf(1))
		}
		mass := math.Exp(lowest - float64(v))
		sum += mass
		q.cumulated[i] = sum
		q.LogDensity[i] = lowest - float64(v)
		middle, border := true, false
		for _, k := range q.cell(i) {
			middle = middle && k%3 == 1
			border = border || k == 0 || k == q.Cells-1
		}
		if middle {
			coarse += mass
		}
		if border {
			edge += mass
		}
	}
	q.LogZ = math.Log(sum*q.volume()) - lowest
	q.Change = math.Abs(math.Log(sum / coarse / math.Pow(3, float64(len(q.Box.Lower)))))
	q.Edge = edge / sum
	for i := range q.LogDensity {
		q.LogDensity[i] -= math.Log(sum * q.volume())
	}
	return nil
}

// support is the smallest box of cells that holds all but a negligible mass,
// with a margin of one cell.
func (q *Quadrature) support() solvers.Box {
	d := len(q.Box.Lower)
	peak := math.Inf(-1)
	for _, l := range q.LogDensity {
		peak = max(peak, l)
	}
	box := solvers.Box{Lower: constant(d, math.Inf(1)), Upper: constant(d, math.Inf(-1))}
	for i, l := range q.LogDensity {
		if l < peak-negligible {
			continue
		}
		for j, k := range q.cell(i) {
			box.Lower[j] = min(box.Lower[j], q.Box.Lower[j]+float64(max(k-1, 0))*q.width(j))
			box.Upper[j] = max(box.Upper[j], q.Box.Lower[j]+float64(min(k+2, q.Cells))*q.width(j))
		}
	}
	return box
}

func (q *Quadrature) size() int {
	if len(q.Box.Lower) == 1 {
		return q.Cells
	}
	return q.Cells * q.Cells
}

// cell returns the index of cell i along each axis.
func (q *Quadrature) cell(i int) []int { return []int{i % q.Cells, i / q.Cells}[:len(q.Box.Lower)] }

// width is the width of a cell along axis j.
func (q *Quadrature) width(j int) float64 {
	return (q.Box.Upper[j] - q.Box.Lower[j]) / float64(q.Cells)
}

// volume is the length or area of a cell.
func (q *Quadrature) volume() float64 {
	v := 1.
	for j := range q.Box.Lower {
		v *= q.width(j)
	}
	return v
}

// checkBox says what is wrong with a box of ℝᵈ.
func checkBox(b solvers.Box, d int) error {
	if len(b.Lower) != d || len(b.Upper) != d {
		return fmt.Errorf("a box with %d lower and %d upper ends for ℝ^%d; they must agree", len(b.Lower), len(b.Upper), d)
	}
	for j := range d {
		if !(b.Lower[j] < b.Upper[j]) || math.IsInf(b.Upper[j]-b.Lower[j], 0) {
			return fmt.Errorf("the box runs from %g to %g along coordinate %d; the ends must be finite, the lower one first", b.Lower[j], b.Upper[j], j)
		}
	}
	return nil
}
