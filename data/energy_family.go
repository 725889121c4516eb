package data

import (
	"fmt"
	"math"
	"slices"

	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// EnergyFamily is a family of energies E(·; c) on ℝᵈ, one for each context c in a box of ℝᵏ.
// It satisfies solvers.ConditionalEnergy.
type EnergyFamily struct {
	Name  string
	D     int         // d
	Range solvers.Box // of the contexts

	// At is E(·; c). All have the same dimension.
	At func(c []float64) (*Energy, error)

	// Law is the law of x given c if it is a Gaussian; nil if it is not.
	Law func(c []float64) (*exact.Gaussian, error)
}

var _ solvers.ConditionalEnergy = (*EnergyFamily)(nil)

// NewEnergyFamily returns the family of that name, or nil.
func NewEnergyFamily(name string) *EnergyFamily {
	for _, f := range families() {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// EnergyFamilyNames lists the named families.
func EnergyFamilyNames() []string {
	var names []string
	for _, f := range families() {
		names = append(names, f.Name)
	}
	return names
}

// families are the named ones, all on the plane.
func families() []*EnergyFamily {
	turning := func(c []float64) (*exact.Gaussian, error) {
		sin, cos := math.Sincos(c[0])
		wide, narrow := 2*math.Exp(c[1]), .5*math.Exp(c[1])
		cross := (wide - narrow) * sin * cos
		return exact.GaussianFromMatrix([]float64{c[0] + c[1], c[0] * c[1]}, mat.NewDense(2, 2, []float64{
			wide*cos*cos + narrow*sin*sin, cross,
			cross, wide*sin*sin + narrow*cos*cos,
		}))
	}
	return []*EnergyFamily{
		{
			Name: "turning-gaussian", Range: cube(2), D: 2, Law: turning,
			At: func(c []float64) (*Energy, error) {
				law, err := turning(c)
				if err != nil {
					return nil, err
				}
				return GaussianEnergy(law), nil
			},
		}, {
			Name: "parting-gaussians", Range: cube(1), D: 2,
			At: func(c []float64) (*Energy, error) {
				odds, apart := math.Exp(1.5*c[0]), 1.2+.6*c[0]
				return MixtureEnergy(Normal{Weight: odds, Mean: []float64{apart, 0}, SD: .6}, Normal{Weight: 1, Mean: []float64{-apart, 0}, SD: .6})
			},
		}, {
			Name: "bending-banana", Range: cube(1), D: 2,
			At: func(c []float64) (*Energy, error) {
				return bent(1.4, .6, func(x float64) (y, slope float64) { return c[0] * (.5*x*x - 1), c[0] * x }), nil
			},
		},
	}
}

// cube is [−1, 1]ᵏ.
func cube(k int) solvers.Box { return solvers.Box{Lower: constant(k, -1), Upper: constant(k, 1)} }

// Dim is d.
func (f *EnergyFamily) Dim() int { return f.D }

// Contexts is k.
func (f *EnergyFamily) Contexts() int { return len(f.Range.Lower) }

// Given is E(·; c_i) for row i. It makes an energy for each row of c that differs from the one
// before.
func (f *EnergyFamily) Given(c blas32.General) (solvers.Energy, error) {
	if c.Cols != f.Contexts() || c.Rows < 1 {
		return nil, fmt.Errorf("contexts of shape (%d, %d) for the energies %s of contexts of %d columns", c.Rows, c.Cols, f.Name, f.Contexts())
	}
	g := &givenEnergy{dim: f.D}
	for i := range c.Rows {
		row := batch.Row(c, i)
		if i > 0 && slices.Equal(row, batch.Row(c, i-1)) {
			g.ends[len(g.ends)-1]++
			continue
		}
		at := make([]float64, len(row))
		batch.Widen(at, row)
		e, err := f.At(at)
		if err != nil {
			return nil, fmt.Errorf("the energy %s given %v: %w", f.Name, row, err)
		}
		g.parts, g.ends = append(g.parts, e), append(g.ends, i+1)
	}
	return g, nil
}

// givenEnergy has an energy for each range of rows.
type givenEnergy struct {
	dim   int
	parts []*Energy
	ends  []int // of the rows of each part
}

func (g *givenEnergy) Dim() int { return g.dim }

func (g *givenEnergy) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if n := g.ends[len(g.ends)-1]; x.Rows != n {
		return fmt.Errorf("%d points for an energy given %d contexts; there must be one for each", x.Rows, n)
	}
	lo := 0
	for k, e := range g.parts {
		hi := g.ends[k]
		var v []float32
		var slope blas32.General
		if value != nil {
			v = value[lo:hi]
		}
		if grad.Data != nil {
			slope = batch.Rows(grad, lo, hi)
		}
		if err := e.Eval(batch.Rows(x, lo, hi), v, slope); err != nil {
			return err
		}
		lo = hi
	}
	return nil
}
