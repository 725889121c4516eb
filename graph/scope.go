package graph

import (
	"fmt"

	"cmf/graph/op"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Scope declares one expression graph over shared weights. Its methods, also
// those of op.Builder, keep the first error; Compile returns it.
type Scope struct {
	op.Builder

	g         *gorgonia.ExprGraph
	dtype     tensor.Dtype
	inputs    []*gorgonia.Node
	constants []*gorgonia.Node
	params    map[*Param]*gorgonia.Node
	seeds     map[op.Shape]*gorgonia.Node
}

// NewScope returns an empty graph of the given element type.
func NewScope(dtype tensor.Dtype) *Scope {
	return &Scope{
		g:      gorgonia.NewGraph(),
		dtype:  dtype,
		params: make(map[*Param]*gorgonia.Node),
		seeds:  make(map[op.Shape]*gorgonia.Node),
	}
}

// Input declares a named (rows, cols) matrix that the caller fills before
// each run.
func (s *Scope) Input(name string, rows, cols int) *gorgonia.Node {
	for _, n := range s.inputs {
		if n.Name() == name && s.Err == nil {
			s.Err = fmt.Errorf("graph: a second input named %q", name)
		}
	}
	if (rows < 1 || cols < 1) && s.Err == nil {
		s.Err = fmt.Errorf("graph: input %q of shape (%d, %d); both must be positive", name, rows, cols)
	}
	if s.Err != nil {
		return nil
	}
	n := s.bound(name, s.fresh(rows, cols))
	s.inputs = append(s.inputs, n)
	return n
}

// Param is the node of a weight; repeated calls give the same node.
func (s *Scope) Param(p *Param) *gorgonia.Node {
	if n, ok := s.params[p]; ok {
		return n
	}
	// The number keeps weights of two models apart where names and shapes are
	// equal.
	n := s.bound(fmt.Sprintf("weight %d %s", len(s.params), p.Name), p.header())
	s.params[p] = n
	return n
}

// Ones declares the (rows, cols) matrix of ones.
func (s *Scope) Ones(rows, cols int) *gorgonia.Node {
	shape := op.Shape{rows, cols}
	if n, ok := s.seeds[shape]; ok {
		return n
	}
	t := s.fresh(rows, cols)
	if err := t.Memset(one(s.dtype)); err != nil && s.Err == nil {
		s.Err = err
	}
	n := s.bound(fmt.Sprintf("ones %v", shape), t)
	s.seeds[shape] = n
	return n
}

func one(dtype tensor.Dtype) any {
	if dtype == tensor.Float32 {
		return float32(1)
	}
	return float64(1)
}

func (s *Scope) fresh(rows, cols int) *tensor.Dense {
	return tensor.New(tensor.WithShape(rows, cols), tensor.Of(s.dtype))
}

func (s *Scope) bound(name string, t *tensor.Dense) *gorgonia.Node {
	n := gorgonia.NewMatrix(s.g, t.Dtype(), gorgonia.WithShape(t.Shape()...), gorgonia.WithName(name), gorgonia.WithValue(t))
	// For an equal name and shape Gorgonia returns the earlier node.
	if n.Value() != gorgonia.Value(t) && s.Err == nil {
		s.Err = fmt.Errorf("graph: a second leaf named %q of shape %v", name, t.Shape())
	}
	return n
}

// Constant declares a named (rows, cols) matrix filled once by f. A repeated
// declaration with the same values gives the same node.
func (s *Scope) Constant(name string, rows, cols int, f func(i, j int) float64) *gorgonia.Node {
	if s.Err != nil {
		return nil
	}
	t := s.fresh(rows, cols)
	for i := range rows {
		for j := range cols {
			switch data := t.Data().(type) {
			case []float32:
				data[i*cols+j] = float32(f(i, j))
			case []float64:
				data[i*cols+j] = f(i, j)
			}
		}
	}
	name = "constant " + name
	for _, n := range s.constants {
		if n.Name() == name && t.Eq(n.Value()) {
			return n
		}
	}
	n := s.bound(name, t)
	s.constants = append(s.constants, n)
	return n
}
