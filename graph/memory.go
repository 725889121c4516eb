package graph

import (
	"slices"

	"cmf/graph/op"

	"gorgonia.org/gorgonia"
)

// assign chooses the buffer of an instruction's result and reports whether it
// is an operand's buffer. Then it frees the operands that die here.
func (p *planner[T]) assign(i int, in instruction, st stage) (inPlace bool) {
	target := p.reusable(i, in, st)
	if target != nil {
		p.buffer[in.node] = p.buffer[target]
	} else {
		p.buffer[in.node] = p.take(in.node, st)
	}
	if in.twin != nil {
		p.buffer[in.twin] = p.take(in.twin, st)
	}
	released := make(map[*gorgonia.Node]bool)
	for _, r := range in.reads {
		if b, ok := p.buffer[r]; ok && p.last[r] == i && !p.pinned[r] && r != target && !released[r] {
			released[r] = true
			if st.rows > 0 && r.Shape()[0] == st.rows && !st.whole[r] {
				p.usedIn[b], p.cols[b] = p.stage, r.Shape().TotalSize()/st.rows
				p.free = append(p.free, b)
			} else {
				p.later = append(p.later, b)
			}
		}
	}
	return target != nil
}

// reusable finds an operand that dies here and can give its memory to the
// result.
func (p *planner[T]) reusable(i int, in instruction, st stage) *gorgonia.Node {
	candidates := in.reads
	if in.fold != nil || in.products != nil {
		if in.base == nil {
			return nil
		}
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
		if _, ok := p.buffer[r]; ok && p.last[r] == i && !p.pinned[r] && r.Shape().Eq(in.node.Shape()) && !st.shared(r) {
			return r
		}
	}
	return nil
}

// shared reports whether another instruction may read r while one of the stage
// writes over it.
func (st *stage) shared(r *gorgonia.Node) bool {
	if st.rows > 0 {
		return st.whole[r]
	}
	readers := 0
	for _, in := range st.instructions {
		if slices.Contains(in.reads, r) {
			readers++
		}
	}
	return readers > 1
}

// take returns the smallest free buffer that is large enough for n, or the
// largest one grown, or a new one. Among equals it takes the one freed last,
// which may still be in a cache.
func (p *planner[T]) take(n *gorgonia.Node, st stage) int {
	size, cols := max(1, n.Shape().TotalSize()), 0
	if st.rows > 0 {
		cols = size / st.rows
	}
	best := -1
	for k, b := range p.free {
		if used, ok := p.usedIn[b]; ok && used == p.stage && p.cols[b] != cols {
			continue
		}
		switch {
		case best < 0:
			best = k
		case p.sizes[b] >= size && (p.sizes[p.free[best]] < size || p.sizes[b] <= p.sizes[p.free[best]]),
			p.sizes[b] < size && p.sizes[p.free[best]] < size && p.sizes[b] >= p.sizes[p.free[best]]:
			best = k
		}
	}
	b := len(p.sizes)
	if best < 0 {
		p.sizes = append(p.sizes, size)
	} else {
		b = p.free[best]
		p.free = append(p.free[:best], p.free[best+1:]...)
		p.sizes[b] = max(p.sizes[b], size)
	}
	p.usedIn[b], p.cols[b] = p.stage, cols
	return b
}
