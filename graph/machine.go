package graph

import (
	"errors"
	"fmt"

	"cmf/graph/blas"
	"cmf/graph/kernel"
	"cmf/graph/op"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Machine is a gorgonia.VM that plans once and runs many times. It computes
// only what the outputs need. Buffers are reused as soon as nobody reads their
// contents again, also for the result that is being computed. Sums of products
// take one pass, softplus and sigmoid of one operand are computed together, and
// tiles are read from their source. Threads share stages of instructions, by
// rows where the rows of a batch do not depend on each other. The machine never
// writes an input. Outputs stay valid until the next run.
type Machine struct {
	steps        []func() error
	bound        []binding
	bytes        int
	computations int // per run
}

// binding remembers the memory that the plan reads for an input.
type binding struct {
	node  *gorgonia.Node
	value gorgonia.Value
}

var _ gorgonia.VM = (*Machine)(nil)

// NewMachine plans the computation of outputs, all of one graph and one element
// type. Every input must have a value bound; the plan keeps its memory.
func NewMachine(outputs ...*gorgonia.Node) (*Machine, error) {
	if len(outputs) == 0 {
		return nil, errors.New("graph: a machine without outputs")
	}
	switch t := outputs[0].Dtype(); t {
	case tensor.Float32:
		return plan[float32](outputs)
	case tensor.Float64:
		return plan[float64](outputs)
	default:
		return nil, fmt.Errorf("graph: outputs of type %v; allowed are float32 and float64", t)
	}
}

// RunAll computes every output.
func (m *Machine) RunAll() error {
	for _, b := range m.bound {
		if b.node.Value() != b.value {
			return fmt.Errorf("graph: input %q was bound to another value after planning; write into its memory instead", b.node.Name())
		}
	}
	for _, step := range m.steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// Reset does nothing: a machine is always ready to run.
func (m *Machine) Reset() {}

// Close does nothing: a machine holds nothing but memory.
func (m *Machine) Close() error { return nil }

// Bytes is the memory of all intermediate and output buffers.
func (m *Machine) Bytes() int { return m.bytes }

// planner assigns memory. Buffers are numbered until all sizes are known.
type planner[T kernel.Float] struct {
	pinned  map[*gorgonia.Node]bool
	last    map[*gorgonia.Node]int // index of the instruction that reads it last
	buffer  map[*gorgonia.Node]int
	inPlace map[*gorgonia.Node]bool
	sizes   []int // size of each buffer
	free    []int // free buffers
	slabs   [][]T
	input   map[*gorgonia.Node][]T

	computations int // bound so far

	// In a stage on rows the threads may be at different instructions at the
	// same time: there a buffer may be reused only for rows of the same length.
	stage  int
	usedIn map[int]int // stage in which a buffer was last taken or freed
	cols   map[int]int // length of its rows there
	later  []int       // buffers that are free after the stage
}

func plan[T kernel.Float](outputs []*gorgonia.Node) (*Machine, error) {
	p := &planner[T]{
		pinned:  make(map[*gorgonia.Node]bool),
		last:    make(map[*gorgonia.Node]int),
		buffer:  make(map[*gorgonia.Node]int),
		inPlace: make(map[*gorgonia.Node]bool),
		input:   make(map[*gorgonia.Node][]T),
		usedIn:  make(map[int]int),
		cols:    make(map[int]int),
	}
	for _, n := range outputs {
		p.pinned[n] = true
	}
	m := &Machine{}
	stages := schedule(fuse(topological(outputs...), p.pinned), kernel.Threads())
	i := 0
	for _, st := range stages {
		for _, in := range st.instructions {
			for _, r := range in.reads {
				p.last[r] = i
			}
			i++
		}
	}
	i = 0
	for k, st := range stages {
		p.stage = k
		for _, in := range st.instructions {
			if in.node.Op() == nil || in.node.Value() != nil && len(in.reads) == 0 {
				data, err := p.bind(in.node)
				if err != nil {
					return nil, err
				}
				p.input[in.node] = data
				m.bound = append(m.bound, binding{in.node, in.node.Value()})
			} else {
				p.inPlace[in.node] = p.assign(i, in, st)
			}
			i++
		}
		p.free = append(p.free, p.later...)
		p.later = p.later[:0]
	}
	for _, n := range p.sizes {
		p.slabs = append(p.slabs, make([]T, n))
		m.bytes += n * int(elementSize[T]())
	}
	for _, st := range stages {
		m.steps = append(m.steps, p.steps(st)...)
	}
	m.computations = p.computations
	// Outputs are read through their nodes.
	for _, n := range outputs {
		if p.input[n] != nil {
			continue
		}
		if err := gorgonia.UnsafeLet(n, p.value(n)); err != nil {
			return nil, fmt.Errorf("graph: output %v: %w", n, err)
		}
	}
	return m, nil
}

// bind checks an input's value and returns its memory.
func (p *planner[T]) bind(n *gorgonia.Node) ([]T, error) {
	v := n.Value()
	if v == nil {
		return nil, fmt.Errorf("graph: input %q has no value", n.Name())
	}
	switch d := v.Data().(type) {
	case []T:
		return d, nil
	case T:
		return []T{d}, nil
	}
	return nil, fmt.Errorf("graph: input %q holds %T; the outputs are of type %T", n.Name(), v.Data(), *new(T))
}

// steps binds a stage to its memory.
func (p *planner[T]) steps(st stage) []func() error {
	var steps []func() error
	var small tasks
	cost := 0.
	for _, in := range st.instructions {
		cost += in.cost()
	}
	if st.rows > 0 {
		run := &rowStage{rows: st.rows, cost: cost}
		run.bind = func(lo, hi int) []func() {
			var fs []func()
			for _, in := range st.instructions {
				fs = append(fs, p.emit(in, span{lo, hi, st.rows})...)
			}
			return fs
		}
		p.computations += len(st.instructions)
		return append(steps, run.prepare())
	}
	for _, in := range st.instructions {
		if p.input[in.node] != nil {
			continue
		}
		p.computations++
		if _, ours := in.node.Op().(*op.Op); !ours {
			steps = append(steps, p.stock(in, p.matrix(in.node)))
			continue
		}
		f := inTurn(p.emit(in, span{}))
		if c := in.cost(); c < large {
			small.add(f, c)
		} else {
			steps = append(steps, infallible(f))
		}
	}
	switch len(small.list) {
	case 0:
	case 1:
		steps = append(steps, infallible(small.list[0].f))
	default:
		steps = append(steps, small.prepare())
	}
	return steps
}

// emit binds an instruction to its memory, or to its rows in the span.
func (p *planner[T]) emit(in instruction, at span) []func() {
	out := cut(at, p.matrix(in.node))
	matrices := func(ns gorgonia.Nodes) []op.Matrix[T] {
		ms := make([]op.Matrix[T], len(ns))
		for i, n := range ns {
			ms[i] = cut(at, p.matrix(n))
		}
		return ms
	}
	// start copies the base into the result, for the rest to be added to it.
	start := func() []func() {
		if p.inPlace[in.node] {
			return nil
		}
		return []func(){bindOp(op.ExpandOp(out.Rows, out.Cols), out, matrices(gorgonia.Nodes{in.base}))}
	}
	switch {
	case in.products != nil:
		terms := p.terms(in, at)
		switch {
		case in.base == nil:
			return []func(){op.BindSum(out, terms, nil, false)}
		case len(in.base.Shape()) == 2 && in.base.Shape()[0] == 1 && in.base.Shape()[1] == out.Cols && out.Rows > 1:
			return []func(){op.BindSum(out, terms, p.matrix(in.base).Data, false)}
		}
		return append(start(), op.BindSum(out, terms, nil, true))
	case in.fold != nil:
		return append(start(), tiled(bindAdd[T], in.fold.Op().(*op.Op), out, matrices(in.reads[1:])))
	case in.tiles != nil:
		return []func(){summed(in.tiles.Op().(*op.Op), in.tiles.Shape()[0], out, matrices(in.reads))}
	case in.twin != nil:
		sp, sg := out, cut(at, p.matrix(in.twin))
		if op.IsSigmoid(in.node.Op()) {
			sp, sg = sg, sp
		}
		return []func(){op.BindSoftplusSigmoid(sp, sg, matrices(in.reads)[0])}
	}
	return []func(){tiled(bindOp[T], in.node.Op().(*op.Op), out, matrices(in.reads))}
}

// terms are the products of an instruction.
func (p *planner[T]) terms(in instruction, at span) []blas.Term[T] {
	var terms []blas.Term[T]
	factors := in.operands()
	for i, product := range in.products {
		x, y := p.matrix(factors[2*i]), p.matrix(factors[2*i+1])
		terms = append(terms, op.Term(product.Op(), cut(at, x), y))
	}
	return terms
}

func infallible(f func()) func() error { return func() error { f(); return nil } }

func bindOp[T kernel.Float](o *op.Op, out op.Matrix[T], in []op.Matrix[T]) func() {
	switch out := any(out).(type) {
	case op.Matrix[float32]:
		return o.Bind32(out, any(in).([]op.Matrix[float32]))
	default:
		return o.Bind64(out.(op.Matrix[float64]), any(in).([]op.Matrix[float64]))
	}
}

func bindAdd[T kernel.Float](o *op.Op, out op.Matrix[T], in []op.Matrix[T]) func() {
	switch out := any(out).(type) {
	case op.Matrix[float32]:
		return o.BindAdd32(out, any(in).([]op.Matrix[float32]))
	default:
		return o.BindAdd64(out.(op.Matrix[float64]), any(in).([]op.Matrix[float64]))
	}
}

func (p *planner[T]) data(n *gorgonia.Node) []T {
	if d, ok := p.input[n]; ok {
		return d
	}
	return p.slabs[p.buffer[n]][:max(1, n.Shape().TotalSize())]
}

func (p *planner[T]) matrix(n *gorgonia.Node) op.Matrix[T] {
	s := n.Shape()
	m := op.Matrix[T]{Rows: 1, Cols: 1, Data: p.data(n)}
	switch len(s) {
	case 2:
		m.Rows, m.Cols = s[0], s[1]
	case 1:
		m.Cols = s[0]
	}
	return m
}

func elementSize[T kernel.Float]() uintptr {
	if _, ok := any(*new(T)).(float32); ok {
		return 4
	}
	return 8
}
