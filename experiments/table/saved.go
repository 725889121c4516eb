package table

import (
	"context"
	"errors"

	"cmf/data/margins"
	"cmf/data/table"
	"cmf/data/units"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Sample writes rows drawn from a saved model of a table, and the Gibbs samples y that ∇w*
// maps to their points; it returns the first rows and their points.
func Sample(ctx context.Context, r *run.Run, m *fit.Model, count, mixing int, seed uint64) (first *table.Table, draw *fit.Draw, err error) {
	gibbs, err := table.Create(r.Path("gibbs.npy"), arrayOf(batch.New(0, m.Margins().Learned())))
	if err != nil {
		return nil, nil, err
	}
	first, draw, err = drawRows(ctx, r, m, rowDraw{draws: count, written: count, mixing: mixing, seed: seed, also: func(d *fit.Draw) error {
		return gibbs.Append(arrayOf(d.Gibbs))
	}})
	if err != nil {
		return nil, nil, errors.Join(err, gibbs.Abort())
	}
	return first, draw, gibbs.Close()
}

// rowDraw says how many rows are drawn, and how many of them written.
type rowDraw struct {
	draws, written int
	mixing         int
	seed           uint64
	also           func(*fit.Draw) error // sees each block of draws; nil for nothing
}

// drawRows draws rows from the model of a table and writes them as samples; it returns the
// first block of rows and its points.
func drawRows(ctx context.Context, r *run.Run, m *fit.Model, of rowDraw) (first *table.Table, draw *fit.Draw, err error) {
	u, left := m.Margins(), of.written
	out, err := NewRows(r, "samples", u.Like(0))
	if err != nil {
		return nil, nil, err
	}
	rng := random.New(of.seed, "rows", 0)
	err = m.DrawBlocks(ctx, of.draws, of.mixing, random.New(of.seed, "generation", 0), func(d *fit.Draw) error {
		t, err := u.Decode(d.Points, rng)
		if err != nil {
			return err
		}
		if draw == nil {
			d.Report(r)
			first, draw = t, d.Clone()
		}
		if of.also != nil {
			if err := of.also(d); err != nil {
				return err
			}
		}
		rows := min(left, t.Rows())
		left -= rows
		return out.Append(t.First(rows))
	})
	return first, draw, errors.Join(err, out.Close(err == nil))
}

// arrayOf is a batch as a table of float32.
func arrayOf(x blas32.General) *table.Table {
	t := &table.Table{Columns: make([]table.Column, x.Cols), Format: table.Format{Name: "npy"}}
	for j := range t.Columns {
		c := table.Column{Kind: table.Real, Decimals: -1, Stored: "<f4", Values: make([]float64, x.Rows)}
		batch.Widen(c.Values, batch.Column(x, j))
		t.Columns[j] = c
	}
	return t
}

// Evaluate writes the log density of each row of a file under a saved model, and ∇w at its
// point.
func Evaluate(ctx context.Context, r *run.Run, m *fit.Model, path string, seed uint64) error {
	t, format, err := readPoints(r, path, m.Margins())
	if err != nil {
		return err
	}
	l, err := RowDensity(ctx, m, t, random.New(seed, "annealing", 0))
	if err != nil {
		return err
	}
	l.Report(r.Report.Metrics)
	z, err := m.Margins().Encode(t, nil)
	if err != nil {
		return err
	}
	return saveDensities(r, format, m.Evaluator, z, []table.Column{{Name: "log_density", Kind: table.Real, Decimals: -1, Values: l.LogPDF}})
}

// readPoints reads the rows of a file as those of a table that was learned, and says what was
// inferred and which columns are ignored. format is that of the file.
func readPoints(r *run.Run, path string, u *margins.Margins) (t *table.Table, format table.Format, err error) {
	file, notes, err := table.Read(path, table.Options{Hints: u.Hints(), Extra: true})
	if err != nil {
		return nil, format, err
	}
	t, ignored, err := u.Align(file)
	if err != nil {
		return nil, format, err
	}
	r.Inferred(path, notes)
	if ignored != nil {
		r.Note("Columns that the model does not have are ignored: %q.", ignored)
	}
	return t, file.Format, nil
}

// saveDensities writes columns that belong to the points z as densities, and ∇w there as
// gradients.
func saveDensities(r *run.Run, format table.Format, w potential.Potential, z blas32.General, columns []table.Column) error {
	gradient := batch.New(z.Rows, z.Cols)
	if err := w.Eval(z, nil, gradient); err != nil {
		return err
	}
	return errors.Join(SaveRows(r, "densities", &table.Table{Format: format, Columns: columns}), r.SaveRows("gradients", units.Form{}, nil, gradient))
}
