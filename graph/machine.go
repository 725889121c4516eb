package graph

import (
	"errors"
	"fmt"

	"cmf/graph/kernel"
	"cmf/graph/op"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Machine is a gorgonia.VM that plans once and runs many times: the order of
// what the outputs need, and nothing else; buffers shared by liveness; results
// written over dead operands; products accumulated into the sum that uses
// them; softplus and sigmoid of one operand computed together; tiles read where
// their source lies. It never writes an input. Outputs stay valid until the next run.
type Machine struct {
	steps []func() error
	bound []binding
	bytes int
}

// binding remembers the memory that the plan reads for an input.
type binding struct {
	node  *gorgonia.Node
	value gorgonia.Value
}

var _ gorgonia.VM = (*Machine)(nil)

// NewMachine plans the computation of outputs, of one graph and one element
// type. Every input must have a value bound, whose memory the plan keeps.
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
	pinned map[*gorgonia.Node]bool
	last   map[*gorgonia.Node]int // index of the instruction that reads it last
	buffer map[*gorgonia.Node]int
	sizes  []int // of each buffer
	free   []int // buffers
	slabs  [][]T
	input  map[*gorgonia.Node][]T
}

func plan[T kernel.Float](outputs []*gorgonia.Node) (*Machine, error) {
	p := &planner[T]{
		pinned: make(map[*gorgonia.Node]bool),
		last:   make(map[*gorgonia.Node]int),
		buffer: make(map[*gorgonia.Node]int),
		input:  make(map[*gorgonia.Node][]T),
	}
	for _, n := range outputs {
		p.pinned[n] = true
	}
	m := &Machine{}
	program := fuse(topological(outputs...), p.pinned)
	for i, in := range program {
		for _, r := range in.reads {
			p.last[r] = i
		}
	}
	var inPlace []bool
	for i, in := range program {
		if in.node.Op() == nil || in.node.Value() != nil && len(in.reads) == 0 {
			data, err := p.bind(in.node)
			if err != nil {
				return nil, err
			}
			p.input[in.node] = data
			m.bound = append(m.bound, binding{in.node, in.node.Value()})
			inPlace = append(inPlace, false)
			continue
		}
		inPlace = append(inPlace, p.assign(i, in))
	}
	for _, n := range p.sizes {
		p.slabs = append(p.slabs, make([]T, n))
		m.bytes += n * int(elementSize[T]())
	}
	for i, in := range program {
		if p.input[in.node] != nil {
			continue
		}
		steps, err := p.emit(in, inPlace[i])
		if err != nil {
			return nil, err
		}
		m.steps = append(m.steps, steps...)
	}
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

// assign chooses the buffer of an instruction's result and reports whether it
// is that of an operand, then frees the operands that die here.
func (p *planner[T]) assign(i int, in instruction) (inPlace bool) {
	target := p.reusable(i, in)
	if target != nil {
		p.buffer[in.node] = p.buffer[target]
	} else {
		p.buffer[in.node] = p.take(max(1, in.node.Shape().TotalSize()))
	}
	if in.twin != nil {
		p.buffer[in.twin] = p.take(max(1, in.twin.Shape().TotalSize()))
	}
	released := make(map[*gorgonia.Node]bool)
	for _, r := range in.reads {
		if b, ok := p.buffer[r]; ok && p.last[r] == i && !p.pinned[r] && r != target && !released[r] {
			released[r] = true
			p.free = append(p.free, b)
		}
	}
	return target != nil
}

// reusable finds an operand that dies here and in whose memory the result may lie.
func (p *planner[T]) reusable(i int, in instruction) *gorgonia.Node {
	candidates := in.reads
	if in.fold != nil {
		for _, r := range in.reads[1:] {
			if r == in.base {
				return nil
			}
		}
		candidates = in.reads[:1]
	} else if o, ok := in.node.Op().(*op.Op); !ok || !o.InPlace() {
		return nil
	}
	for _, r := range candidates {
		if _, ok := p.buffer[r]; ok && p.last[r] == i && !p.pinned[r] && r.Shape().Eq(in.node.Shape()) {
			return r
		}
	}
	return nil
}

// take returns the smallest free buffer that is large enough, or the largest
// one grown, or a new one. Of equals it is the one freed last, which may still
// be in a cache.
func (p *planner[T]) take(size int) int {
	best := -1
	for k, b := range p.free {
		switch {
		case best < 0:
			best = k
		case p.sizes[b] >= size && (p.sizes[p.free[best]] < size || p.sizes[b] <= p.sizes[p.free[best]]),
			p.sizes[b] < size && p.sizes[p.free[best]] < size && p.sizes[b] >= p.sizes[p.free[best]]:
			best = k
		}
	}
	if best < 0 {
		p.sizes = append(p.sizes, size)
		return len(p.sizes) - 1
	}
	b := p.free[best]
	p.free = append(p.free[:best], p.free[best+1:]...)
	p.sizes[b] = max(p.sizes[b], size)
	return b
}

// emit binds an instruction to its memory.
func (p *planner[T]) emit(in instruction, inPlace bool) ([]func() error, error) {
	out := p.matrix(in.node)
	o, ok := in.node.Op().(*op.Op)
	switch {
	case in.fold != nil:
		operands := p.matrices(in.reads[1:])
		accumulate := infallible(tiled(bindAdd[T], in.fold.Op().(*op.Op), out, operands))
		if inPlace {
			return []func() error{accumulate}, nil
		}
		start := bindOp(op.ExpandOp(out.Rows, out.Cols), out, p.matrices(in.reads[:1]))
		return []func() error{infallible(start), accumulate}, nil
	case in.tiles != nil:
		return []func() error{infallible(summed(in.tiles.Op().(*op.Op), in.tiles.Shape()[0], out, p.matrices(in.reads)))}, nil
	case in.twin != nil:
		sp, sg := out, p.matrix(in.twin)
		if op.IsSigmoid(in.node.Op()) {
			sp, sg = sg, sp
		}
		return []func() error{infallible(op.BindSoftplusSigmoid(sp, sg, p.matrix(in.reads[0])))}, nil
	case ok:
		return []func() error{infallible(tiled(bindOp[T], o, out, p.matrices(in.reads)))}, nil
	}
	return []func() error{p.stock(in, out)}, nil
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

func (p *planner[T]) matrices(ns gorgonia.Nodes) []op.Matrix[T] {
	ms := make([]op.Matrix[T], len(ns))
	for i, n := range ns {
		ms[i] = p.matrix(n)
	}
	return ms
}

func elementSize[T kernel.Float]() uintptr {
	if _, ok := any(*new(T)).(float32); ok {
		return 4
	}
	return 8
}
