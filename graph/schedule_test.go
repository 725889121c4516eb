package graph

import (
	"slices"
	"testing"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A batch goes through a network and back in one stage on rows. The gradients
// in the weights, which are sums over rows, follow side by side. With one
// thread there are no such stages.
func TestSchedule(t *testing.T) {
	s := NewScope(tensor.Float32)
	ps := newParams(t, tensor.Float32)
	w, v := ps.New("w", 3, 8), ps.New("v", 8, 1)
	a := s.MatMul(s.Input("x", 2*fewestRows, 3), false, s.Param(w), false)
	y := s.MatMul(s.Softplus(a), false, s.Param(v), false)
	grads := s.Grad(y, s.Param(w), s.Param(v))
	outputs := append(gorgonia.Nodes{y}, grads...)
	pinned := make(map[*gorgonia.Node]bool)
	for _, n := range outputs {
		pinned[n] = true
	}
	program := fuse(topological(outputs...), pinned)
	stages := schedule(slices.Clone(program), 2)
	var rows, sizes []int
	for _, st := range stages {
		rows, sizes = append(rows, st.rows), append(sizes, len(st.instructions))
	}
	// Three stages: inputs; the products, softplus, sigmoid and the way back;
	// gradients.
	if !slices.Equal(rows, []int{0, 2 * fewestRows, 0}) || sizes[2] != 2 {
		t.Errorf("stages of %v instructions on %v rows; want inputs, one stage on %d rows, and two gradients", sizes, rows, 2*fewestRows)
	}
	if alone := schedule(program, 1); len(alone) != len(program) {
		t.Errorf("a lone thread has %d stages of %d instructions", len(alone), len(program))
	}
}

// Threads change no bit of a network's gradients, however the batch is cut.
func TestThreadsChangeNothing(t *testing.T) {
	before := kernel.Threads()
	defer kernel.SetThreads(before)
	worth := worthwhile
	worthwhile = 0
	defer func() { worthwhile = worth }()
	var first map[string][]uint64
	for _, threads := range []int{1, 2, 3} {
		kernel.SetThreads(threads)
		s := NewScope(tensor.Float32)
		ps := newParams(t, tensor.Float32)
		out := make(nodes)
		z := s.Input("x", 301, 5)
		for l, width := range []int{40, 33, 1} {
			p := ps.New(string(rune('a'+l)), z.Shape()[1], width)
			p.Fill(func(i int) float64 { return .3 - float64(i%7)/11 })
			z = s.Softplus(s.MatMul(z, false, s.Param(p), false))
		}
		for i, g := range s.Grad(z, s.Param(ps.All()[0]), s.Param(ps.All()[1]), s.inputs[0]) {
			out[string(rune('a'+i))] = g
		}
		p := compile(t, s, out)
		fill(p.In("x"), 1)
		got := make(map[string][]uint64)
		for range 5 {
			run(t, p)
			for name := range out {
				bits := p.Out(name).bits()
				if got[name] != nil && !slices.Equal(got[name], bits) {
					t.Fatalf("%d threads: %s differs between runs", threads, name)
				}
				got[name] = bits
			}
		}
		if first == nil {
			first = got
		}
		for name := range out {
			if !slices.Equal(first[name], got[name]) {
				t.Errorf("%d threads change %s", threads, name)
			}
		}
	}
}

// A matrix that another thread may still read in full is not written over, even
// where a result has its shape. Within a call of Parallel the parts of a stage
// run one after another, which is the worst order.
func TestStagesSpareWhatIsReadInFull(t *testing.T) {
	defer eagerThreads()()
	const n = 6
	s := NewScope(tensor.Float64)
	x := s.Input("x", n, n)
	z := s.MatMul(x, true, x, false) // in no stage on rows
	p := compile(t, s, nodes{"o": s.Add(s.Exp(s.MatMul(x, false, z, false)), s.Tanh(z))})
	fill(p.In("x"), 1)
	kernel.SetThreads(1)
	run(t, p)
	alone := p.Out("o").bits()
	kernel.SetThreads(3)
	kernel.Parallel(2, 1, func(lo, _ int) {
		if lo > 0 {
			return
		}
		for range 4 {
			run(t, p)
			if !slices.Equal(p.Out("o").bits(), alone) {
				t.Error("threads change the result")
			}
		}
	})
}
