package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Matrix is the memory of an input or an output: one of F32 and F64 is set.
type Matrix struct {
	Rows, Cols int
	F32        []float32
	F64        []float64
}

// General is the matrix as BLAS takes it. The matrix must be float32.
func (m Matrix) General() blas32.General {
	return blas32.General{Rows: m.Rows, Cols: m.Cols, Stride: m.Cols, Data: m.F32}
}

// At is the element in row i and column j.
func (m Matrix) At(i, j int) float64 {
	if m.F32 != nil {
		return float64(m.F32[i*m.Cols+j])
	}
	return m.F64[i*m.Cols+j]
}

// Machines are the names that UseMachine knows.
var Machines = []string{"plan", "tape"}

var tape atomic.Bool

// UseMachine chooses what runs the Programs compiled from now on: plan, the
// package's own Machine, or tape, Gorgonia's TapeMachine, which is slow and
// serves as a cross-check.
func UseMachine(name string) error {
	if !slices.Contains(Machines, name) {
		return fmt.Errorf("graph: unknown machine %q; known are %s", name, strings.Join(Machines, ", "))
	}
	tape.Store(name == "tape")
	return nil
}

// Program is a compiled graph: fill the inputs, Run, read the outputs. It must
// not be run by two goroutines at once; Programs over the same weights may run
// beside each other while nobody writes the weights.
type Program struct {
	in, out map[string]Matrix
	run     func() error
	bytes   int
}

// In is the memory of a named input; write the batch there before Run. It
// panics on a name that was not declared.
func (p *Program) In(name string) Matrix { return lookup(p.in, "input", name) }

// Out is the memory of a named output, valid until the next Run. It panics on a
// name that was not compiled.
func (p *Program) Out(name string) Matrix { return lookup(p.out, "output", name) }

func lookup(m map[string]Matrix, what, name string) Matrix {
	v, ok := m[name]
	if !ok {
		panic(fmt.Sprintf("graph: no %s named %q", what, name))
	}
	return v
}

// Has reports whether the program reads an input of this name.
func (p *Program) Has(input string) bool { _, ok := p.in[input]; return ok }

// Run computes the outputs.
func (p *Program) Run() error { return p.run() }

// Bytes is the memory of intermediate results.
func (p *Program) Bytes() int { return p.bytes }

// Compile turns the graph into a Program with the given named outputs. It
// returns the first error of the declarations.
func (s *Scope) Compile(outputs map[string]*gorgonia.Node) (*Program, error) {
	if s.Err != nil {
		return nil, s.Err
	}
	if len(outputs) == 0 {
		return nil, errors.New("graph: a program without outputs")
	}
	names := make([]string, 0, len(outputs))
	for name, n := range outputs {
		if n == nil {
			return nil, fmt.Errorf("graph: output %q is nil: nothing declares it", name)
		}
		if len(n.Shape()) != 2 {
			return nil, fmt.Errorf("graph: output %q has shape %v; only matrices are allowed", name, n.Shape())
		}
		names = append(names, name)
	}
	slices.Sort(names)
	p := &Program{in: make(map[string]Matrix), out: make(map[string]Matrix)}
	for _, n := range s.inputs {
		p.in[n.Name()] = matrixOf(n.Value().(*tensor.Dense))
	}
	if tape.Load() {
		p.useTape(s, names, outputs)
		return p, nil
	}
	nodes := make([]*gorgonia.Node, len(names))
	for i, name := range names {
		nodes[i] = outputs[name]
	}
	m, err := NewMachine(nodes...)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		p.out[name] = matrixOf(nodes[i].Value().(*tensor.Dense))
	}
	p.run, p.bytes = m.RunAll, m.Bytes()
	return p, nil
}

// useTape runs the graph on Gorgonia's TapeMachine. That machine writes over
// inputs, weights among them, so every run gets copies.
func (p *Program) useTape(s *Scope, names []string, outputs map[string]*gorgonia.Node) {
	sources := make(map[*gorgonia.Node]*tensor.Dense)
	// It runs every node of the graph, also those that no output needs.
	for _, n := range s.g.AllNodes() {
		if t, ok := n.Value().(*tensor.Dense); ok && n.Op() == nil {
			sources[n] = t
		}
	}
	results := make([]gorgonia.Value, len(names))
	for i, name := range names {
		gorgonia.Read(outputs[name], &results[i])
		shape := outputs[name].Shape()
		p.out[name] = matrixOf(s.fresh(shape[0], shape[1]))
	}
	vm := gorgonia.NewTapeMachine(s.g)
	p.run = func() error {
		vm.Reset()
		defer func() {
			for n, t := range sources {
				gorgonia.UnsafeLet(n, t)
			}
		}()
		for n, t := range sources {
			if err := gorgonia.Let(n, t.Clone().(*tensor.Dense)); err != nil {
				return err
			}
		}
		if err := vm.RunAll(); err != nil {
			return err
		}
		for i, name := range names {
			got := matrixOf(results[i].(*tensor.Dense))
			copy(p.out[name].F32, got.F32)
			copy(p.out[name].F64, got.F64)
		}
		return nil
	}
}

func matrixOf(t *tensor.Dense) Matrix {
	m := Matrix{Rows: t.Shape()[0], Cols: t.Shape()[1]}
	switch d := t.Data().(type) {
	case []float32:
		m.F32 = d
	case []float64:
		m.F64 = d
	}
	return m
}
