package op_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"cmf/graph"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A row some of whose pieces are off has the solution among the others alone, with guesses and
// without, and so it is after rows have changed their pieces.
func TestGatedArgmax(t *testing.T) {
	for _, c := range []struct{ dim, rank int }{{2, 2}, {12, 12}, {40, 3}} {
		for _, guessed := range []bool{false, true} {
			t.Run(fmt.Sprint(c, guessed), func(t *testing.T) {
				const n, pieces, classes = 21, 12, 3
				const each = pieces / classes
				all := newQuadratics(c.dim, pieces, c.rank, .3, 4)
				all.rows = n
				shared := all.b
				s := graph.NewScope(tensor.Float32)
				x, guess := s.Input("x", n, c.dim), s.Input("guess", n, c.dim)
				solve := func(s *graph.Scope, q quadratics, x, guess *gorgonia.Node) *graph.Program {
					if !guessed {
						guess = nil
					}
					return compile(t, s, map[string]*gorgonia.Node{"y": s.Argmax(q.Quadratics, x, guess, q.declare(s))})
				}
				p := solve(s, all, x, guess)
				r := rand.New(rand.NewPCG(8, 8))
				normal := func(int, int) float64 { return 2 * r.NormFloat64() }
				for round := range 2 {
					class := func(i int) int { return (i*(round+1) + round) % (classes + 1) } // the last has all pieces
					all.b = build(n, pieces, func(i, k int) float64 {
						if c := class(i); c < classes && k/each != c {
							return shared.at(0, k) - 1e6
						}
						return shared.at(0, k)
					})
					points, guesses := build(n, c.dim, normal), build(n, c.dim, normal)
					all.fill(p)
					fill(p.In("x"), points)
					if guessed {
						fill(p.In("guess"), guesses)
					}
					run(t, p)
					for k := range classes + 1 {
						one, lo, hi := all, k*each, (k+1)*each
						if k == classes {
							lo, hi = 0, pieces
						}
						one.Pieces, one.rows = hi-lo, 0
						one.f = build((hi-lo)*c.rank, c.dim, func(i, j int) float64 { return all.f.at(lo*c.rank+i, j) })
						one.d = build(hi-lo, c.dim, func(i, j int) float64 { return all.d.at(lo+i, j) })
						one.c = build(hi-lo, c.dim, func(i, j int) float64 { return all.c.at(lo+i, j) })
						one.b = build(1, hi-lo, func(_, i int) float64 { return shared.at(0, lo+i) })
						for i := range n {
							if class(i) != k {
								continue
							}
							s := graph.NewScope(tensor.Float32)
							q := solve(s, one, s.Input("x", 2, c.dim), s.Input("guess", 2, c.dim))
							one.fill(q)
							row := func(m matrix) matrix { return build(2, c.dim, func(_, j int) float64 { return m.at(i, j) }) }
							fill(q.In("x"), row(points))
							if guessed {
								fill(q.In("guess"), row(guesses))
							}
							run(t, q)
							for j := range c.dim {
								if got, want := p.Out("y").At(i, j), q.Out("y").At(0, j); math.Abs(got-want) > 5e-4*(1+math.Abs(want)) {
									t.Fatalf("round %d, row %d of class %d: coordinate %d is %v, alone %v", round, i, k, j, got, want)
								}
							}
						}
					}
				}
			})
		}
	}
}
