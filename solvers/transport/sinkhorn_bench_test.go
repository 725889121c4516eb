package transport

import (
	"fmt"
	"testing"

	"cmf/graph/blas"
	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
)

func BenchmarkSinkhorn(b *testing.B) {
	for _, n := range []int{256, 512, 1024, 2048} {
		cost := distances(b, problem.NormalBatch(n, 2, "x"), problem.NormalBatch(n, 2, "y"))
		for _, epsilon := range []float64{.05, .01, .001} {
			b.Run(fmt.Sprintf("n=%d/epsilon=%g", n, epsilon), func(b *testing.B) {
				s := Sinkhorn{Epsilon: epsilon}
				for b.Loop() {
					if _, err := s.Solve(cost, nil, nil); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(s.transport.coupling.Iterations), "iterations")
			})
		}
	}
}

func BenchmarkSinkhornBarycentres(b *testing.B) {
	if _, err := blas.Use("auto", 0); err != nil { // as the programs do
		b.Fatal(err)
	}
	for _, d := range []int{2, 64} {
		for _, n := range []int{256, 512, 1024} {
			x, y, dst := problem.NormalBatch(n, d, "x"), problem.NormalBatch(n, d, "y"), batch.New(n, d)
			b.Run(fmt.Sprintf("d=%d/n=%d", d, n), func(b *testing.B) {
				var s Sinkhorn
				for b.Loop() {
					if _, err := s.Barycentres(dst, x, y); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(s.transport.coupling.Iterations), "iterations")
			})
		}
	}
}
