package graph

import (
	"cmf/graph/blas"
	"cmf/graph/kernel"
	"cmf/graph/op"

	"gorgonia.org/gorgonia"
)

// instruction computes one node. As a rule it reads the node's operands; four
// kinds avoid an intermediate result:
//   - with products set, the node is the sum of these products, plus base where
//     that is set. It takes one pass over the node's memory; reads lists base
//     and then the factors;
//   - with fold set, the node is a sum whose operand fold is accumulated
//     straight into it; reads lists base and then the operands of fold;
//   - with twin set, twin is computed too: node is the softplus and twin the
//     sigmoid of the same operand, or the other way round;
//   - with tiles set, the node is the sum over the tiles of the product tiles;
//     reads lists the operands of that product.
type instruction struct {
	node     *gorgonia.Node
	base     *gorgonia.Node
	products gorgonia.Nodes
	fold     *gorgonia.Node
	twin     *gorgonia.Node
	tiles    *gorgonia.Node
	reads    gorgonia.Nodes
}

// results are the nodes that the instruction computes.
func (in *instruction) results() gorgonia.Nodes {
	if in.twin != nil {
		return gorgonia.Nodes{in.node, in.twin}
	}
	return gorgonia.Nodes{in.node}
}

// operands are what the instruction reads besides its base.
func (in *instruction) operands() gorgonia.Nodes {
	if in.base != nil {
		return in.reads[1:]
	}
	return in.reads
}

// fuser turns nodes into instructions.
type fuser struct {
	pinned  map[*gorgonia.Node]bool
	users   map[*gorgonia.Node]gorgonia.Nodes
	sources map[*gorgonia.Node]*gorgonia.Node // of the tiles that are never laid out
}

// fuse lists the instructions for nodes, in order. Pinned nodes must be
// computed as they are.
func fuse(order gorgonia.Nodes, pinned map[*gorgonia.Node]bool) []instruction {
	f := fuser{pinned, make(map[*gorgonia.Node]gorgonia.Nodes), make(map[*gorgonia.Node]*gorgonia.Node)}
	for _, n := range order {
		for _, c := range children(n) {
			f.users[c] = append(f.users[c], n)
		}
	}
	for _, n := range order {
		if op.IsTile(n.Op()) && !pinned[n] && f.readByBlocks(n) {
			f.sources[n] = children(n)[0]
		}
	}
	spared := make(map[*gorgonia.Node]bool)
	at := make(map[*gorgonia.Node]int) // instruction of a node
	var program []instruction
	slopes := make(map[*gorgonia.Node]int) // instruction of a softplus or sigmoid, by operand
	for _, n := range order {
		in := instruction{node: n, reads: f.operands(n)}
		switch {
		case f.sources[n] != nil:
			continue
		case op.IsSoftplus(n.Op()) || op.IsSigmoid(n.Op()):
			x := in.reads[0]
			if i, ok := slopes[x]; ok && program[i].twin == nil && program[i].node.Op() != n.Op() {
				program[i].twin = n
				continue
			}
			slopes[x] = len(program)
		case op.IsMatMul(n.Op()):
			in.products = gorgonia.Nodes{n}
		case op.AddOp(n.Op()):
			if joined := f.join(&in, program, at); joined != nil {
				for _, c := range joined {
					spared[c] = true
				}
				break
			}
			for k := 1; k >= 0 && in.fold == nil; k-- {
				if c := in.reads[k]; f.accumulates(c) && c.Shape().Eq(n.Shape()) {
					in.fold, in.base = c, in.reads[1-k]
				}
			}
			if in.fold != nil {
				spared[in.fold] = true
				in.reads = append(gorgonia.Nodes{in.base}, f.operands(in.fold)...)
			}
		case op.IsSumTiles(n.Op()):
			if c := in.reads[0]; f.accumulates(c) && c.Op().(*op.Op).InPlace() {
				spared[c] = true
				in.tiles, in.reads = c, f.operands(c)
			}
		}
		at[n] = len(program)
		program = append(program, in)
	}
	kept := program[:0]
	for _, in := range program {
		if !spared[in.node] {
			kept = append(kept, in)
		}
	}
	return kept
}

// join turns in, a sum of two operands, into one sum of products with at most
// one base. It returns the operands that become part of it, nil for none.
func (f *fuser) join(in *instruction, program []instruction, at map[*gorgonia.Node]int) (taken gorgonia.Nodes) {
	x, y := in.reads[0], in.reads[1]
	part := func(c *gorgonia.Node) (p instruction, ok bool) {
		if i, made := at[c]; made && len(f.users[c]) == 1 && !f.pinned[c] && c.Shape().Eq(in.node.Shape()) {
			p = program[i]
		}
		return p, p.products != nil
	}
	a, isA := part(x)
	b, isB := part(y)
	switch {
	case isA && isB && (a.base == nil || b.base == nil) && len(a.products)+len(b.products) <= blas.MaxTerms:
		in.products = append(append(in.products, a.products...), b.products...)
		if in.base = a.base; in.base == nil {
			in.base = b.base
		}
		taken = gorgonia.Nodes{x, y}
	case isB && b.base == nil:
		in.products, in.base, taken = b.products, x, gorgonia.Nodes{y}
	case isA && a.base == nil:
		in.products, in.base, taken = a.products, y, gorgonia.Nodes{x}
	default:
		return nil
	}
	in.reads = nil
	if in.base != nil {
		in.reads = append(in.reads, in.base)
	}
	for _, p := range in.products {
		in.reads = append(in.reads, f.operands(p)...)
	}
	return taken
}

// readByBlocks reports whether all nodes that read the tiles n are elementwise:
// they can then read the source of n once for each tile.
func (f *fuser) readByBlocks(n *gorgonia.Node) bool {
	if children(n)[0].Shape()[0] == 1 {
		return false // a source of one row would be taken for a repeated row
	}
	for _, u := range f.users[n] {
		// A sum may take its operand as the base of an accumulation.
		o, ok := u.Op().(*op.Op)
		if !ok || !o.InPlace() || o.Arity() < 2 || op.AddOp(o) || !u.Shape().Eq(n.Shape()) {
			return false
		}
	}
	return true
}

// accumulates reports whether n can be added to a sum instead of being laid out.
func (f *fuser) accumulates(n *gorgonia.Node) bool {
	o, ok := n.Op().(*op.Op)
	return ok && o.Accumulates() && len(f.users[n]) == 1 && !f.pinned[n]
}

// operands are what n reads.
func (f *fuser) operands(n *gorgonia.Node) gorgonia.Nodes {
	ns := children(n)
	for i, c := range ns {
		if source := f.sources[c]; source != nil {
			ns[i] = source
		}
	}
	return ns
}

type binder[T kernel.Float] func(o *op.Op, out op.Matrix[T], in []op.Matrix[T]) func()

// tiled binds an operation. An operand with fewer rows than the result stands
// for tiles of it, and is read once for each tile.
func tiled[T kernel.Float](bind binder[T], o *op.Op, out op.Matrix[T], in []op.Matrix[T]) func() {
	k := 1
	if o.InPlace() {
		for _, m := range in {
			if m.Rows > 1 {
				k = max(k, out.Rows/m.Rows)
			}
		}
	}
	if k == 1 {
		return bind(o, out, in)
	}
	blocks := make([]func(), k)
	for j := range blocks {
		blocks[j] = bind(o, block(out, j, k, out.Rows), blocksOf(in, j, k, out.Rows))
	}
	return func() {
		for _, f := range blocks {
			f()
		}
	}
}

// summed binds the sum over the tiles of an elementwise operation. The
// operation's own result would have the given rows.
func summed[T kernel.Float](o *op.Op, rows int, out op.Matrix[T], in []op.Matrix[T]) func() {
	blocks := make([]func(), rows/out.Rows)
	for j := range blocks {
		bind := bindAdd[T]
		if j == 0 {
			bind = bindOp[T]
		}
		blocks[j] = bind(o, out, blocksOf(in, j, len(blocks), rows))
	}
	return func() {
		for _, f := range blocks {
			f()
		}
	}
}

func blocksOf[T kernel.Float](in []op.Matrix[T], j, k, rows int) []op.Matrix[T] {
	parts := make([]op.Matrix[T], len(in))
	for i, m := range in {
		parts[i] = block(m, j, k, rows)
	}
	return parts
}

// block returns the j-th of k blocks of the rows of m. A matrix that does not
// have the given rows is the same in every block, and is returned whole.
func block[T kernel.Float](m op.Matrix[T], j, k, rows int) op.Matrix[T] {
	if m.Rows != rows {
		return m
	}
	n := rows / k
	return op.Matrix[T]{Rows: n, Cols: m.Cols, Data: m.Data[j*n*m.Cols : (j+1)*n*m.Cols]}
}
