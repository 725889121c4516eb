package losses

import (
	"fmt"
	"testing"

	"cmf/layers"
)

// BenchmarkUnits times the gradients of the semi-dual in the plane, for a batch of
// 1024, by units and depth.
func BenchmarkUnits(b *testing.B) {
	for _, depth := range []int{1, 2, 4} {
		for _, unit := range []layers.Unit{layers.Softplus, layers.Maximum} {
			b.Run(fmt.Sprintf("%s/depth %d", unit, depth), func(b *testing.B) {
				a := layers.Architecture{Dim: 2, Unit: unit}
				for range depth {
					a.Hidden = append(a.Hidden, 64)
				}
				w, err := layers.NewICNN(a)
				if err != nil {
					b.Fatal(err)
				}
				randomise(w)
				dual := Sum{{1, Dual{}}}
				p, _, err := Compile(w, dual, 1024)
				if err != nil {
					b.Fatal(err)
				}
				fill(p, dual)
				for b.Loop() {
					if err := p.Run(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
