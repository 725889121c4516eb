package table

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cmf/data/table/text"
)

// maxValues bounds the tables that are read: 2³⁰ values, which are 8 GiB.
const maxValues = 1 << 30

// csvFile is a text file that is read.
type csvFile struct {
	*reader
	text    text.File
	dialect text.Dialect
	header  []string // nil where there is none
	skips   bool     // the first record is the header
	fields  []*field
}

var errNoRows = errors.New("it holds no row of values; give one row per line, values separated by commas, such as 1.5,-2e3")

// readText reads a text file. Columns of numbers and times are parsed as they
// come. If the whole file shows that a column is of another kind than its
// beginning, the file is read again.
func (r *reader) readText(path string, gzipped bool) (*Table, error) {
	f := &csvFile{reader: r, text: text.File{Path: path, Gzip: gzipped}}
	for {
		err := f.prepare()
		for again := true; err == nil && again; {
			if err = f.pass(); err == nil {
				again, err = f.revise()
			}
		}
		if errors.Is(err, text.ErrNotUTF8) && !f.text.Legacy {
			f.text.Legacy = true
			r.notes = nil
			continue
		}
		if err != nil {
			return nil, err
		}
		return f.table()
	}
}

// prepare infers encoding, dialect, header and kinds from the file's beginning.
func (f *csvFile) prepare() error {
	f.text.Spaces = false
	sample, name, err := f.text.Sample()
	if err != nil {
		return err
	}
	if name != "" {
		f.notef("the text is read as %s", name)
	}
	if f.text.CR {
		f.notef("lines end in carriage returns alone")
	}
	if f.text.Gzip {
		f.notef("the file is compressed by gzip")
	}
	path := strings.ToLower(strings.TrimSuffix(strings.ToLower(f.text.Path), ".gz"))
	var records [][]string
	f.dialect, records = text.Sniff(sample, strings.HasSuffix(path, ".tsv") || strings.HasSuffix(path, ".tab"))
	d := &f.dialect
	f.text.Spaces = d.Spaces
	f.format.Name, f.format.CRLF = "csv", strings.Contains(string(sample), "\r\n")
	f.format.Gzip = f.text.Gzip
	if d.Comma != ',' {
		f.format.Comma = string(d.Comma)
		separator := map[rune]string{';': "semicolons", '\t': "tabs", '|': "vertical bars", ' ': "spaces"}[d.Comma]
		f.notef("columns are separated by %s", separator)
	}
	if d.DecimalComma {
		f.format.DecimalComma = true
		f.notef("numbers are written with a decimal comma")
	}
	if d.Lazy {
		f.notef("quotes occur within fields and are read as they stand")
	}
	f.header, f.skips = d.Names(string(f.o.Header), sample, records, f.notef)
	f.format.Headless = f.header == nil
	if len(records) > 0 && f.skips {
		records = records[1:]
	}
	columns := d.Columns
	switch { // lines must have as many columns as the first
	case f.skips:
		columns = len(f.header)
	case len(records) > 0 && f.header == nil:
		columns = len(records[0])
	}
	return f.prepareFields(columns, records)
}

// prepareFields chooses how each column is parsed.
func (f *csvFile) prepareFields(columns int, records [][]string) error {
	names := make([]string, columns)
	for j := range names {
		if f.header != nil && j < len(f.header) {
			names[j] = strings.TrimSpace(f.header[j])
		}
	}
	names, err := f.uniqueNames(names)
	if err != nil {
		return err
	}
	f.fields = make([]*field, columns)
	for j, name := range names {
		c := &field{name: name, index: j, hint: f.o.Hints[called(name, j)], comma: f.dialect.DecimalComma}
		switch h := c.hint; {
		case h.Skip:
			c.mode = skipped
		case h.Kind == Category || h.Kind == Boolean:
			c.mode = asText
		case h.Kind == Real || h.Kind == Integer || h.Bounded:
			c.mode = asNumber
		default:
			c.guess(&f.dialect, records, j)
		}
		f.fields[j] = c
	}
	return nil
}

// pass reads the file once.
func (f *csvFile) pass() error {
	in, _, closing, err := f.text.Open()
	if err != nil {
		return err
	}
	defer closing()
	r := f.dialect.Reader(in)
	r.ReuseRecord = true
	for _, c := range f.fields {
		c.reset()
	}
	from, rows, read := 0, 0, 0 // from is the line of the first record
	active := slices.DeleteFunc(slices.Clone(f.fields), func(c *field) bool { return c.mode == skipped })
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return readable(err)
		}
		if text.Blank(record) && len(f.fields) > 1 {
			continue
		}
		if from == 0 {
			from, _ = r.FieldPos(0)
			if f.skips {
				continue
			}
		}
		if len(record) != len(f.fields) {
			line, _ := r.FieldPos(0)
			if !f.skips && f.header != nil {
				return fmt.Errorf("line %d has %d columns, the comment above the values names %d; they must agree", line, len(record), len(f.fields))
			}
			return fmt.Errorf("line %d has %d columns, line %d has %d; they must agree", line, len(record), from, len(f.fields))
		}
		if read += len(active); read > maxValues {
			return fmt.Errorf("more than %d values; at most that many are read", maxValues)
		}
		for _, c := range active {
			if err := c.add(record[c.index], r); err != nil {
				return err
			}
		}
		rows++
	}
	if rows == 0 {
		return errNoRows
	}
	return nil
}

// readable says which line an error of encoding/csv is about once.
func readable(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) && errors.Is(parse.Err, csv.ErrQuote) {
		return fmt.Errorf("line %d: a quote is opened and not closed rightly: %w", parse.StartLine, err)
	}
	return err
}

// revise says which columns are to be parsed in another way, and whether there
// are any; or that a text is wrong.
func (f *csvFile) revise() (again bool, err error) {
	for _, c := range f.fields {
		switch changed, err := c.revise(); {
		case err != nil:
			return false, err
		case changed:
			again = true
		}
	}
	return again, nil
}

// table collects the columns.
func (f *csvFile) table() (*Table, error) {
	t := &Table{Format: f.format}
	var nulls []string
	for _, c := range f.fields {
		if c.mode == skipped || c.left {
			f.leftOut = append(f.leftOut, c.name)
			if c.left {
				f.notef("column %q is left out: its texts are nearly all different, as names and ids are (CMF_COLUMNS=%s keeps it)", called(c.name, c.index), HintText(called(c.name, c.index), "category"))
			}
			continue
		}
		column, err := c.column()
		if err != nil {
			return nil, err
		}
		if c.missing > 0 && len(nulls) < 20 {
			nulls = append(nulls, fmt.Sprintf("%q in column %q (%d rows)", c.null, called(c.name, c.index), c.missing))
		}
		t.Columns = append(t.Columns, column)
		f.places = append(f.places, c.index)
	}
	if nulls != nil {
		f.notef("missing values: %s", strings.Join(nulls, ", "))
	}
	return t, nil
}

// called is the name by which hints and messages call column j of a file.
func called(name string, j int) string {
	if name != "" {
		return name
	}
	return fmt.Sprintf("x%d", j+1)
}

// HintText is a hint for CMF_COLUMNS, such as name:skip.
func HintText(name, hint string) string {
	if strings.ContainsAny(name, `,":[]()`) {
		name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return name + ":" + hint
}

// clipped is a text short enough for a message.
func clipped(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}
