package table

import (
	"context"
	"fmt"
	"math"

	"cmf/data/margins"
	"cmf/data/table"
	"cmf/experiments/fit"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// rowDraws is the number of draws over which the density of a row is averaged whose values
// leave something open.
const rowDraws = 16

// RowDensity is the log density of the rows of a table, in nats: with respect to the units of
// columns that have a density, and as a probability for labels, integers, atoms and missing
// values. Where values leave something open in the units of learning, the mean of the density
// over draws of that estimates it without bias.
func RowDensity(ctx context.Context, m *fit.Model, t *table.Table, rng *random.Stream) (*fit.Likelihood, error) {
	return rowDensity(m.Margins(), t, rng, func(z blas32.General) (*fit.Likelihood, error) {
		return fit.HeldOutDensity(ctx, m, z, rng)
	})
}

// RowDensityGiven is RowDensity for a model of a table some of whose columns are given, of the
// other columns, drawn, given these; see LogPDFGiven. logZ is that of each row's context.
func RowDensityGiven(ctx context.Context, m *fit.Model, given, drawn *table.Table, particles int, rng *random.Stream) (l *fit.Likelihood, logZ []density.AnnealingInfo, err error) {
	contexts, err := m.Origin.ContextUnits.Encode(given)
	if err != nil {
		return nil, nil, err
	}
	l, err = rowDensity(m.Margins(), drawn, rng, func(z blas32.General) (*fit.Likelihood, error) {
		q, err := m.LogPDFGiven(ctx, z, repeated(contexts, z.Rows), particles, rng)
		if err != nil {
			return nil, err
		}
		logZ = q.LogZ[:contexts.Rows]
		return &fit.Likelihood{LogPDF: q.LogPDF}, nil
	})
	return l, logZ, err
}

// repeated are the rows of x one after the other, again and again until there are n.
func repeated(x blas32.General, n int) blas32.General {
	out := batch.New(n, x.Cols)
	for i := range n {
		copy(batch.Row(out, i), batch.Row(x, i%x.Rows))
	}
	return out
}

// RowDensityOf is RowDensity for another law of the points in the units of learning.
func RowDensityOf(u *margins.Margins, t *table.Table, rng *random.Stream, logPDF func(z blas32.General) ([]float64, error)) ([]float64, error) {
	l, err := rowDensity(u, t, rng, func(z blas32.General) (*fit.Likelihood, error) {
		l, err := logPDF(z)
		return &fit.Likelihood{LogPDF: l}, err
	})
	if err != nil {
		return nil, err
	}
	return l.LogPDF, nil
}

func rowDensity(u *margins.Margins, t *table.Table, rng *random.Stream, density func(z blas32.General) (*fit.Likelihood, error)) (*fit.Likelihood, error) {
	draws := 1
	if u.Draws() {
		draws = rowDraws
	}
	n := t.Rows()
	all, weights := batch.New(draws*n, u.Learned()), make([]float64, 0, draws*n)
	for k := range draws {
		z, w, err := u.Cover(t, rng)
		if err != nil {
			return nil, err
		}
		batch.Copy(batch.Rows(all, k*n, (k+1)*n), z)
		weights = append(weights, w...)
	}
	l, err := density(all)
	if err != nil {
		return nil, err
	}
	if len(l.LogPDF) != len(weights) {
		return nil, fmt.Errorf("%d densities of %d points", len(l.LogPDF), len(weights))
	}
	mean, of := make([]float64, n), make([]float64, draws)
	for i := range mean {
		for k := range of {
			of[k] = l.LogPDF[k*n+i] + weights[k*n+i]
		}
		mean[i] = floats.LogSumExp(of) - math.Log(float64(draws))
	}
	l.LogPDF = mean
	return l, nil
}
