// Package graph declares expressions on Gorgonia's graphs, differentiates them
// and runs them. It is the only package that drives Gorgonia machines.
//
// A model's weights are Params: plain slices, shared by every graph that uses
// them. A Scope declares one graph over them; Compile turns it into a Program,
// which runs for one batch size any number of times without allocating.
package graph

import (
	"fmt"
	"math"
	"slices"

	"gorgonia.org/tensor"
)

// Param is a named matrix of weights. Its values live in one plain slice that
// never moves: every Program that uses it sees what is written there.
type Param struct {
	Name       string
	Rows, Cols int

	// NonNegative marks a weight that convexity needs to be ≥ 0: it is
	// projected onto ≥ 0 after every optimiser step.
	NonNegative bool

	// Frozen marks a constant of the model: saved with it, never trained.
	Frozen bool

	// Rate multiplies the learning rate of this weight; 0 means 1.
	Rate float64

	f32 []float32
	f64 []float64
}

// Len is the number of values.
func (p *Param) Len() int { return p.Rows * p.Cols }

// Float32s is the backing slice of a float32 weight, nil otherwise.
func (p *Param) Float32s() []float32 { return p.f32 }

// Float64s is the backing slice of a float64 weight, nil otherwise.
func (p *Param) Float64s() []float64 { return p.f64 }

// At is the i-th value in row-major order.
func (p *Param) At(i int) float64 {
	if p.f32 != nil {
		return float64(p.f32[i])
	}
	return p.f64[i]
}

// Set stores the i-th value in row-major order.
func (p *Param) Set(i int, v float64) {
	if p.f32 != nil {
		p.f32[i] = float32(v)
	} else {
		p.f64[i] = v
	}
}

// Fill stores f(i) at every index i in row-major order.
func (p *Param) Fill(f func(i int) float64) {
	for i := range p.Len() {
		p.Set(i, f(i))
	}
}

// Project sets negative values of a NonNegative weight to 0.
func (p *Param) Project() {
	if !p.NonNegative {
		return
	}
	for i := range p.Len() {
		p.Set(i, math.Max(p.At(i), 0))
	}
}

// header is a new tensor over the shared values. Every machine needs its own:
// two machines must not share a *tensor.Dense.
func (p *Param) header() *tensor.Dense { return header(p.Rows, p.Cols, p.f32, p.f64) }

func header(rows, cols int, f32 []float32, f64 []float64) *tensor.Dense {
	var backing any = f64
	if f32 != nil {
		backing = f32
	}
	return tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(backing))
}

// Params is the ordered set of a model's weights, all of one element type.
type Params struct {
	dtype tensor.Dtype
	list  []*Param
}

// NewParams returns an empty set of float32 (training) or float64 (checking)
// weights.
func NewParams(dtype tensor.Dtype) (*Params, error) {
	if dtype != tensor.Float32 && dtype != tensor.Float64 {
		return nil, fmt.Errorf("graph: weights of type %v; allowed are float32 and float64", dtype)
	}
	return &Params{dtype: dtype}, nil
}

// New adds a zero weight of the given shape. A repeated name panics, because it
// is a mistake in the model's own code.
func (ps *Params) New(name string, rows, cols int) *Param {
	if ps.ByName(name) != nil {
		panic("graph: a second weight named " + name)
	}
	p := &Param{Name: name, Rows: rows, Cols: cols}
	if ps.dtype == tensor.Float32 {
		p.f32 = make([]float32, rows*cols)
	} else {
		p.f64 = make([]float64, rows*cols)
	}
	ps.list = append(ps.list, p)
	return p
}

// Dtype is the element type of all weights.
func (ps *Params) Dtype() tensor.Dtype { return ps.dtype }

// All lists the weights in order of creation.
func (ps *Params) All() []*Param { return slices.Clone(ps.list) }

// Trained lists the weights that are not frozen, in order of creation.
func (ps *Params) Trained() []*Param {
	return slices.DeleteFunc(ps.All(), func(p *Param) bool { return p.Frozen })
}

// ByName finds a weight; nil when there is none.
func (ps *Params) ByName(name string) *Param {
	for _, p := range ps.list {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Count is the number of trained values.
func (ps *Params) Count() int {
	var n int
	for _, p := range ps.Trained() {
		n += p.Len()
	}
	return n
}
