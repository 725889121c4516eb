package layers

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Architecture describes a potential: an input-convex neural network, or the
// conjugate of a soft maximum of quadratics. The zero value of every field but
// Dim and Hidden, or Dim and Pieces, is usable.
type Architecture struct {
	// Dim is d, at least 1.
	Dim int

	// Family is what the network is; "" means NetworkICNN.
	Family Family `json:",omitempty"`

	// Pieces is the number K of quadratics; see Quadratics, which has no other parts
	// but Rank and Tau.
	Pieces int `json:",omitempty"`

	// Hidden are the widths of the dense hidden layers, each at least 1. There
	// must be at least one hidden layer, dense or convolutional.
	Hidden []int

	// Picture is the height, width and channels of a point as a picture, row-major
	// with the channels of a pixel side by side. Convolutions need it.
	Picture [3]int

	// Convolutions are convolutional layers, below those of Hidden.
	Convolutions []Convolution

	// DiagonalSkips adds ½Σ_j d_kj·x_j², d ≥ 0, to every pre-activation. In a
	// convolution the sums over j, here and for Rank, are over a square of the
	// resized x.
	DiagonalSkips bool

	// Rank adds ½Σ_r (A_kr·x)², r = 1 … Rank, to every pre-activation. Of
	// quadratics it is the rank of F_k; 0 means d, without diagonals.
	Rank int

	// Knots adds a separable function: that many hinges on every coordinate.
	Knots int

	// Rotated gives the outer quadratic a basis U of its own, a frozen
	// orthogonal matrix; otherwise it is diagonal.
	Rotated bool

	// Full adds ½‖(x−m)·A‖² with a trained (d, d) matrix A to the outer quadratic.
	Full bool

	// Unit is what a hidden layer makes of its affine pieces; "" means Softplus.
	Unit Unit `json:",omitempty"`

	// Tau is the width τ over which a Maximum is rounded, in units of a
	// pre-activation. 0 means 1. Softplus has no other. Of quadratics it is the τ
	// of their soft maximum.
	Tau float64 `json:",omitempty"`

	// Context is the number k of columns of a context c: the network is then a
	// Conditional, w(x; c). 0 means a potential without contexts.
	Context int `json:",omitempty"`

	// ContextHidden is the number of hidden features of a context; with 0 the
	// parts of the network that depend on it are linear in it.
	ContextHidden int `json:",omitempty"`

	// Classes says that contexts are classes, each a vector with a 1 at its own place and
	// else 0. A quadratic then belongs to one class, and is gated off for the others.
	Classes bool `json:",omitempty"`

	// Float64 makes the weights float64, for checks; otherwise float32.
	Float64 bool
}

// Family is a family of potentials.
type Family string

const (
	// NetworkICNN is the network w itself: an ICNN.
	NetworkICNN Family = "icnn"

	// NetworkQuadratics is the conjugate network φ = w*: Quadratics.
	NetworkQuadratics Family = "quadratics"
)

// Known lists the families.
func (Family) Known() []string { return []string{string(NetworkICNN), string(NetworkQuadratics)} }

// New returns the potential w that a describes, with zero weights; an
// initialisation fills them.
func New(a Architecture) (Network, error) {
	if err := a.checkContext(); err != nil {
		return nil, err
	}
	switch a.Family {
	case NetworkQuadratics:
		q, err := NewQuadratics(a)
		if err != nil {
			return nil, err
		}
		return NewConjugate(q), nil
	case "", NetworkICNN:
		return NewICNN(a)
	}
	return nil, fmt.Errorf("layers: family %q; known are %s", a.Family, strings.Join(a.Family.Known(), ", "))
}

// Unit is the kind of a hidden unit.
type Unit string

const (
	// Softplus is log(1 + eᵃ) of one affine piece a.
	Softplus Unit = "softplus"

	// Maximum is the soft maximum τ·log(e^{a₁/τ} + e^{a₂/τ}) of two affine pieces,
	// each with inner weights of its own. One of the two always passes its slope
	// on, so that depth does not starve.
	//
	// Reference: HyCNN, arXiv 2604.26942 (2026).
	Maximum Unit = "maximum"
)

// Known lists the units.
func (Unit) Known() []string { return []string{string(Softplus), string(Maximum)} }

// checkUnit says what is wrong with Unit and Tau.
func (a Architecture) checkUnit() error {
	if known := a.Unit.Known(); a.Unit != "" && !slices.Contains(known, string(a.Unit)) {
		return fmt.Errorf("layers: unit %q; known are %s", a.Unit, strings.Join(known, ", "))
	}
	if !(a.Tau >= 0) || math.IsInf(a.Tau, 1) {
		return fmt.Errorf("layers: a maximum rounded over τ = %g; it must be a positive number, or 0 for 1", a.Tau)
	}
	if a.Tau != 0 && a.Unit != Maximum {
		return fmt.Errorf("layers: τ = %g without units of kind %s", a.Tau, Maximum)
	}
	return nil
}

// tau is τ.
func (a Architecture) tau() float64 {
	if a.Tau == 0 {
		return 1
	}
	return a.Tau
}

// Prefixes are what the names of the weights of hidden layer l begin with, one
// for each of its affine pieces.
func (a Architecture) Prefixes(l int) []string {
	first := fmt.Sprintf("layer%d.", l)
	if a.Unit == Maximum {
		return []string{first, first + "second."}
	}
	return []string{first}
}
