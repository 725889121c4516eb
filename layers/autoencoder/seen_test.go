package autoencoder

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// quadratics is a conjugate network on the latents of small.
func quadratics(t *testing.T, d int) *layers.Conjugate {
	t.Helper()
	q, err := layers.NewQuadratics(layers.Architecture{Family: layers.NetworkQuadratics, Dim: d, Pieces: 3, Tau: .5})
	if err != nil {
		t.Fatal(err)
	}
	rng := random.New(2, "quadratics", 0)
	for _, p := range []interface{ Fill(func(int) float64) }{q.Factors, q.Centers, q.Offsets} {
		p.Fill(func(int) float64 { return .4 * rng.NormFloat64() })
	}
	return layers.NewConjugate(q)
}

// The gradient agrees with differences, pixels that are not seen do not count, and β scales
// what those that are seen add.
func TestSeen(t *testing.T) {
	for _, loss := range []Loss{Bernoulli, Gaussian} {
		n := small(t, loss)
		w := quadratics(t, 3)
		x := noise(4, n.Pixels(), 1, 5)
		mask := make([]bool, n.Pixels())
		for k := range mask {
			mask[k] = k%3 > 0
		}
		u, err := NewSeen(n, w, potential.Normal{D: 3}, x, mask)
		if err != nil {
			t.Fatal(err)
		}
		y := batch.New(4, 3)
		random.New(1, "noise", 0).Normals(y.Data)
		value, grad := make([]float32, 4), batch.New(4, 3)
		if err := u.Eval(y, value, grad); err != nil {
			t.Fatal(err)
		}
		const h = 1e-2
		for j := range 3 {
			up, down := make([]float32, 4), make([]float32, 4)
			for sign, to := range map[float32][]float32{1: up, -1: down} {
				moved := batch.New(4, 3)
				batch.Copy(moved, y)
				for i := range 4 {
					batch.Row(moved, i)[j] += sign * h
				}
				if err := u.Eval(moved, to, blas32.General{}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 4 {
				want, got := float64(up[i]-down[i])/(2*h), float64(batch.Row(grad, i)[j])
				if math.Abs(got-want) > .02*(1+math.Abs(want)) {
					t.Errorf("%s: slope %.4f of picture %d along %d, differences say %.4f", loss, got, i, j, want)
				}
			}
		}
		for i := range x.Rows { // what is hidden does not count
			for k, seen := range mask {
				if !seen {
					batch.Row(x, i)[k] = 1 - batch.Row(x, i)[k]
				}
			}
		}
		other, err := NewSeen(n, w, potential.Normal{D: 3}, x, mask)
		if err != nil {
			t.Fatal(err)
		}
		again := make([]float32, 4)
		if err := other.Eval(y, again, blas32.General{}); err != nil {
			t.Fatal(err)
		}
		losses, half := make([]float32, 4), make([]float32, 4)
		if err := u.Losses(y, losses); err != nil {
			t.Fatal(err)
		}
		u.Beta = .5
		if err := u.Eval(y, half, blas32.General{}); err != nil {
			t.Fatal(err)
		}
		for i := range again {
			if again[i] != value[i] {
				t.Errorf("%s: hidden pixels change U from %g to %g", loss, value[i], again[i])
			}
			if want := value[i] - losses[i]/2; math.Abs(float64(half[i]-want)) > 1e-3*math.Abs(float64(want)) {
				t.Errorf("%s: U is %g at β = ½, want %g", loss, half[i], want)
			}
		}
	}
}

func TestSeenErrors(t *testing.T) {
	n := small(t, Gaussian)
	x, mask := noise(2, n.Pixels(), 1, 5), make([]bool, n.Pixels())
	icnn, err := layers.NewICNN(layers.Architecture{Dim: 3, Hidden: []int{4}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSeen(n, icnn, potential.Normal{D: 3}, x, mask); err == nil || !strings.Contains(err.Error(), "conjugate network") {
		t.Errorf("an ICNN: %v", err)
	}
	if _, err := NewSeen(n, quadratics(t, 3), potential.Normal{D: 3}, x, mask[1:]); err == nil || !strings.Contains(err.Error(), "mask of") {
		t.Errorf("a short mask: %v", err)
	}
	u, err := NewSeen(n, quadratics(t, 3), potential.Normal{D: 3}, x, mask)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Eval(batch.New(3, 3), make([]float32, 3), blas32.General{}); err == nil || !strings.Contains(err.Error(), "for 2 pictures") {
		t.Errorf("another number of rows: %v", err)
	}
}

// The decoder is written with ∇w* before it where that is a network.
func TestONNX(t *testing.T) {
	n := small(t, Gaussian)
	icnn, err := layers.NewICNN(layers.Architecture{Dim: 3, Hidden: []int{4}})
	if err != nil {
		t.Fatal(err)
	}
	for want, w := range map[string]layers.Potential{"y": quadratics(t, 3), "latents": icnn} {
		var out bytes.Buffer
		if err := n.WriteONNX(&out, w); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{want, "pictures", "ConvTranspose"} {
			if !bytes.Contains(out.Bytes(), []byte(name)) {
				t.Errorf("the model with %T has no %q", w, name)
			}
		}
	}
}
