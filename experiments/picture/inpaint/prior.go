// Package inpaint completes digits with a hidden part: by two ways of sampling what a
// potential allows there, and by simpler methods for comparison.
package inpaint

import (
	"cmf/experiments/fit"
	"cmf/experiments/picture"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/mat"
)

// Prior is a potential learned from digits that is used to fill holes.
type Prior struct {
	Digits         *picture.DigitData
	w              *layers.Evaluator
	noise          potential.Potential
	atData         *mat.SymDense             // the mean of ∇²w over data
	preconditioner *potential.Preconditioner // its inverse
	ofNoise        *mat.SymDense             // the mean of the noise's Hessian
}

// NewPrior computes the mean Hessians of a model, which precondition solves and steps;
// digits are in the model's units.
func NewPrior(digits *picture.DigitData, m *fit.Model) (*Prior, error) {
	p := &Prior{Digits: digits, w: m.Evaluator, noise: m.Noise}
	x := picture.Spread(digits.Train, min(512, digits.Train.Rows))
	var err error
	if p.atData, err = m.Curvature.MeanHessian(x); err != nil {
		return nil, err
	}
	if p.preconditioner, err = potential.PreconditionerFromHessian(p.atData); err != nil {
		return nil, err
	}
	y := batch.New(x.Rows, x.Cols)
	if err := p.w.Eval(x, nil, y); err != nil {
		return nil, err
	}
	p.ofNoise, err = m.NoiseHessian(y)
	return p, err
}
