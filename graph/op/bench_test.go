package op_test

import (
	"fmt"
	"testing"

	"cmf/graph"
	"cmf/graph/op"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// BenchmarkSquares measures log-determinants and inverses of 1024 matrices.
func BenchmarkSquares(b *testing.B) {
	const n = 1024
	for _, d := range []int{2, 8, 32} {
		s := graph.NewScope(tensor.Float32)
		h := s.Input("h", n, d*d)
		data := h.Value().Data().([]float32)
		for i := range data {
			if i%(d*d)%(d+1) == 0 {
				data[i] = 2
			}
		}
		for name, y := range map[string]*gorgonia.Node{"LogDet": s.LogDet(d, h), "InverseSPD": s.InverseSPD(d, h)} {
			p := compile(b, s, map[string]*gorgonia.Node{"y": y})
			b.Run(fmt.Sprintf("%s/d=%d", name, d), func(b *testing.B) {
				for b.Loop() {
					run(b, p)
				}
			})
		}
	}
}

// BenchmarkBroadcast adds a row to batches of short and of long rows.
func BenchmarkBroadcast(b *testing.B) {
	for _, shape := range [][2]int{{1024, 2}, {256, 512}} {
		s := graph.NewScope(tensor.Float32)
		x, row := s.Input("x", shape[0], shape[1]), s.Input("row", 1, shape[1])
		p := compile(b, s, map[string]*gorgonia.Node{"y": s.Add(x, row)})
		b.Run(fmt.Sprint(shape), func(b *testing.B) {
			for b.Loop() {
				run(b, p)
			}
		})
	}
}

// BenchmarkConvolutions times the three products with the squares of 256 pictures.
func BenchmarkConvolutions(b *testing.B) {
	const n = 256
	for _, c := range []struct {
		name    string
		w       op.Window
		filters int
	}{
		{"first", op.Window{Height: 28, Width: 28, Channels: 1, Size: 4, Stride: 2, Padding: 1}, 32},
		{"second", op.Window{Height: 14, Width: 14, Channels: 32, Size: 4, Stride: 2, Padding: 1}, 64},
		{"stride 1", op.Window{Height: 14, Width: 14, Channels: 32, Size: 3, Stride: 1, Padding: 1}, 32},
	} {
		down, across := c.w.Positions()
		s := graph.NewScope(tensor.Float32)
		x, g := s.Input("x", n, c.w.Inputs()), s.Input("g", n, down*across*c.filters)
		kappa := s.Input("kappa", c.w.Taps(), c.filters)
		for _, in := range []*gorgonia.Node{x, g, kappa} {
			for i := range in.Value().Data().([]float32) {
				in.Value().Data().([]float32)[i] = 1
			}
		}
		y := s.Convolve(c.w, x, kappa)
		for _, o := range []struct {
			name string
			y    *gorgonia.Node
		}{{"Convolve", y}, {"Transposed", s.ConvolveTransposed(c.w, g, kappa)}, {"Filters", s.Grad(s.Mul(y, g), kappa)[0]}} {
			p := compile(b, s, map[string]*gorgonia.Node{"y": o.y})
			b.Run(c.name+"/"+o.name, func(b *testing.B) {
				for b.Loop() {
					run(b, p)
				}
				work := 2 * float64(n*down*across*c.w.Taps()*c.filters)
				b.ReportMetric(work*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
