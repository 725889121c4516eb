package op_test

import (
	"fmt"
	"math"
	"testing"

	"cmf/graph"
	"cmf/graph/kernel"
	"cmf/graph/op"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Batches that are worked on in many stretches and groups: the three products
// against loops, alone and added to a sum, and to the same bits by any number of
// threads.
func TestConvolutionsOfManyPictures(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	for _, c := range []struct {
		n, filters int
		w          op.Window
	}{
		{3, 5, op.Window{Height: 21, Width: 19, Channels: 3, Size: 3, Stride: 1, Padding: 1}},
		{70, 4, op.Window{Height: 9, Width: 8, Channels: 2, Size: 4, Stride: 2, Padding: 1}},
		{19, 7, op.Window{Height: 12, Width: 12, Channels: 20, Size: 5, Stride: 1, Padding: 2}},
		{400, 3, op.Window{Height: 3, Width: 3, Channels: 1, Size: 3, Stride: 1}},
	} {
		w := c.w
		down, across := w.Positions()
		responses := down * across * c.filters
		draw := func(rows, cols int, phase float64) matrix {
			return build(rows, cols, func(i, j int) float64 { return math.Sin(phase + 1.7*float64(i) + .9*float64(j)) })
		}
		x, kappa, g := draw(c.n, w.Inputs(), 1), draw(w.Taps(), c.filters, 2), draw(c.n, responses, 3)
		want := map[string]matrix{}
		for name, s := range map[string]op.Shape{"y": g.Shape, "x": x.Shape, "kappa": kappa.Shape} {
			want[name] = build(s[0], s[1], func(int, int) float64 { return 0 })
		}
		for i := range c.n {
			for p := range down {
				for q := range across {
					for tap := range w.Taps() {
						pixel, ok := w.Input(tap, p, q)
						if !ok {
							continue
						}
						for f := range c.filters {
							r := (p*across+q)*c.filters + f
							want["y"].v[i*responses+r] += kappa.at(tap, f) * x.at(i, pixel)
							want["x"].v[i*w.Inputs()+pixel] += kappa.at(tap, f) * g.at(i, r)
							want["kappa"].v[tap*c.filters+f] += x.at(i, pixel) * g.at(i, r)
						}
					}
				}
			}
		}
		bits := make(map[string][]float64) // with one thread
		for _, threads := range []int{1, 3} {
			kernel.SetThreads(threads)
			for _, prec := range precisions {
				s := graph.NewScope(prec.dtype)
				nx, nk, ng := s.Input("x", c.n, w.Inputs()), s.Input("kappa", w.Taps(), c.filters), s.Input("g", c.n, responses)
				y := s.Convolve(w, nx, nk)
				out := map[string]*gorgonia.Node{"y": y, "x": s.ConvolveTransposed(w, ng, nk), "kappa": s.Grad(s.Mul(y, ng), nk)[0]}
				// The second of two equal products is added to the memory of a sum.
				out["y twice"] = s.Add(s.Scale(2, ng), s.Convolve(w, s.Scale(3, nx), nk))
				out["x twice"] = s.Add(s.Scale(2, nx), s.ConvolveTransposed(w, s.Scale(3, ng), nk))
				out["kappa twice"] = s.Add(s.Scale(2, nk), s.Grad(s.Mul(s.Convolve(w, s.Scale(3, nx), nk), ng), nk)[0])
				p := compile(t, s, out)
				fill(p.In("x"), x)
				fill(p.In("kappa"), kappa)
				fill(p.In("g"), g)
				run(t, p)
				for name, base := range map[string]matrix{"y": g, "x": x, "kappa": kappa} {
					alone, twice := p.Out(name), p.Out(name+" twice")
					scale := 1.
					for _, v := range want[name].v {
						scale = max(scale, math.Abs(v))
					}
					for i, v := range want[name].v {
						at := [2]int{i / alone.Cols, i % alone.Cols}
						if e := math.Abs(alone.At(at[0], at[1]) - v); !(e <= 4*prec.tolerance*scale) {
							t.Fatalf("%+v, %v: %s%v is off by %.2g", w, prec.dtype, name, at, e)
						}
						if e := math.Abs(twice.At(at[0], at[1]) - 2*base.v[i] - 3*v); !(e <= 12*prec.tolerance*scale) {
							t.Fatalf("%+v, %v: the sum with %s%v is off by %.2g", w, prec.dtype, name, at, e)
						}
						key := fmt.Sprint(name, prec.dtype)
						if threads == 1 {
							bits[key] = append(bits[key], alone.At(at[0], at[1]))
						} else if bits[key][i] != alone.At(at[0], at[1]) {
							t.Fatalf("%+v, %v: %s%v depends on the number of threads", w, prec.dtype, name, at)
						}
					}
				}
			}
		}
	}
}

// ⟨Ax, y⟩ = ⟨x, Aᵀy⟩ for convolutions and for resizing.
func TestAdjoints(t *testing.T) {
	const n, filters = 5, 3
	check := func(name string, from, to int, a, adjoint func(s *graph.Scope, x, kappa *gorgonia.Node) *gorgonia.Node, taps int) {
		s := graph.NewScope(tensor.Float64)
		x, y, kappa := s.Input("x", n, from), s.Input("y", n, to), s.Input("kappa", taps, filters)
		p := compile(t, s, map[string]*gorgonia.Node{
			"one": s.Sum(s.Mul(a(s, x, kappa), y)), "other": s.Sum(s.Mul(x, adjoint(s, y, kappa))),
		})
		for k, in := range []string{"x", "y", "kappa"} {
			m := p.In(in)
			fill(m, build(m.Rows, m.Cols, func(i, j int) float64 { return math.Sin(float64(k + 3*i + 2*j + i*j)) }))
		}
		run(t, p)
		one, other := p.Out("one").At(0, 0), p.Out("other").At(0, 0)
		if !(math.Abs(one-other) <= 1e-12*math.Abs(one)) || one == 0 {
			t.Errorf("%s: ⟨Ax, y⟩ = %v, ⟨x, Aᵀy⟩ = %v", name, one, other)
		}
	}
	type node = gorgonia.Node
	for _, w := range windows() {
		down, across := w.Positions()
		check(fmt.Sprintf("%+v", w), w.Inputs(), down*across*filters,
			func(s *graph.Scope, x, kappa *node) *node { return s.Convolve(w, x, kappa) },
			func(s *graph.Scope, y, kappa *node) *node { return s.ConvolveTransposed(w, y, kappa) }, w.Taps())
	}
	for _, r := range []op.Resizing{{Height: 28, Width: 28, Channels: 1, ToHeight: 12, ToWidth: 14}, {Height: 7, Width: 5, Channels: 2, ToHeight: 3, ToWidth: 5}} {
		check(fmt.Sprintf("%+v", r), r.Height*r.Width*r.Channels, r.ToHeight*r.ToWidth*r.Channels,
			func(s *graph.Scope, x, _ *node) *node { return s.Resize(r, x) },
			func(s *graph.Scope, y, _ *node) *node { return s.ResizeTransposed(r, y) }, 1)
	}
}

// Resizing by whole factors is average pooling, and keeps the mean of a picture.
func TestResizeIsAveragePooling(t *testing.T) {
	r := op.Resizing{Height: 28, Width: 28, Channels: 1, ToHeight: 14, ToWidth: 7}
	s := graph.NewScope(tensor.Float64)
	x := s.Input("x", 2, 28*28)
	p := compile(t, s, map[string]*gorgonia.Node{"y": s.Resize(r, x)})
	at := func(n, i, j int) float64 { return math.Sin(float64(n + 5*i + 3*j + i*j)) }
	fill(p.In("x"), build(2, 28*28, func(n, k int) float64 { return at(n, k/28, k%28) }))
	run(t, p)
	for n := range 2 {
		for k := range 14 * 7 {
			var sum float64
			for i := range 2 {
				for j := range 4 {
					sum += at(n, k/7*2+i, k%7*4+j)
				}
			}
			if got := p.Out("y").At(n, k); !(math.Abs(got-sum/8) <= 1e-15) {
				t.Fatalf("pixel %d of picture %d is %v, want %v", k, n, got, sum/8)
			}
		}
	}
}
