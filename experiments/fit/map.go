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
	"cmf/solvers/random"

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

// Map maps the rows of y, (n, d), from the source to the data: by ∇w* in the notation of
// this module, by ∇w if the potential is on the source. y is in the units of the source, x
// in the data's. checks tell how the solves went, if it takes any. The end of ctx is an error.
func (m *Model) Map(ctx context.Context, y blas32.General) (x blas32.General, checks report.Numbers, err error) {
	return m.transport(ctx, y, m.Source().Units, m.Units(), false)
}

// Back maps the rows of x, (n, d), from the data to the source: it is the inverse of Map.
func (m *Model) Back(ctx context.Context, x blas32.General) (y blas32.General, checks report.Numbers, err error) {
	return m.transport(ctx, x, m.Units(), m.Source().Units, true)
}

// transport is Map or Back, between the given units.
func (m *Model) transport(ctx context.Context, x blas32.General, from, to units.Units, back bool) (y blas32.General, checks report.Numbers, err error) {
	z, err := from.Learning(x)
	if err != nil {
		return y, nil, err
	}
	image, checks, err := m.Transport(ctx, z, back)
	if err != nil {
		return y, nil, err
	}
	y, err = to.Data(image, nil)
	return y, checks, err
}

// Transport is Map, or with back Back, in the units of learning of both sides.
func (m *Model) Transport(ctx context.Context, z blas32.General, back bool) (image blas32.General, checks report.Numbers, err error) {
	if z.Cols != m.Evaluator.Dim() {
		return image, nil, fmt.Errorf("points of %d coordinates under a map of ℝ^%d", z.Cols, m.Evaluator.Dim())
	}
	if m.Origin.OnSource == back { // the potential is on the other side
		return m.conjugates(ctx, z)
	}
	image = batch.New(z.Rows, z.Cols)
	return image, report.Numbers{}, m.Evaluator.Eval(z, nil, image)
}

// solvedAtOnce limits the memory of conjugates.
const solvedAtOnce = 8192

// conjugates are ∇w*(y_i) to the relative residual DrawTolerance, in units of learning. Ranks
// share the rows, and have all of them.
func (m *Model) conjugates(ctx context.Context, y blas32.General) (x blas32.General, checks report.Numbers, err error) {
	var converged, iterations, worst float64
	err = m.ranks.Spread(y.Rows, nil, func(from, to int, _ *random.Stream) error {
		own, err := m.of(y.Rows, from, to)
		if err != nil {
			return err
		}
		part := batch.Rows(y, from, to)
		if x, err = m.linearPartners(part); err != nil {
			return err
		}
		for lo := 0; lo < part.Rows; lo += solvedAtOnce {
			hi := min(lo+solvedAtOnce, part.Rows)
			info, err := own.solve(ctx, batch.Rows(part, lo, hi), batch.Rows(x, lo, hi))
			if err != nil {
				return fmt.Errorf("conjugates: %w", err)
			}
			share := float64(hi-lo) / float64(part.Rows)
			converged += share * info.converged
			iterations += share * info.iterations
			worst = max(worst, float64(slices.Max(info.residual)))
		}
		return nil
	})
	if err != nil {
		return x, nil, err
	}
	return m.ranks.Joined(y.Rows, x), report.Numbers{
		"conjugate_converged":          m.ranks.Mean(y.Rows, converged),
		"conjugate_residual_max":       m.ranks.Most(y.Rows, worst),
		"conjugate_residual_tolerance": DrawTolerance,
		"conjugate_iterations":         m.ranks.Mean(y.Rows, iterations),
	}, nil
}

// solved tells how conjugates were found.
type solved struct {
	residual   []float32 // ‖∇w(x̂) − y‖/‖y‖ of each row
	converged  float64   // share of rows within DrawTolerance
	iterations float64   // mean over the rows
}

// solve replaces the guesses x by the conjugates ∇w*(y), of at least one row.
// Conjugates that are evaluated, not solved for, are checked by solves for ∇w there, which
// begin at y and stay there if all is well.
func (m *Model) solve(ctx context.Context, y, x blas32.General) (s solved, err error) {
	solver := &conjugate.LBFGS{Tolerance: DrawTolerance, MaxIterations: 400}
	info, err := solver.Solve(ctx, m.Evaluator, y, x, m.State.Preconditioner())
	if err != nil {
		return s, err
	}
	s = solved{relative(info.Residual, info.Scale, y), info.Converged(), info.MeanIterations()}
	if !m.Evaluator.Explicit() {
		return s, nil
	}
	back := batch.New(y.Rows, y.Cols)
	if err := m.Evaluator.EvalFrom(x, y, nil, back); err != nil {
		return s, fmt.Errorf("checking the points: %w", err)
	}
	within := 0
	for i := range y.Rows {
		batch.SubtractFrom(batch.Row(y, i), batch.Row(back, i))
		r := batch.Norm(batch.Row(back, i)) / batch.Norm(batch.Row(y, i))
		if s.residual[i] = float32(r); r <= DrawTolerance {
			within++
		}
	}
	s.converged = float64(within) / float64(y.Rows)
	return s, nil
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
