package fit

import (
	"fmt"
	"testing"

	"cmf/experiments/config"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"
)

// BenchmarkContexts times iterations of CMFGen on the same points by networks of the same
// width, without contexts and with four.
func BenchmarkContexts(b *testing.B) {
	const n, d, k = 8192, 4, 4
	rng := random.New(1, "points", 0)
	x, c := batch.New(n, d), batch.New(n, k)
	rng.Normals(x.Data)
	rng.Normals(c.Data)
	for i, v := range c.Data {
		x.Data[i] += v
		if i%d == 0 && x.Data[i] > 0 {
			x.Data[i] += 2
		}
	}
	law, err := exact.FitGaussian(x, 0)
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range []layers.Family{layers.NetworkICNN, layers.NetworkQuadratics} {
		for _, loss := range []string{"dual", "likelihood"} {
			for _, contexts := range []int{0, k} {
				b.Run(fmt.Sprintf("%s/%s/contexts=%d", family, loss, contexts), func(b *testing.B) {
					a := layers.Architecture{Dim: d, Hidden: []int{64, 64}, Full: true, Context: contexts}
					if family == layers.NetworkQuadratics {
						a = layers.Architecture{Family: family, Dim: d, Pieces: 50, Tau: .15, Context: contexts}
					}
					w, err := layers.New(a)
					if err != nil {
						b.Fatal(err)
					}
					p := Problem{Potential: w, Start: layers.Start{Law: law}, Train: x, Particles: 1024, Langevin: 4, Tolerance: 1e-3}
					if contexts > 0 {
						p.Contexts = c
					}
					m, err := p.Prepare(&config.Core{Random: config.Random{Seed: 1}, Steps: 1000, Batch: 256, LR: 1e-3, Loss: loss, Source: config.SourceGibbs, Init: config.InitGaussian, Sampler: "mala", Conjugate: "bb"}, nil)
					if err != nil {
						b.Fatal(err)
					}
					for b.Loop() {
						if err := m.Advance(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
