package graph

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

type nodes = map[string]*gorgonia.Node

func compile(t testing.TB, s *Scope, out nodes) *Program {
	t.Helper()
	p, err := s.Compile(out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t testing.TB, p *Program) {
	t.Helper()
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
}

// fill draws every element from ±(.1, 1.1).
func fill(m Matrix, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 5))
	for i := range m.Rows * m.Cols {
		m.set(i, math.Copysign(.1+r.Float64(), r.Float64()-.5))
	}
}

func (m Matrix) set(i int, v float64) {
	if m.F32 != nil {
		m.F32[i] = float32(v)
	} else {
		m.F64[i] = v
	}
}

// bits identifies the contents of a matrix, NaN payloads included.
func (m Matrix) bits() []uint64 {
	b := make([]uint64, 0, m.Rows*m.Cols)
	for _, v := range m.F32 {
		b = append(b, uint64(math.Float32bits(v)))
	}
	for _, v := range m.F64 {
		b = append(b, math.Float64bits(v))
	}
	return b
}

func (m Matrix) clone() Matrix {
	m.F32, m.F64 = append([]float32(nil), m.F32...), append([]float64(nil), m.F64...)
	return m
}

// onMachine compiles on the named machine.
func onMachine(t testing.TB, machine string, s *Scope, out nodes) *Program {
	t.Helper()
	if err := UseMachine(machine); err != nil {
		t.Fatal(err)
	}
	defer UseMachine("plan")
	return compile(t, s, out)
}

func newParams(t testing.TB, dtype tensor.Dtype) *Params {
	t.Helper()
	ps, err := NewParams(dtype)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

// must returns a stock node, or fails the test.
func must(t testing.TB) func(n *gorgonia.Node, err error) *gorgonia.Node {
	return func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}
