package graph

import (
	"errors"
	"fmt"
	"sync"

	"gorgonia.org/gorgonia"
)

// stockMu serialises SymDiff: stock derivatives share constants across graphs
// and write a constant's hash at its first use.
var stockMu sync.Mutex

// Grad declares ∂(Σ y)/∂x for each x of wrt by reverse mode over SymDiff, in
// y's own graph. It may be called any number of times, also on its own results:
// each call only adds nodes. Where y does not depend on x the result is nil.
func (s *Scope) Grad(y *gorgonia.Node, wrt ...*gorgonia.Node) []*gorgonia.Node {
	if s.Err != nil {
		return make([]*gorgonia.Node, len(wrt))
	}
	if y == nil {
		s.Err = errors.New("graph: gradient of a nil node")
		return make([]*gorgonia.Node, len(wrt))
	}
	shape := y.Shape()
	if len(shape) != 2 {
		s.Err = fmt.Errorf("graph: gradient of a node of shape %v; only matrices are allowed", shape)
		return make([]*gorgonia.Node, len(wrt))
	}
	order := topological(y)
	active := make(map[*gorgonia.Node]bool, len(order))
	for _, x := range wrt {
		active[x] = true
	}
	for _, n := range order {
		for i, c := range children(n) {
			if active[c] && differentiable(n, i) {
				active[n] = true
			}
		}
	}

	adjoint := map[*gorgonia.Node]*gorgonia.Node{y: s.Ones(shape[0], shape[1])}
	for i := len(order) - 1; i >= 0 && s.Err == nil; i-- {
		n := order[i]
		g := adjoint[n]
		if g == nil || !active[n] || n.Op() == nil {
			continue
		}
		op, ok := n.Op().(gorgonia.SDOp)
		if !ok {
			s.Err = fmt.Errorf("graph: %v has no derivative", n.Op())
			break
		}
		in := children(n)
		stockMu.Lock()
		parts, err := op.SymDiff(in, n, g)
		stockMu.Unlock()
		if err != nil {
			s.Err = fmt.Errorf("graph: derivative of %v: %w", n.Op(), err)
			break
		}
		for k, c := range in {
			switch {
			case !active[c] || !differentiable(n, k):
			case adjoint[c] == nil:
				adjoint[c] = parts[k]
			default:
				adjoint[c] = s.sum(adjoint[c], parts[k])
			}
		}
	}

	out := make([]*gorgonia.Node, len(wrt))
	for i, x := range wrt {
		if s.Err == nil {
			out[i] = adjoint[x]
		}
	}
	return out
}

// sum adds two contributions; stock Ops may have made scalars of them.
func (s *Scope) sum(a, b *gorgonia.Node) *gorgonia.Node {
	if len(a.Shape()) == 2 && len(b.Shape()) == 2 {
		return s.Add(a, b)
	}
	n, err := gorgonia.Add(a, b)
	if err != nil && s.Err == nil {
		s.Err = err
	}
	return n
}

func differentiable(n *gorgonia.Node, i int) bool {
	op, ok := n.Op().(gorgonia.SDOp)
	// The derivative of Gorgonia's Slice puts g among zeros of x's shape: it is
	// linear in g and does not read x, yet claims the opposite.
	if ok && fmt.Sprintf("%T", op) == "gorgonia.sliceIncrOp" {
		return i == 1
	}
	return ok && op.DiffWRT(len(children(n)))[i]
}

// children lists the operands of n in order.
func children(n *gorgonia.Node) gorgonia.Nodes {
	it := n.Graph().From(n.ID())
	if it == nil {
		return nil
	}
	ns := make(gorgonia.Nodes, 0, it.Len())
	for it.Next() {
		ns = append(ns, it.Node().(*gorgonia.Node))
	}
	return ns
}

// topological lists the nodes that roots depend on, operands before results.
func topological(roots ...*gorgonia.Node) gorgonia.Nodes {
	var order gorgonia.Nodes
	seen := make(map[*gorgonia.Node]bool)
	var visit func(n *gorgonia.Node)
	visit = func(n *gorgonia.Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, c := range children(n) {
			visit(c)
		}
		order = append(order, n)
	}
	for _, r := range roots {
		visit(r)
	}
	return order
}
