package table

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cmf/data/margins"
	"cmf/data/table"
	"cmf/solvers/batch"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
)

// Given are the given columns of the rows of a Set.
type Given struct {
	Units                   *margins.Contexts
	Train, Validation, Held *table.Table

	Contexts, Choice, Test blas32.General // of Set.Points, Set.Choice and Set.Test
	Law                    *exact.Regression
}

// places are those of the columns of CMF_GIVEN, from 0, ascending; nil for none.
func (c *Config) places(t *table.Table) (places []int, err error) {
	if strings.TrimSpace(c.Given) == "" {
		return nil, nil
	}
	lines := csv.NewReader(strings.NewReader(c.Given))
	lines.TrimLeadingSpace = true
	names, err := lines.Read()
	if err != nil {
		return nil, fmt.Errorf("CMF_GIVEN=%s: %w; it is names of columns, separated by commas, and in double quotes where they hold one", c.Given, err)
	}
	for _, name := range names {
		name = strings.TrimSpace(name)
		j := slices.Index(t.Names(), name)
		if at, err := strconv.Atoi(name); j < 0 && err == nil && at >= 1 && at <= len(t.Columns) {
			j = at - 1
		}
		switch {
		case j < 0:
			return nil, fmt.Errorf("CMF_GIVEN=%s: there is no column %q, nor one at that place; the columns are %s", c.Given, name, strings.Join(t.Names(), ", "))
		case slices.Contains(places, j):
			return nil, fmt.Errorf("CMF_GIVEN=%s: the column %q is named twice", c.Given, t.Name(j))
		}
		places = append(places, j)
	}
	if len(places) == len(t.Columns) {
		return nil, fmt.Errorf("CMF_GIVEN=%s: all columns are given; leave out those whose law is to be learned", c.Given)
	}
	slices.Sort(places)
	return places, nil
}

// give cuts the given columns out of the tables.
func (s *Set) give(places []int, hints map[string]margins.Hint) (err error) {
	if s.Earlier {
		return errors.New("the checkpoint of CMF_RESUME is of an earlier version, in which no columns were given")
	}
	s.Given = new(Given)
	for _, part := range []struct{ given, drawn **table.Table }{
		{&s.Given.Train, &s.Train}, {&s.Given.Validation, &s.Validation}, {&s.Given.Held, &s.Held},
	} {
		*part.given, *part.drawn = margins.SplitAt(places, *part.drawn)
	}
	s.Given.Units, err = margins.FitContexts(s.Given.Train, places, hints)
	return err
}

// encode converts the given columns to contexts, for the points of s. Rows with values that
// rows to learn from do not have are left out.
func (g *Given) encode(s *Set) error {
	for _, part := range []struct {
		given, drawn **table.Table
		to           *blas32.General
	}{{&g.Validation, &s.Validation, &g.Choice}, {&g.Held, &s.Held, &g.Test}} {
		known := s.Margins.Known(*part.drawn)
		rows := slices.DeleteFunc(g.Units.Known(*part.given), func(i int) bool {
			_, found := slices.BinarySearch(known, i)
			return !found
		})
		if len(rows) < (*part.drawn).Rows() {
			*part.given, *part.drawn = (*part.given).Rowed(rows), (*part.drawn).Rowed(rows)
		}
		var err error
		if *part.to, err = g.Units.Encode(*part.given); err != nil {
			return err
		}
	}
	contexts, err := g.Units.Encode(g.Train)
	g.Contexts = repeated(contexts, s.Points.Rows)
	return err
}

// regress fits the regression from which learning starts. A column that it explains wholly
// has no density.
func (g *Given) regress(s *Set) (err error) {
	if n, k := s.Train.Rows(), g.Contexts.Cols; n < 2*k {
		return fmt.Errorf("CMF_GIVEN: %d rows to learn from %d coordinates of the given columns (each label is one); needed are twice as many rows", n, k)
	}
	if g.Law, err = exact.Regress(s.Points, g.Contexts, 0); err != nil {
		return err
	}
	_, total := batch.Moments(s.Points)
	rest := g.Law.Law.Power(1)
	first := 0
	for j := range s.Margins.Columns {
		c := &s.Margins.Columns[j]
		for range c.Dim() {
			if rest.At(first, first) < 1e-6*total.At(first, first) {
				return fmt.Errorf("CMF_GIVEN: column %q follows from the given columns, so that it has no density given them; leave it out (CMF_COLUMNS=%s:skip)", s.Train.Name(j), s.Train.Name(j))
			}
			first++
		}
	}
	return nil
}

// logPDF is the log density of points z under the regression, given the contexts; see
// RowDensityOf.
func (g *Given) logPDF(contexts blas32.General) func(z blas32.General) ([]float64, error) {
	return func(z blas32.General) ([]float64, error) {
		residuals, err := g.Law.Residuals(z, repeated(contexts, z.Rows))
		if err != nil {
			return nil, err
		}
		return g.Law.Law.LogPDF(residuals)
	}
}
