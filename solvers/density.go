package solvers

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Density is the density of the conjugate moment measure ∇w*♯𝔓_w, by the
// Monge–Ampère equation
//
//	log q_w(x) = −w(∇w(x)) + log det ∇²w(x) − log Z_w,  Z_w = ∫e^{−w}.
type Density struct {
	Potential Curved

	// Noise is the potential that the noise has. nil means Potential: the
	// conjugate moment measure. ½|y|² gives the density of the plain ICNN map.
	Noise Potential

	// LogZ is log ∫e^{−Noise}, in nats; see Annealing.
	LogZ float64
}

// LogPDF returns log q_w(x_i), in nats, for each row of x, (n, d). Rows at which
// it is not finite are counted by failed: NaN where ∇²w is not positive definite.
func (q Density) LogPDF(x blas32.General) (logPDF []float64, failed int, err error) {
	noise := q.Noise
	if noise == nil {
		noise = q.Potential
	}
	if noise.Dim() != q.Potential.Dim() {
		return nil, 0, fmt.Errorf("solvers: noise of dimension %d under a potential of dimension %d; they must agree", noise.Dim(), q.Potential.Dim())
	}
	if logPDF, _, err = LogDetHessian(q.Potential, x); err != nil {
		return nil, 0, err
	}
	y, value := newBatch(x.Rows, x.Cols), make([]float32, x.Rows)
	if err := q.Potential.Eval(x, nil, y); err != nil {
		return nil, 0, fmt.Errorf("solvers: gradients for a density: %w", err)
	}
	if err := noise.Eval(y, value, blas32.General{}); err != nil {
		return nil, 0, fmt.Errorf("solvers: energies of the noise for a density: %w", err)
	}
	for i := range logPDF {
		logPDF[i] -= float64(value[i]) + q.LogZ
		if !isFinite(logPDF[i]) {
			failed++
		}
	}
	return logPDF, failed, nil
}

// LogPDF returns log N(x_i; m, Σ), in nats, for each row of x, (n, d).
func (g *Gaussian) LogPDF(x blas32.General) ([]float64, error) {
	n, d := x.Rows, g.Dim()
	if x.Cols != d {
		return nil, fmt.Errorf("solvers: points with %d columns under a Gaussian of dimension %d; they must agree", x.Cols, d)
	}
	if err := checkBatch("the points of a Gaussian density", x); err != nil {
		return nil, err
	}
	logPDF := make([]float64, n)
	if n == 0 {
		return logPDF, nil
	}
	centred := mat.NewDense(n, d, nil)
	for i := range n {
		for j, v := range row(x, i) {
			centred.Set(i, j, float64(v)-g.Mean[j])
		}
	}
	var along mat.Dense
	along.Mul(centred, g.Vectors)
	for i := range logPDF {
		for k, v := range g.Values {
			a := along.At(i, k)
			logPDF[i] -= (a*a/v + math.Log(2*math.Pi*v)) / 2
		}
	}
	return logPDF, nil
}
