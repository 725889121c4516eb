package data

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/mat"
)

// Energy is a function E on ℝᵈ, convex or not, that stands for the law
// ρ ∝ e^{−E}. It computes in float64 and rounds; it may be evaluated by several
// goroutines at once.
type Energy struct {
	Name string

	// Box is a box outside of which ρ has less than 1e-6 of its mass.
	Box solvers.Box

	// LogZ is log ∫e^{−E} where it is known in closed form, else NaN.
	LogZ float64

	// Draw gives n independent points of ρ, (n, d); nil where no exact way is known.
	Draw func(n int, rng *random.Stream) blas32.General

	dim  int
	wide func(n int, rng *random.Stream) []float64 // what Draw rounds, (n, d); may be nil
	at   func(grad, x []float64) float64           // grad may be nil
}

var _ solvers.Energy = (*Energy)(nil)

// NewEnergy returns the energy of that name; an unknown name is an error that
// lists the known ones.
func NewEnergy(name string) (*Energy, error) {
	for _, e := range energies {
		if e.name == name {
			made, err := e.make()
			if err != nil {
				return nil, fmt.Errorf("energy %s: %w", name, err)
			}
			made.Name = name
			return made, nil
		}
	}
	return nil, fmt.Errorf("unknown energy %q; known are %s", name, strings.Join(EnergyNames(), ", "))
}

// EnergyNames lists the named energies.
func EnergyNames() []string {
	var names []string
	for _, e := range energies {
		names = append(names, e.name)
	}
	return names
}

// EnergyFunc makes an energy on ℝᵈ, d = dim, from functions of the user: value
// is E(x), and gradient writes ∇E(x) into grad. A nil gradient stands for
// central differences, two values per coordinate. The functions must not keep
// or change x. FindBox finds a Box.
func EnergyFunc(dim int, value func(x mat.Vector) float64, gradient func(grad *mat.VecDense, x mat.Vector)) (*Energy, error) {
	switch {
	case dim < 1:
		return nil, fmt.Errorf("an energy on ℝ^%d; the dimension must be at least 1", dim)
	case value == nil:
		return nil, errors.New("an energy without a value; give a function x → E(x)")
	}
	if gradient == nil {
		gradient = func(grad *mat.VecDense, x mat.Vector) {
			at := mat.VecDenseCopyOf(x).RawVector().Data
			of := func(x []float64) float64 { return value(mat.NewVecDense(dim, x)) }
			fd.Gradient(grad.RawVector().Data, of, at, &fd.Settings{Formula: fd.Central})
		}
	}
	return &Energy{
		LogZ: math.NaN(), dim: dim,
		at: func(grad, x []float64) float64 {
			v := mat.NewVecDense(dim, x)
			if grad != nil {
				gradient(mat.NewVecDense(dim, grad), v)
			}
			return value(v)
		},
	}, nil
}

// Dim is d.
func (e *Energy) Dim() int { return e.dim }

// Eval writes E(x_i) to value and ∇E(x_i) to grad, each unless it is empty.
func (e *Energy) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if err := checkEval(e, x, value, grad); err != nil {
		return err
	}
	at := make([]float64, e.dim)
	var slope []float64
	if grad.Data != nil {
		slope = make([]float64, e.dim)
	}
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			at[j] = float64(v)
		}
		v := e.at(slope, at)
		if value != nil {
			value[i] = float32(v)
		}
		for j, g := range slope {
			batch.Row(grad, i)[j] = float32(g)
		}
	}
	return nil
}

// narrowed rounds points of wide.
func (e *Energy) narrowed(n int, rng *random.Stream) blas32.General {
	x := batch.New(max(0, n), e.dim)
	for i, v := range e.wide(x.Rows, rng) {
		x.Data[i] = float32(v)
	}
	return x
}
