package graph

import (
	"slices"

	"cmf/graph/op"

	"gorgonia.org/gorgonia"
)

// stage is a run of instructions that threads may share.
type stage struct {
	instructions []instruction

	// rows, where positive, is the number of rows of every result. A row of a
	// result needs only the same row of other results of the stage, so each
	// thread can take its own rows through all instructions. Where rows is 0,
	// the instructions do not need each other, and each can be done by its own
	// thread.
	rows int

	whole map[*gorgonia.Node]bool // nodes that instructions on rows read in full
}

// fewestRows is the least number of rows for which a stage on rows is made.
var fewestRows = 64

// schedule orders a program by stages. These take turns: as many instructions
// on rows as possible, then all others that are ready. With one thread every
// instruction is a stage of its own, so that each result is used as soon as it
// is there.
func schedule(program []instruction, threads int) []stage {
	var stages []stage
	if threads == 1 {
		for _, in := range program {
			stages = append(stages, stage{instructions: []instruction{in}})
		}
		return stages
	}
	made := make(map[*gorgonia.Node]bool)
	for len(program) > 0 {
		var s stage
		if s, program = nextOnRows(program, made); len(s.instructions) > 0 {
			stages = append(stages, s)
		}
		if s, program = nextReady(program, made); len(s.instructions) > 0 {
			stages = append(stages, s)
		}
	}
	return stages
}

// nextOnRows takes the instructions of a stage on rows from the program, and
// marks what they make.
func nextOnRows(program []instruction, made map[*gorgonia.Node]bool) (s stage, rest []instruction) {
	s.whole = make(map[*gorgonia.Node]bool)
	here := make(map[*gorgonia.Node]bool)
	for _, in := range program {
		rows, whole, ok := in.onRows()
		ok = ok && (s.rows == 0 || rows == s.rows) && !slices.ContainsFunc(in.reads, func(r *gorgonia.Node) bool {
			return !made[r] && (!here[r] || slices.Contains(whole, r))
		})
		if !ok {
			rest = append(rest, in)
			continue
		}
		s.instructions, s.rows = append(s.instructions, in), rows
		for _, n := range whole {
			s.whole[n] = true
		}
		for _, n := range in.results() {
			here[n] = true
		}
	}
	for n := range here {
		made[n] = true
	}
	return s, rest
}

// nextReady takes the instructions whose operands are all made, except those
// that may become part of a stage on rows, and marks what they make.
func nextReady(program []instruction, made map[*gorgonia.Node]bool) (s stage, rest []instruction) {
	for _, in := range program {
		_, _, onRows := in.onRows()
		if onRows || slices.ContainsFunc(in.reads, func(r *gorgonia.Node) bool { return !made[r] }) {
			rest = append(rest, in)
		} else {
			s.instructions = append(s.instructions, in)
		}
	}
	for _, in := range s.instructions {
		for _, n := range in.results() {
			made[n] = true
		}
	}
	return s, rest
}

// onRows reports whether every row of the result needs only one row of each
// operand. Operands that it needs in full are allowed too: whole lists them.
func (in *instruction) onRows() (rows int, whole gorgonia.Nodes, ok bool) {
	if in.node.Op() == nil || len(in.node.Shape()) != 2 || in.tiles != nil {
		return 0, nil, false
	}
	rows = in.node.Shape()[0]
	if rows < fewestRows {
		return 0, nil, false
	}
	byRow := func(ns ...*gorgonia.Node) bool {
		for _, n := range ns {
			switch {
			case len(n.Shape()) != 2:
				return false
			case n.Shape()[0] == 1:
				whole = append(whole, n)
			case n.Shape()[0] != rows:
				return false
			}
		}
		return true
	}
	if in.base != nil && !byRow(in.base) {
		return 0, nil, false
	}
	switch factors := in.operands(); {
	case in.products != nil:
		for i, p := range in.products {
			if !op.OnRows(p.Op()) || factors[2*i].Shape()[0] != rows {
				return 0, nil, false
			}
			whole = append(whole, factors[2*i+1])
		}
		return rows, whole, true
	case in.fold != nil:
		return rows, whole, op.OnRows(in.fold.Op()) && byRow(factors...)
	default:
		return rows, whole, op.OnRows(in.node.Op()) && byRow(factors...)
	}
}

// cost estimates the time of an instruction on one thread, in ns.
func (in *instruction) cost() float64 {
	const perElement, perProduct = .15, .01
	size := in.node.Shape().TotalSize()
	elements := size
	for _, r := range in.reads {
		elements += r.Shape().TotalSize()
	}
	cost := perElement * float64(elements)
	factors := in.operands()
	for i, p := range in.products {
		x := factors[2*i].Shape()
		between := x[1]
		if !op.OnRows(p.Op()) {
			between = x[0]
		}
		cost += perProduct * float64(size) * float64(between)
	}
	one := in.node
	if in.fold != nil {
		one = in.fold
	}
	if o, ok := one.Op().(*op.Op); ok && in.products == nil {
		cost += perProduct * float64(o.Products(shapesOf(factors)))
	}
	return cost
}

func shapesOf(ns gorgonia.Nodes) []op.Shape {
	shapes := make([]op.Shape, len(ns))
	for i, n := range ns {
		copy(shapes[i][:], n.Shape())
	}
	return shapes
}
