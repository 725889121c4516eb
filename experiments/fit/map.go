package fit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cmf/data/units"
	"cmf/experiments/report"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// errGiven says that there is no noise to sample, and no density.
var errGiven = errors.New("the source of this model is a table, not the Gibbs factor of its potential: it maps rows of the source, and has neither samples nor densities of its own")

func (m *Model) needsNoise() error {
	if m.Noise == nil {
		return errGiven
	}
	return nil
}

// Source says what the points of the source are: those of the given source, or the noise
// in the units of learning.
func (m *Model) Source() Points {
	p := Points{Units: units.Affine{}}
	if m.Origin.From != nil {
		p.Form = m.Origin.From.Form
		if m.Origin.From.Units != nil {
			p.Units = m.Origin.From.Units
		}
	}
	return p
}

// mappedAtOnce limits the memory of Map.
const mappedAtOnce = 8192

// Map is ∇w*, from the source to the data: x_i = ∇w*(y_i) for the rows of y, (n, d), by
// solves to the relative residual DrawTolerance. y is in the units of the source, x in the
// data's. checks tell how the solves went. The end of ctx is an error.
func (m *Model) Map(ctx context.Context, y blas32.General) (x blas32.General, checks report.Numbers, err error) {
	if y, err = m.Source().Units.Learning(y); err != nil {
		return x, nil, err
	}
	if y.Cols != m.Evaluator.Dim() {
		return x, nil, fmt.Errorf("points of %d coordinates under a map of ℝ^%d", y.Cols, m.Evaluator.Dim())
	}
	z, err := m.linearPartners(y)
	if err != nil {
		return x, nil, err
	}
	solver := &conjugate.LBFGS{Tolerance: DrawTolerance, MaxIterations: 400}
	var converged, iterations float64
	residual := make([]float32, 0, y.Rows)
	for lo := 0; lo < y.Rows; lo += mappedAtOnce {
		hi := min(lo+mappedAtOnce, y.Rows)
		info, err := solver.Solve(ctx, m.Evaluator, batch.Rows(y, lo, hi), batch.Rows(z, lo, hi), m.State.Preconditioner())
		if err != nil {
			return x, nil, fmt.Errorf("conjugates: %w", err)
		}
		share := float64(hi-lo) / float64(y.Rows)
		converged += share * info.Converged()
		iterations += share * info.MeanIterations()
		residual = append(residual, info.Residual...)
	}
	checks = report.Numbers{
		"conjugate_converged":          converged,
		"conjugate_residual_max":       float64(slices.Max(residual)),
		"conjugate_residual_tolerance": DrawTolerance,
		"conjugate_iterations":         iterations,
	}
	x, err = m.Units().Data(z, nil)
	return x, checks, err
}

// Back is ∇w, from the data to the source: y_i = ∇w(x_i) for the rows of x, (n, d), in the
// data's units; y is in those of the source.
func (m *Model) Back(x blas32.General) (y blas32.General, err error) {
	z, err := m.Units().Learning(x)
	if err != nil {
		return y, err
	}
	y = batch.New(z.Rows, z.Cols)
	if err := m.Evaluator.Eval(z, nil, y); err != nil {
		return y, err
	}
	return m.Source().Units.Data(y, nil)
}

// linearPartners are where solves start: the linear regression of the bank's partners on
// its particles, at the rows of y, in units of learning.
func (m *Model) linearPartners(y blas32.General) (blas32.General, error) {
	bank, partners := m.State.Bank.Y, m.State.Partners
	d := bank.Cols
	mean, center := batch.Means(bank), batch.Means(partners)
	x := batch.New(y.Rows, d)
	for i := range x.Data {
		x.Data[i] = float32(center[i%d])
	}
	variance := batch.TotalVariance(bank, mean) / float64(d)
	if bank.Rows < 2 || variance == 0 {
		return x, nil
	}
	law, err := exact.FitGaussian(bank, 1e-6*variance)
	if err != nil {
		return x, fmt.Errorf("the particles of the model: %w", err)
	}
	cross, slope := batch.New(d, d), batch.New(d, d)
	blas32.Gemm(blas.Trans, blas.NoTrans, 1/float32(bank.Rows-1), batch.Shifted(bank, mean), batch.Shifted(partners, center), 0, cross)
	batch.Multiply(slope, batch.FromMatrix(law.Power(-1)), cross)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, batch.Shifted(y, mean), slope, 1, x)
	return x, nil
}
