package graph

import (
	"fmt"

	"cmf/graph/op"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// stock runs an Op of Gorgonia or of a user. The Op gets headers made for this
// run, because Reshape and others write into them, and copies of the operands
// that it overwrites.
func (p *planner[T]) stock(in instruction, out op.Matrix[T]) func() error {
	o, reads := in.node.Op(), in.reads
	return func() error {
		operands := make([]gorgonia.Value, len(reads))
		for i, r := range reads {
			v := p.value(r)
			if t, ok := v.(tensor.Tensor); ok && o.OverwritesInput() >= 0 {
				v = t.Clone().(gorgonia.Value)
			}
			operands[i] = v
		}
		var v gorgonia.Value
		var err error
		if pre, ok := o.(gorgonia.UsePreallocDoer); ok && len(in.node.Shape()) > 0 {
			clear(out.Data) // the derivative of Slice adds to what it finds
			v, err = pre.UsePreallocDo(p.value(in.node), operands...)
		} else {
			v, err = o.Do(operands...)
		}
		if err != nil {
			return fmt.Errorf("graph: %v: %w", o, err)
		}
		if d, ok := v.(*tensor.Dense); ok && d.RequiresIterator() {
			v = d.Materialize().(*tensor.Dense)
		}
		switch data := v.Data().(type) {
		case []T:
			copy(out.Data, data)
		case T:
			out.Data[0] = data
		default:
			return fmt.Errorf("graph: %v gave %T", o, v.Data())
		}
		return nil
	}
}

// value is a header over a node's memory, or a copy of a scalar.
func (p *planner[T]) value(n *gorgonia.Node) gorgonia.Value {
	data := p.data(n)
	if len(n.Shape()) == 0 {
		switch v := any(data[0]).(type) {
		case float32:
			return gorgonia.NewF32(v)
		default:
			return gorgonia.NewF64(v.(float64))
		}
	}
	return tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(data))
}
