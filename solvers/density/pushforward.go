// Package density gives the densities of models: Pushforward is the law of ∇w*(y)
// for noise y, Annealing estimates log Z_w = log ∫ e^{−w}, LogDetHessian is
// log det ∇²w, and Importance weighs a model's points by an energy.
package density

import (
	"context"
	"fmt"

	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// Pushforward is the density of the conjugate moment measure ∇w*♯𝔓_w, by the
// Monge–Ampère equation
//
//	log q_w(x) = −w(∇w(x)) + log det ∇²w(x) − log Z_w,  Z_w = ∫e^{−w}.
type Pushforward struct {
	Potential potential.Curved

	// Noise is the potential of the noise. nil means Potential, which gives the
	// conjugate moment measure. ½|y|² gives the density of the plain ICNN map.
	Noise potential.Potential

	// LogZ is log ∫e^{−Noise}, in nats; see Annealing.
	LogZ float64
}

// Info says for each row whether it has a density.
type Info struct {
	Status []potential.Status
}

// Failed counts the rows that have no density.
func (i Info) Failed() int { return potential.Failed(i.Status) }

// LogPDF returns log q_w(x_i), in nats, for each row of x, (n, d). If it is not finite,
// the status of the row says why: it is NaN where ∇²w is not positive definite. The end
// of ctx is an error; see LogDetHessian.
func (q Pushforward) LogPDF(ctx context.Context, x blas32.General) (logPDF []float64, info Info, err error) {
	noise := q.Noise
	if noise == nil {
		noise = q.Potential
	}
	if noise.Dim() != q.Potential.Dim() {
		return nil, Info{}, fmt.Errorf("density: noise of dimension %d under a potential of dimension %d; they must agree", noise.Dim(), q.Potential.Dim())
	}
	if logPDF, info, err = LogDetHessian(ctx, q.Potential, x); err != nil {
		return nil, Info{}, err
	}
	y, value := batch.New(x.Rows, x.Cols), make([]float32, x.Rows)
	if err := q.Potential.Eval(x, nil, y); err != nil {
		return nil, Info{}, fmt.Errorf("density: gradients for a density: %w", err)
	}
	if err := noise.Eval(y, value, blas32.General{}); err != nil {
		return nil, Info{}, fmt.Errorf("density: evaluating the noise for a density: %w", err)
	}
	for i := range logPDF {
		logPDF[i] -= float64(value[i]) + q.LogZ
		if info.Status[i] == potential.Converged && !batch.Finite(logPDF[i]) {
			info.Status[i] = potential.NotFinite
		}
	}
	return logPDF, info, nil
}
