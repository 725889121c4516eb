// Package autoencoder maps pictures to a few numbers and back: the latent space
// in which a potential of pictures is learned. Network declares encoder and
// decoder as nodes of a graph, Trainer fits them, and Latent are the units that
// the rest of the module takes.
package autoencoder

import (
	"fmt"
	"math"

	"cmf/graph/op"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Architecture describes an autoencoder of pictures. Its convolutions are over
// squares of 4×4 pixels at stride 2, so that each halves the sides of a picture;
// the decoder mirrors the encoder.
type Architecture struct {
	// Height, Width and Channels are the size of a picture. A row of a batch has
	// its planes one after another, each row-major.
	Height, Width, Channels int

	// Filters of each convolution, from the pictures inwards.
	Filters []int

	// Hidden is the width of the dense layer between convolutions and latents.
	Hidden int

	// Latents is the dimension of the latent space.
	Latents int

	// Noise is the standard deviation of normal noise on the latents while
	// training. Latents have deviation 1.
	Noise float64

	// Loss is how a picture x is compared with the decoder's logits l.
	Loss Loss
}

// Loss is a negative log-likelihood of pictures with values in [0, 1].
type Loss string

const (
	// Bernoulli is Σ log(1 + e^l) − x·l, for pictures that are mostly black or white.
	Bernoulli Loss = "bernoulli"

	// Gaussian is Σ (x − σ(l))²/(2·0.1²), for shades and colours.
	Gaussian Loss = "gaussian"
)

// Known lists the losses.
func (Loss) Known() []string { return []string{string(Bernoulli), string(Gaussian)} }

// For is the architecture that suits pictures of a size: convolutions until a
// side has at most eight pixels.
func For(height, width, channels, latents int, loss Loss) Architecture {
	a := Architecture{Height: height, Width: width, Channels: channels, Hidden: 256, Latents: latents, Noise: .2, Loss: loss}
	for side, filters := min(height, width), 16; side > 8 || len(a.Filters) == 0 && side >= 4; side, filters = side/2, 2*filters {
		a.Filters = append(a.Filters, filters)
	}
	return a
}

// Pixels is the number of values in a picture.
func (a Architecture) Pixels() int { return a.Height * a.Width * a.Channels }

// interleave writes pictures into dst with the channels of a pixel side by side, as
// convolutions take them, or back into planes.
func (a Architecture) interleave(dst, src blas32.General, back bool) {
	area := a.Height * a.Width
	for i := range src.Rows {
		to, from := batch.Row(dst, i), batch.Row(src, i)
		if a.Channels == 1 {
			copy(to, from)
			continue
		}
		for c := range a.Channels {
			for p := range area {
				if back {
					to[c*area+p] = from[p*a.Channels+c]
				} else {
					to[p*a.Channels+c] = from[c*area+p]
				}
			}
		}
	}
}

// Check reports what is wrong with a.
func (a Architecture) Check() error {
	switch {
	case a.Latents < 1 || a.Latents > 1<<12:
		return fmt.Errorf("autoencoder: %d latents; there must be 1 to 4096", a.Latents)
	case a.Hidden < 1 || a.Hidden > 1<<14:
		return fmt.Errorf("autoencoder: a hidden layer of %d units; there must be 1 to 16384", a.Hidden)
	case len(a.Filters) < 1 || len(a.Filters) > 8:
		return fmt.Errorf("autoencoder: %d convolutions; there must be 1 to 8", len(a.Filters))
	case !(a.Noise >= 0) || math.IsInf(a.Noise, 1):
		return fmt.Errorf("autoencoder: noise of deviation %g; it must be 0 or a positive number", a.Noise)
	case a.Loss != Bernoulli && a.Loss != Gaussian:
		return fmt.Errorf("autoencoder: loss %q; known are %v", a.Loss, a.Loss.Known())
	}
	for l, w := range a.windows() {
		if err := w.Check(); err != nil {
			return fmt.Errorf("autoencoder: convolution %d: %w", l+1, err)
		}
		if f := a.Filters[l]; f < 1 || f > 1<<12 {
			return fmt.Errorf("autoencoder: convolution %d of %d filters; there must be 1 to 4096", l+1, f)
		}
	}
	return nil
}

// windows are the squares of the convolutions, each on the responses below it.
func (a Architecture) windows() []op.Window {
	windows := make([]op.Window, len(a.Filters))
	height, width, channels := a.Height, a.Width, a.Channels
	for l, filters := range a.Filters {
		windows[l] = op.Window{Height: height, Width: width, Channels: channels, Size: 4, Stride: 2, Padding: 1}
		height, width = windows[l].Positions()
		channels = filters
	}
	return windows
}
