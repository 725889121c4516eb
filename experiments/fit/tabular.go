package fit

import (
	"context"
	"fmt"
	"math"
	"path/filepath"

	"cmf/data/margins"
	"cmf/data/table"
	"cmf/data/units"
	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// Margins are the units of a model of a table, nil if it is of something else.
func (m *Model) Margins() *margins.Margins {
	u, _ := m.Units().(*margins.Margins)
	return u
}

// Correct gives the model of a table, which Fit has just learned, the margins of the data;
// see margins.Corrected. Its checkpoint and model.onnx get them too. points are draws of the
// model, in the units of learning.
func (m *Model) Correct(points blas32.General) error {
	u, err := m.Margins().Corrected(points)
	if err != nil {
		return err
	}
	m.Origin.Units = u
	path := filepath.Join(m.folder, "checkpoint.safetensors")
	c, err := graph.LoadCheckpoint(path)
	if err != nil {
		return err
	}
	if err := m.Origin.put(c); err != nil {
		return err
	}
	if err := c.Save(path); err != nil {
		return err
	}
	return m.writeONNX()
}

// rowDraws is the number of draws over which the density of a row is averaged whose values
// leave something open.
const rowDraws = 16

// RowDensity is the log density of the rows of a table, in nats: with respect to the units of
// columns that have a density, and as a probability for labels, integers, atoms and missing
// values. Where values leave something open in the units of learning, the mean of the density
// over draws of that estimates it without bias.
func (m *Model) RowDensity(ctx context.Context, t *table.Table, rng *random.Stream) (*Likelihood, error) {
	return rowDensity(m.Margins(), t, rng, func(z blas32.General) (*Likelihood, error) {
		return HeldOutDensity(ctx, m, z, rng)
	})
}

// RowDensityOf is RowDensity for another law of the points in the units of learning.
func RowDensityOf(u *margins.Margins, t *table.Table, rng *random.Stream, logPDF func(z blas32.General) ([]float64, error)) ([]float64, error) {
	l, err := rowDensity(u, t, rng, func(z blas32.General) (*Likelihood, error) {
		l, err := logPDF(z)
		return &Likelihood{LogPDF: l}, err
	})
	if err != nil {
		return nil, err
	}
	return l.LogPDF, nil
}

func rowDensity(u *margins.Margins, t *table.Table, rng *random.Stream, density func(z blas32.General) (*Likelihood, error)) (*Likelihood, error) {
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

// WithoutMargins says whether a checkpoint is of a table whose columns were learned before
// they had margins.Margins.
func WithoutMargins(path string) (bool, error) {
	c, err := graph.LoadCheckpoint(path)
	if err != nil {
		return false, err
	}
	o, err := originOf(c)
	if err != nil {
		return false, err
	}
	_, affine := o.Units.(units.Affine)
	return affine, nil
}
