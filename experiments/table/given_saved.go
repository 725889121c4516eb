package table

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/data/table"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/solvers/random"
)

// mostDraws limits the draws of a file of contexts.
const mostDraws = 10_000_000

// DrawGiven draws the other columns of a saved model count times for each row of a file of
// contexts; 0 for as many as come to 100000 in all, at least 100 and at most 10000. It writes draws, with the number of that row, and conditionals: for each row the
// mean, deviation and quantiles of every column of numbers, and the share of every label. It
// returns the first draws as rows of the table that was learned.
func DrawGiven(ctx context.Context, r *run.Run, m *fit.Model, path string, count, mixing int, seed uint64) (*table.Table, error) {
	u := m.Origin.ContextUnits
	file, notes, err := table.Read(path, table.Options{Hints: u.Hints(), Extra: true})
	if err != nil {
		return nil, err
	}
	given, ignored, err := u.Align(file)
	if err != nil {
		return nil, err
	}
	n := given.Rows()
	if n == 0 {
		return nil, errors.New("it has no rows")
	}
	if count == 0 {
		count = min(max(100_000/n, 100), 10_000)
		if err := r.Resolve("CMF_COUNT", count); err != nil {
			return nil, err
		}
	}
	if n*count > mostDraws {
		return nil, fmt.Errorf("%d draws for each of its %d rows are %d; allowed are %d in all: set CMF_COUNT", count, n, n*count, mostDraws)
	}
	contexts, err := u.Encode(given)
	if err != nil {
		return nil, err
	}
	r.Inferred(path, notes)
	if ignored != nil {
		r.Note("Columns of CMF_CONTEXTS that are not given to the model are ignored: %q.", ignored)
	}
	for _, note := range u.Outside(given) {
		r.Note("%s", note)
	}
	format := file.Format // that of the file, where it can hold any column
	if format.Headless = false; format.Name == "npy" || format.Name == "npz" {
		format = table.Format{Name: "csv"}
	}
	r.Report.Metrics["contexts"] = float64(contexts.Rows)

	summaries := newSummaries(m, given, count, format)
	like := m.Margins().Like(0)
	out, err := table.Create(r.Path("draws"+format.Extension()), numberedRows(given.Rowed(nil), like, nil, format))
	if err != nil {
		return nil, err
	}
	rows := make([]int, n*count)
	for i := range rows {
		rows[i] = i / count
	}
	var first *table.Table
	lo := 0
	err = drawGiven(ctx, m, given, rows, mixing, seed, func(of, drawn *table.Table, d *fit.Draw) error {
		if first == nil {
			d.Report(r)
			first = u.Join(of, drawn)
		}
		part := rows[lo : lo+drawn.Rows()]
		lo += drawn.Rows()
		summaries.add(drawn)
		return out.Append(numberedRows(of, drawn, part, format))
	})
	if err == nil {
		err = out.Close()
	} else {
		err = errors.Join(err, out.Abort())
	}
	if err != nil {
		return nil, err
	}
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("draws%s: %d draws for each of %d rows of contexts, with the number of that row; conditionals%s: their mean, deviation and quantiles by column, and the shares of labels and of missing values.", format.Extension(), count, n, format.Extension()))
	return first, writeTable(r, "conditionals", summaries.out)
}

// writeTable writes a whole table in its format.
func writeTable(r *run.Run, name string, t *table.Table) error {
	out, err := table.Create(r.Path(name+t.Format.Extension()), t)
	if err != nil {
		return err
	}
	if err := out.Append(t); err != nil {
		return errors.Join(err, out.Abort())
	}
	return out.Close()
}

// numberedRows are given columns beside drawn ones, behind the numbers of the rows of
// contexts, from 1.
func numberedRows(given, drawn *table.Table, rows []int, format table.Format) *table.Table {
	out := &table.Table{Format: format}
	number := table.Column{Name: "row", Kind: table.Integer, Values: []float64{}}
	for _, row := range rows {
		number.Values = append(number.Values, float64(row+1))
	}
	columns := slices.Concat(given.Columns, drawn.Columns)
	for slices.ContainsFunc(columns, func(c table.Column) bool { return c.Name == number.Name }) {
		number.Name = "context_" + number.Name
	}
	out.Columns = append([]table.Column{number}, columns...)
	if format.Name != given.Format.Name || format.Name != drawn.Format.Name {
		for j := range out.Columns {
			out.Columns[j].Stored = "" // a type of another format
		}
	}
	return out
}

// levels are the quantiles of conditionals, in percent.
var levels = []int{5, 25, 50, 75, 95}

// summaries are the columns of conditionals.
type summaries struct {
	m     *fit.Model
	count int
	draws *table.Table // of rows that are not summarised yet
	rows  int          // that are
	out   *table.Table
	first int // the first column that is a summary
}

func newSummaries(m *fit.Model, given *table.Table, count int, format table.Format) *summaries {
	rows := make([]int, given.Rows())
	for i := range rows {
		rows[i] = i
	}
	s := &summaries{m: m, count: count, out: numberedRows(given, new(table.Table), rows, format)}
	s.first = len(s.out.Columns)
	add := func(c table.Column, name, what string) {
		c.Name, c.Values = name+"_"+what, make([]float64, given.Rows())
		s.out.Columns = append(s.out.Columns, c)
	}
	for j, c := range m.Margins().Like(0).Columns {
		name, missing := cmp.Or(c.Name, fmt.Sprintf("y%d", j+1)), m.Margins().Columns[j].Missing()
		number := table.Column{Kind: table.Real, Decimals: -1}
		if c.Labels != nil {
			for _, label := range c.Labels {
				add(number, name, label)
			}
			if missing {
				add(number, name, "missing")
			}
			continue
		}
		of := number
		if c.Clock != nil {
			of = c
		}
		add(of, name, "mean")
		add(number, name, "deviation")
		for _, level := range levels {
			add(of, name, fmt.Sprintf("q%02d", level))
		}
		if missing {
			add(number, name, "missing")
		}
	}
	return s
}

// add takes further draws; those of a row follow one another.
func (s *summaries) add(drawn *table.Table) {
	if s.draws == nil {
		s.draws = drawn
	} else {
		s.draws = table.Stacked(s.draws, drawn)
	}
	whole := s.draws.Rows() / s.count
	for i := range whole {
		s.summarise(s.rows+i, s.draws.Slice(i*s.count, (i+1)*s.count))
	}
	s.rows += whole
	s.draws = s.draws.Slice(whole*s.count, s.draws.Rows())
}

// summarise fills a row by its draws.
func (s *summaries) summarise(row int, draws *table.Table) {
	k := s.first
	put := func(v float64) {
		s.out.Columns[k].Values[row] = v
		k++
	}
	n := float64(draws.Rows())
	for j, c := range draws.Columns {
		values := slices.DeleteFunc(slices.Clone(c.Values), math.IsNaN)
		missing := 1 - float64(len(values))/n
		if c.Labels != nil {
			shares := make([]float64, len(c.Labels))
			for _, v := range values {
				shares[int(v)] += 1 / n
			}
			for _, v := range shares {
				put(v)
			}
			if s.m.Margins().Columns[j].Missing() {
				put(missing)
			}
			continue
		}
		period, low := 0., 0.
		if circle := s.m.Margins().Columns[j].Circle; circle != nil {
			period, low = circle.High-circle.Low, circle.Low
		}
		for _, v := range summary(values, period, low) {
			put(v)
		}
		if s.m.Margins().Columns[j].Missing() {
			put(missing)
		}
	}
}

// summary is the mean, the deviation and the quantiles of values, which it sorts; NaN where
// there are none. Those of a circle of the given period, from low, are about the mean
// direction, from which no value is further than half of the period.
func summary(values []float64, period, low float64) []float64 {
	out := make([]float64, 2+len(levels))
	if len(values) == 0 {
		for k := range out {
			out[k] = math.NaN()
		}
		return out
	}
	n := float64(len(values))
	if period > 0 {
		var x, y float64
		for _, v := range values {
			sin, cos := math.Sincos(2 * math.Pi * (v - low) / period)
			x, y = x+cos, y+sin
		}
		middle := low + period*math.Atan2(y, x)/(2*math.Pi)
		for i, v := range values {
			values[i] = middle + math.Remainder(v-middle, period)
		}
	}
	slices.Sort(values)
	for _, v := range values {
		out[0] += v / n
	}
	for _, v := range values {
		out[1] += (v - out[0]) * (v - out[0]) / n
	}
	out[1] = math.Sqrt(out[1])
	for k, level := range levels {
		at := float64(level) / 100 * (n - 1)
		below := int(at)
		out[2+k] = values[below]
		if below+1 < len(values) {
			out[2+k] += (at - float64(below)) * (values[below+1] - values[below])
		}
	}
	if period > 0 {
		for k := range out {
			if k != 1 {
				out[k] = low + math.Mod(math.Mod(out[k]-low, period)+period, period)
			}
		}
	}
	return out
}

// EvaluateGiven writes the log density of the other columns of each row of a file given the
// given ones, under a saved model, with the standard error of log Z(c), and ∇w(·; c) at its
// point.
func EvaluateGiven(ctx context.Context, r *run.Run, m *fit.Model, path string, seed uint64) error {
	u := m.Origin.ContextUnits
	t, format, err := readPoints(r, path, u.Whole(m.Margins()))
	if err != nil {
		return err
	}
	given, drawn := u.Split(t)
	for _, note := range u.Outside(given) {
		r.Note("%s", note)
	}
	l, logZ, err := RowDensityGiven(ctx, m, given, drawn, 0, random.New(seed, "annealing", 0))
	if err != nil {
		return err
	}
	deviations := make([]float64, len(logZ))
	for i, z := range logZ {
		deviations[i] = z.Error
	}
	var failed int
	r.Report.Metrics["log_likelihood"], r.Report.Metrics["log_likelihood_se"], failed = fit.FiniteMean(l.LogPDF)
	r.Report.Metrics["log_likelihood_failed"] = float64(failed)
	contexts, err := u.Encode(given)
	if err != nil {
		return err
	}
	z, err := m.Margins().Encode(drawn, nil)
	if err != nil {
		return err
	}
	w, err := m.Evaluator.Given(contexts)
	if err != nil {
		return err
	}
	return saveDensities(r, format, w, z, []table.Column{
		{Name: "log_density", Kind: table.Real, Decimals: -1, Values: l.LogPDF},
		{Name: "log_z_error", Kind: table.Real, Decimals: -1, Values: deviations},
	})
}
