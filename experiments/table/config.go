package table

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cmf/data/margins"
	"cmf/data/table"
)

// Reading configures how tables are read.
type Reading struct {
	Columns string     `desc:"what columns hold, where that is not as it was found: name:kind or name:[low,high], separated by commas. Kinds are real, integer, boolean, category, time, skip and circular(low,high); as in age:integer,share:[0,1],id:skip. Columns without names are x1, x2, …"`
	Header  HeaderLine `default:"auto" desc:"whether the first line of a text file names the columns: auto, yes or no"`
}

// Config configures how a table is read and how its columns are learned.
type Config struct {
	Reading
	Weight   string      `desc:"column of the weights of the rows; none if empty"`
	Margins  MarginsKind `default:"auto" desc:"coordinates of learning: plain (columns less their mean over their deviation), normal (normal scores of the columns) or auto (plain where all columns are smooth and real, else normal)"`
	Given    string      `desc:"columns that are given, by name or by place from 1, separated by commas: the law of the others given these is learned; none if empty"`
	Features int         `default:"64" range:"0..4096" desc:"with CMF_GIVEN, hidden features of the given columns, by which the law depends on them in other ways than a regression; 0 for none, which suits quadratics"`
	Target   string      `desc:"column that a model trained on generated rows predicts in the judgement; if empty the last column of labels, else the last one"`
}

// HeaderLine is a value of CMF_HEADER.
type HeaderLine string

// Known implements config.Known.
func (HeaderLine) Known() []string {
	return []string{string(table.HeaderAuto), string(table.HeaderYes), string(table.HeaderNo)}
}

// MarginsKind is a value of CMF_MARGINS.
type MarginsKind string

// The coordinates of learning.
const (
	MarginsAuto   MarginsKind = "auto"
	MarginsPlain  MarginsKind = "plain"
	MarginsNormal MarginsKind = "normal"
)

// Known implements config.Known.
func (MarginsKind) Known() []string {
	return []string{string(MarginsAuto), string(MarginsPlain), string(MarginsNormal)}
}

// Validate checks CMF_COLUMNS.
func (c *Reading) Validate() error {
	_, err := table.ParseHints(c.Columns)
	if err != nil {
		return fmt.Errorf("CMF_COLUMNS=%s: %w", c.Columns, err)
	}
	return nil
}

// Read reads the table of a file. The notes say what was inferred.
func (c *Reading) Read(path string) (t *table.Table, notes []string, err error) {
	return c.read(path, nil, nil)
}

// ReadOneOf is Read for one of several files, of which CMF_COLUMNS may name columns of any:
// used gets the names that are columns of this one.
func (c *Reading) ReadOneOf(path string, used map[string]bool) (t *table.Table, notes []string, err error) {
	return c.read(path, nil, used)
}

// ReadLike reads further rows for a model whose columns are m; what CMF_COLUMNS says of other
// columns holds too.
func (c *Reading) ReadLike(path string, m *margins.Margins) (t *table.Table, notes []string, err error) {
	return c.read(path, m.Hints(), map[string]bool{})
}

// read reads a table of which more is known than CMF_COLUMNS says. Unless used is nil, hints
// may be for columns that are not there.
func (c *Reading) read(path string, known table.Hints, used map[string]bool) (t *table.Table, notes []string, err error) {
	hints, err := table.ParseHints(c.Columns)
	if err != nil {
		return nil, nil, fmt.Errorf("CMF_COLUMNS=%s: %w", c.Columns, err)
	}
	maps.Copy(hints, known)
	return table.Read(path, table.Options{Header: table.Header(c.Header), Hints: hints, Extra: used != nil, Used: used})
}

// CheckUsed refuses names in CMF_COLUMNS that no file has.
func (c *Reading) CheckUsed(used map[string]bool) error {
	hints, err := table.ParseHints(c.Columns)
	if err != nil {
		return fmt.Errorf("CMF_COLUMNS=%s: %w", c.Columns, err)
	}
	for _, name := range slices.Sorted(maps.Keys(hints)) {
		if !used[name] {
			return fmt.Errorf("CMF_COLUMNS=%s: no table has a column %q", c.Columns, name)
		}
	}
	return nil
}

// options say how the columns are learned, by rows of the given weights.
func (c *Config) options(weights []float64) (margins.Options, error) {
	hints, err := table.ParseHints(c.Columns)
	if err != nil {
		return margins.Options{}, err
	}
	o := margins.Options{Hints: map[string]margins.Hint{}, Weights: weights, Normal: c.Margins == MarginsNormal, Plain: c.Margins == MarginsPlain}
	for name, hint := range hints {
		if hint.Bounded || hint.Circular {
			o.Hints[name] = margins.Hint{Low: finite(hint.Low), High: finite(hint.High), Circular: hint.Circular}
		}
	}
	return o, nil
}

// finite is a bound, nil for none.
func finite(v float64) *float64 {
	if v-v != 0 {
		return nil
	}
	return &v
}

// column is the number of a column by its name.
func column(t *table.Table, variable, name string) (int, error) {
	for j := range t.Columns {
		if t.Name(j) == name {
			return j, nil
		}
	}
	return 0, fmt.Errorf("%s=%s: there is no such column; the columns are %s", variable, name, strings.Join(t.Names(), ", "))
}
