package units

import (
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Logit maps pixels in [0, 1], pixel by pixel, to x = s·logit(α + (1−2α)x̃), so
// that every generated x gives pixels within their range (L. Dinh, J.
// Sohl-Dickstein, S. Bengio, Density estimation using Real NVP, 2017, §4.1).
type Logit struct {
	// Alpha is α, in (0, ½); 0 means 0.05.
	Alpha float64

	// Scale is s > 0; 0 means 1.
	Scale float64
}

// Forward writes the logits of the (n, d) batch pixels, in [0, 1], into dst, of the
// same shape; dst may be pixels. With rng it first dequantises, x̃ = (255x + u)/256
// with u uniform on [0, 1), so that grey levels have a density; with a nil rng x̃ = x.
func (t Logit) Forward(dst, pixels blas32.General, rng *random.Stream) error {
	alpha, scale, err := t.parameters()
	if err != nil {
		return err
	}
	if err := batch.CheckSameShape("dst", dst, "pixels", pixels); err != nil {
		return fmt.Errorf("transform pixels: %w", err)
	}
	for i := range pixels.Rows {
		to := batch.Row(dst, i)
		for k, v := range batch.Row(pixels, i) {
			if !(v >= 0 && v <= 1) {
				return fmt.Errorf("transform pixels: row %d, column %d is %v; it must be in [0, 1]", i, k, v)
			}
			x := float64(v)
			if rng != nil {
				x = (255*x + rng.Float64()) / 256
			}
			p := alpha + (1-2*alpha)*x
			to[k] = float32(scale * math.Log(p/(1-p)))
		}
	}
	return nil
}

// Inverse writes the pixels of the (n, d) batch x of logits into dst, clipped to
// [0, 1]; dst may be x. Dequantisation is not undone.
func (t Logit) Inverse(dst, x blas32.General) error {
	alpha, scale, err := t.parameters()
	if err != nil {
		return err
	}
	if err := batch.CheckSameShape("dst", dst, "x", x); err != nil {
		return fmt.Errorf("transform back to pixels: %w", err)
	}
	for i := range x.Rows {
		to := batch.Row(dst, i)
		for k, v := range batch.Row(x, i) {
			pixel := (1/(1+math.Exp(-float64(v)/scale)) - alpha) / (1 - 2*alpha)
			to[k] = float32(min(max(pixel, 0), 1))
		}
	}
	return nil
}

// LogDetJacobian writes Σ_k log |dx_k/dx̃_k| of each row of the (n, d) batch x of
// logits into dst, of length n. With q the density of x and 256 grey levels, bits per
// dimension are 8 − (log q(x) + Σ_k log |dx_k/dx̃_k|) / (d·log 2).
func (t Logit) LogDetJacobian(dst []float64, x blas32.General) error {
	alpha, scale, err := t.parameters()
	if err != nil {
		return err
	}
	if err := batch.Check("x", x); err != nil {
		return fmt.Errorf("log det of the transform: %w", err)
	}
	if len(dst) != x.Rows {
		return fmt.Errorf("log det of the transform: dst has length %d; x has %d rows", len(dst), x.Rows)
	}
	constant := math.Log(scale * (1 - 2*alpha))
	for i := range dst {
		dst[i] = 0
		for _, v := range batch.Row(x, i) {
			// With p = σ(x/s): −log p − log(1−p) = |x/s| + 2·log(1 + e^{−|x/s|}).
			a := math.Abs(float64(v) / scale)
			dst[i] += constant + a + 2*math.Log1p(math.Exp(-a))
		}
	}
	return nil
}

// parameters are α and s with their defaults filled in.
func (t Logit) parameters() (alpha, scale float64, err error) {
	alpha, scale = t.Alpha, t.Scale
	if alpha == 0 {
		alpha = .05
	}
	if scale == 0 {
		scale = 1
	}
	if !(alpha > 0 && alpha < .5) {
		return 0, 0, fmt.Errorf("logit transform: Alpha is %v; it must be in (0, 0.5), or 0 for 0.05", t.Alpha)
	}
	if !(scale > 0) || math.IsInf(scale, 1) {
		return 0, 0, fmt.Errorf("logit transform: Scale is %v; it must be positive and finite, or 0 for 1", t.Scale)
	}
	return alpha, scale, nil
}
