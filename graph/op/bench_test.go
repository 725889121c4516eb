package op_test

import (
	"fmt"
	"testing"

	"cmf/graph"

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
