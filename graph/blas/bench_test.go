package blas

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkGemm measures m×n×k products: those of a potential of width 512 on
// 256 points of dimension 784, those of a potential of width 64 on 1024 points
// of dimension 2, and small ones.
func BenchmarkGemm(b *testing.B) {
	shapes := [][3]int{
		{256, 512, 784}, {256, 784, 512}, {784, 512, 256}, {512, 512, 256},
		{1024, 64, 64}, {64, 64, 1024}, {1024, 64, 2}, {1024, 2, 64}, {64, 2, 1024}, {256, 1, 512},
		{8, 8, 8}, {16, 16, 16}, {32, 32, 32}, {4, 64, 64},
	}
	for _, name := range names {
		for _, threads := range []int{1, 2} {
			for _, s := range shapes {
				for _, trans := range []string{"NN", "NT", "TN", "TT"} {
					id := fmt.Sprintf("%s/%d/%dx%dx%d/%s", name, threads, s[0], s[1], s[2], trans)
					b.Run("float32/"+id, func(b *testing.B) { benchmark[float32](b, name, threads, s, trans) })
					b.Run("float64/"+id, func(b *testing.B) { benchmark[float64](b, name, threads, s, trans) })
				}
			}
		}
	}
}

func benchmark[T float](b *testing.B, name string, threads int, s [3]int, trans string) {
	use(b, name, threads)
	p := random[T](rand.New(rand.NewPCG(1, 1)), trans[0] == 'T', trans[1] == 'T', s[0], s[1], s[2], 0)
	for b.Loop() {
		p.run()
	}
	b.ReportMetric(2*float64(p.work())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
