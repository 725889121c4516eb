package latent

import (
	"context"
	"fmt"
	"strings"

	"cmf/experiments/ranks"
	"cmf/experiments/run"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

const (
	trialSteps = 600
	enough     = .9 // of the error with half as many latents: then more latents are worth little
)

// chooseLatents is the number of latents, of 8, 16, 32, … 128, that a set needs: the
// first that does not reduce the mean squared error on held-out pictures by a tenth when
// it is doubled. Each is tried by a short training.
func chooseLatents(ctx context.Context, r *run.Run, g *ranks.Group, set Set, held, rest blas32.General, seed uint64) (int, error) {
	held = batch.Rows(held, 0, min(held.Rows, 500))
	var before float64
	var tried []string
	for d := 8; ; d *= 2 {
		m, err := newTraining(g, set, d, 1, rest, seed)
		if err != nil {
			return 0, err
		}
		if err := m.start(m.Network, trialSteps); err != nil {
			return 0, err
		}
		for range trialSteps {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			if err := m.Advance(); err != nil {
				return 0, err
			}
		}
		if _, err := m.Score(held); err != nil {
			return 0, err
		}
		if err := m.Finish(rest); err != nil {
			return 0, err
		}
		again, err := reconstructed(autoencoder.NewLatent(m.Network), held)
		if err != nil {
			return 0, err
		}
		now := meanSquare(again, held)
		tried = append(tried, fmt.Sprintf("%d: %.3g", d, now))
		if d > 8 && now > enough*before || 2*d > min(128, set.Train.Cols/2) {
			if d > 8 && now > enough*before {
				d /= 2
			}
			r.Note("%d latents (CMF_LATENTS sets the number). Mean squared errors on held-out pictures after short trainings, by the number of latents: %s.", d, strings.Join(tried, ", "))
			return d, nil
		}
		before = now
	}
}

// meanSquare is the mean squared difference between the values of two sets of pictures.
func meanSquare(a, b blas32.General) float64 {
	var sum float64
	for i := range a.Rows {
		to := batch.Row(b, i)
		for j, v := range batch.Row(a, i) {
			sum += float64(v-to[j]) * float64(v-to[j])
		}
	}
	return sum / float64(a.Rows*a.Cols)
}

// reconstructed are pictures encoded and decoded.
func reconstructed(u *autoencoder.Latent, x blas32.General) (blas32.General, error) {
	z, err := u.Learning(x)
	if err != nil {
		return z, err
	}
	return u.Data(z, nil)
}
