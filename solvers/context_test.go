package solvers_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/internal/problem"
	"cmf/solvers/posterior"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// fuse ends a context at a chosen evaluation of a potential, and counts the evaluations
// that follow.
type fuse struct {
	potential.Curved
	burn  func()
	left  int
	after int
}

func (f *fuse) count() {
	switch f.left--; {
	case f.left == 0:
		f.burn()
	case f.left < 0:
		f.after++
	}
}

func (f *fuse) Eval(x blas32.General, value []float32, grad blas32.General) error {
	f.count()
	return f.Curved.Eval(x, value, grad)
}

func (f *fuse) HessVec(x, v, hv blas32.General) error {
	f.count()
	return f.Curved.HessVec(x, v, hv)
}

// Long work ends with its context: at most two evaluations follow.
func TestLongWorkEndsWithItsContext(t *testing.T) {
	const n, d = 600, 3
	law := exact.StandardGaussian(d)
	w := problem.NewHinges(d, 12, 30, 4, random.Seeded(3, 5))
	points := func() blas32.General { return law.Sample(n, random.New(1, "points", 0)) }
	chains := func() *sampling.Chains {
		c, err := sampling.NewChains(points())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	rng := random.New(1, "sampler", 0)
	langevin := sampling.Langevin{Adjusted: true, Step: .1}
	for name, work := range map[string]func(ctx context.Context, w potential.Curved) error{
		"Langevin": func(ctx context.Context, w potential.Curved) error {
			_, err := langevin.Run(ctx, w, chains(), 50, rng)
			return err
		},
		"Hamiltonian": func(ctx context.Context, w potential.Curved) error {
			_, err := sampling.Hamiltonian{}.Run(ctx, w, chains(), 50, rng)
			return err
		},
		"L-BFGS": func(ctx context.Context, w potential.Curved) error {
			_, err := (&conjugate.LBFGS{Tolerance: 1e-12}).Solve(ctx, w, points(), batch.New(n, d), nil)
			return err
		},
		"Barzilai–Borwein": func(ctx context.Context, w potential.Curved) error {
			_, err := (&conjugate.BarzilaiBorwein{Tolerance: 1e-12}).Solve(ctx, w, points(), batch.New(n, d), nil)
			return err
		},
		"annealing": func(ctx context.Context, w potential.Curved) error {
			_, err := density.Annealing{Particles: 64}.LogZ(ctx, w, law, rng)
			return err
		},
		"log density": func(ctx context.Context, w potential.Curved) error {
			many := law.Sample(20_000, random.New(1, "points", 0)) // many groups of Hessians
			_, _, err := density.Pushforward{Potential: w}.LogPDF(ctx, many)
			return err
		},
		"clamped": func(ctx context.Context, w potential.Curved) error {
			c := posterior.Clamped{Potential: w, Observed: points(), Mask: []bool{true, false, false}, From: .1, To: .1, Sampler: langevin}
			_, err := c.Run(ctx, points(), 50, rng, nil)
			return err
		},
	} {
		for _, left := range []int{1, 2, 3, 10} {
			t.Run(fmt.Sprintf("%s/%d", name, left), func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f := &fuse{Curved: w, burn: cancel, left: left}
				if err := work(ctx, f); !errors.Is(err, context.Canceled) || f.after > 2 {
					t.Errorf("error %v after %d more evaluations", err, f.after)
				}
			})
		}
	}
}
