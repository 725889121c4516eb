package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkOperations reports ns per element on vectors of 16 KiB. These stay
// in the first-level cache, so that arithmetic is measured and not memory.
func BenchmarkOperations(b *testing.B) {
	const n = 4096
	rng := rand.New(rand.NewPCG(1, 2))
	x, y, o, m := normals[float32](rng, n), normals[float32](rng, n), make([]float32, n), make([]float32, n)
	run := func(name string, op func()) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				op()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/elem")
		})
	}
	fast := active
	defer func() { active = fast }()
	for _, active = range paths {
		name := Features() + "/"
		run(name+"Softplus", func() { Softplus(o, x) })
		run(name+"Sigmoid", func() { Sigmoid(o, x) })
		run(name+"SoftplusSigmoid", func() { SoftplusSigmoid(o, m, x) })
		run(name+"SigmoidGrad", func() { SigmoidGrad(o, x, y) })
		run(name+"SigmoidGrad2", func() { SigmoidGrad2(o, x, y, m) })
		run(name+"Exp", func() { Exp(o, x) })
		run(name+"Log", func() { Log(o, x) })
		run(name+"Add", func() { Add(o, x, y) })
		run(name+"Mul", func() { Mul(o, x, y) })
		run(name+"MulAdd", func() { MulAdd(o, x, y) })
		run(name+"Axpy", func() { Axpy(o, 0.5, x) })
		run(name+"Affine", func() { Affine(o, 0.5, x, 1) })
		run(name+"Relu", func() { Relu(o, x) })
		run(name+"Step", func() { Step(o, x) })
		run(name+"Sum", func() { Sum(x) })
		run(name+"Dot", func() { Dot(x, y) })
		run(name+"Dsdot", func() { Dsdot(x, y) })
		run(name+"SqDist", func() { SqDist(x, y) })
		clear(m)
		clear(o)
		v := make([]float32, n)
		run(name+"Adam", func() { Adam(adamDefault(1), o, y, m, v) })
	}
}

// BenchmarkTails reports ns per element where every argument is x: no x may be
// slower than another.
func BenchmarkTails(b *testing.B) {
	const n = 4096
	o, m, x, g := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
	fast := active
	defer func() { active = fast }()
	for _, active = range paths {
		for name, op := range map[string]func(){
			"Softplus":        func() { Softplus(o, x) },
			"Sigmoid":         func() { Sigmoid(o, x) },
			"SoftplusSigmoid": func() { SoftplusSigmoid(o, m, x) },
			"Exp":             func() { Exp(o, x) },
			"SigmoidGrad":     func() { SigmoidGrad(o, m, g) },
			"Mul":             func() { Mul(o, m, m) },
		} {
			for _, at := range []float32{-120, -110, -104, -100, -95, -90, -88, -87, -80, -60, -50, -40, -20, -5, 0, 5, 20} {
				b.Run(fmt.Sprintf("%s/%s/%g", Features(), name, at), func(b *testing.B) {
					for i := range x {
						x[i], g[i] = at, 1e-20
					}
					Sigmoid(m, x)
					for b.Loop() {
						op()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/elem")
				})
			}
		}
	}
}
