package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cmf/data/table/numpy"
	"cmf/data/table/text"

	"gonum.org/v1/gonum/blas/blas32"
)

// Extensions are those of the files that Read reads. Others are read too, if
// their content is of such a kind.
var Extensions = []string{".csv", ".tsv", ".txt", ".npy", ".npz", ".parquet", ".arrow", ".feather", ".gz"}

// Files names the files that are read, for messages.
const Files = "a file .csv, .tsv, .txt (also with .gz), .npy, .npz, .parquet, .arrow or .feather"

// IsFile reports whether a name ends in one of the Extensions.
func IsFile(name string) bool {
	return slices.Contains(Extensions, strings.ToLower(filepath.Ext(name)))
}

// reader is what reading a file of any format shares.
type reader struct {
	o       Options
	notes   []string
	format  Format
	leftOut []string // names of columns that are not in the table
	places  []int    // of the table's columns in the file
}

func (r *reader) notef(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// Read reads a table. Its format follows from the file's content: text with
// columns separated by commas, semicolons, tabs, bars or spaces, NumPy arrays,
// Parquet or Arrow. The notes say what was inferred.
//
// It is an error, which names line or row and column, if a value is infinite, if
// a line has another number of values than the first, or if a text stands among
// numbers.
func Read(path string, o Options) (*Table, []string, error) {
	r := &reader{o: o}
	t, err := r.read(path)
	var missing *fs.PathError
	if errors.As(err, &missing) {
		return nil, nil, fmt.Errorf("read table: %w", err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read table %s: %w", path, err)
	}
	return t, r.notes, nil
}

// ReadBatch reads a table of numbers as a plain batch.
func ReadBatch(path string) (blas32.General, error) {
	t, _, err := Read(path, Options{})
	if err != nil {
		return blas32.General{}, err
	}
	x, err := t.Batch()
	if err != nil {
		return x, fmt.Errorf("read table %s: %w", path, err)
	}
	return x, nil
}

func (r *reader) read(path string) (t *Table, err error) {
	// Opening a pipe would wait for its other end.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is %s; give %s", kindOfFile(info.Mode()), Files)
	}
	if !slices.Contains([]Header{"", HeaderAuto, HeaderYes, HeaderNo}, r.o.Header) {
		return nil, fmt.Errorf("the header is %q; allowed are auto, yes and no", r.o.Header)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start := make([]byte, 512)
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	// The libraries of formats may panic on damaged files.
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("the file is damaged: %q", clipped(fmt.Sprint(p)))
		}
	}()
	if t, err = r.decode(path, f, info.Size(), start[:n]); err != nil {
		return nil, err
	}
	return t, r.finish(t)
}

func kindOfFile(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// decode chooses the format by the first bytes of the file.
func (r *reader) decode(path string, f *os.File, size int64, start []byte) (*Table, error) {
	is := func(magic string) bool { return bytes.HasPrefix(start, []byte(magic)) }
	ext := strings.ToLower(filepath.Ext(path))
	for magic, what := range map[string]string{
		"FEA1": "a Feather file of version 1; write version 2, as Arrow does", "\x89HDF": "an HDF5 file", "%PDF": "a PDF file",
		"\x89PNG": "a picture", "\xd0\xcf\x11\xe0": "an Excel file; save it as CSV", "SQLite format": "a database", "Obj\x01": "an Avro file",
		"ORC": "an ORC file", "BZh": "compressed by bzip2; unpack it", "\xfd7zXZ": "compressed by xz; unpack it", "\x28\xb5\x2f\xfd": "compressed by zstd; unpack it",
	} {
		if is(magic) && (len(magic) > 3 || magic == "BZh" && ext == ".bz2" || ext == ".orc") {
			return nil, fmt.Errorf("it is %s; give %s", what, Files)
		}
	}
	switch {
	case is(numpy.Magic):
		return r.readNPY(f, size)
	case is("PK\x03\x04"), is("PK\x05\x06"):
		return r.readNPZ(f, size)
	case is("PAR1"):
		return r.readParquet(f, size)
	case is("ARROW1"):
		return r.readArrow(f, size, ext)
	case is("\xff\xff\xff\xff") && ext != ".csv" && ext != ".txt" && ext != ".tsv":
		return r.readArrowStream(f, size, ext)
	case ext == ".npy", ext == ".npz", ext == ".parquet", ext == ".arrow", ext == ".feather":
		return nil, fmt.Errorf("it does not begin as a file %s does; allowed is %s", ext, Files)
	case is("\x1f\x8b"):
		return r.readText(path, true)
	}
	return r.readText(path, false)
}

// uniqueNames gives a column whose name occurs before a number, as pandas does,
// and checks that hints name columns.
func (r *reader) uniqueNames(names []string) ([]string, error) {
	seen := map[string]bool{}
	for j, name := range names {
		fresh := name
		for k := 1; seen[fresh]; k++ {
			fresh = fmt.Sprintf("%s.%d", name, k)
		}
		if fresh != name {
			r.notef("two columns are called %q: the later one is %q", name, fresh)
		}
		if name == "" && slices.Contains(names, called("", j)) {
			fresh = fmt.Sprintf("column %d", j+1)
		}
		names[j] = fresh
		if fresh != "" {
			seen[fresh] = true
		}
	}
	all := make([]string, len(names))
	for j, name := range names {
		all[j] = called(name, j)
	}
	return names, r.checkNames(all)
}

// finish does what all formats share: it leaves out columns that count rows or
// name them, applies hints, and notes what was inferred.
func (r *reader) finish(t *Table) error {
	if r.places == nil {
		for j := range t.Columns {
			r.places = append(r.places, j)
		}
	}
	if err := r.checkFinite(t); err != nil {
		return err
	}
	for j := range t.Columns {
		c := &t.Columns[j]
		if err := applyHint(c, r.o.Hints[r.name(t, j)]); err != nil {
			return fmt.Errorf("column %d (%s): %w", r.places[j]+1, r.name(t, j), err)
		}
	}
	r.prune(t)
	if len(t.Columns) == 0 {
		return errNoColumns
	}
	for j := range t.Columns {
		if name := t.Columns[j].Name; name == "" && len(r.leftOut) > 0 {
			t.Columns[j].Name = called("", r.places[j]) // the place alone no longer tells
		}
		r.noteSuspicious(&t.Columns[j], t.Name(j))
	}
	r.noteKinds(t)
	return nil
}

// name is the name of column j of the table in its file.
func (r *reader) name(t *Table, j int) string { return called(t.Columns[j].Name, r.places[j]) }

func (r *reader) checkFinite(t *Table) error {
	for j := range t.Columns {
		for i, v := range t.Columns[j].Values {
			if math.IsInf(v, 0) {
				return fmt.Errorf("row %d, column %d (%s) is %g (counted from 1); it must be finite", i+1, r.places[j]+1, r.name(t, j), v)
			}
		}
	}
	return nil
}

// prune leaves out columns that only count or name rows, unless a hint names
// them.
func (r *reader) prune(t *Table) {
	var columns []Column
	var places []int
	for j, c := range t.Columns {
		name := r.name(t, j)
		_, hinted := r.o.Hints[name]
		why := ""
		switch {
		case hinted:
		case (j == 0 || strings.HasPrefix(c.Name, "__index_level_")) && len(t.Columns) > 1 && counts(c, !t.Format.Headless && r.places[0] == 0):
			why = "it counts the rows"
		case c.Kind == Category && c.namesRows():
			why = "its texts are nearly all different, as names and ids are"
		case c.Name == "" && !t.Format.Headless && len(t.Columns) > 1 && named(t) && c.Kind == Real && allMissing(c.Values):
			why = "it has neither a name nor values"
		}
		if why == "" {
			columns, places = append(columns, c), append(places, r.places[j])
			continue
		}
		r.leftOut = append(r.leftOut, c.Name)
		keep := ""
		if why != "it has neither a name nor values" {
			keep = fmt.Sprintf(" (CMF_COLUMNS=%s keeps it)", HintText(name, string(c.Kind)))
		}
		r.notef("column %q is left out: %s%s", name, why, keep)
	}
	t.Columns, r.places = columns, places
}

func named(t *Table) bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Name != "" })
}

func allMissing(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return !math.IsNaN(v) })
}

// counts reports whether the column is the row number that pandas and R write.
func counts(c Column, headed bool) bool {
	name := strings.ToLower(c.Name)
	if c.Kind != Integer || !(name == "index" || strings.HasPrefix(name, "unnamed: 0") || strings.HasPrefix(name, "__index_level_") || name == "" && headed && c.Stored == "") {
		return false
	}
	if len(c.Values) < 2 || c.Values[0] != 0 && c.Values[0] != 1 {
		return false
	}
	for i, v := range c.Values {
		if v != c.Values[0]+float64(i) {
			return false
		}
	}
	return true
}

// namesRows reports whether a category's texts are nearly all different.
func (c *Column) namesRows() bool {
	filled := 0
	for _, v := range c.Values {
		if !math.IsNaN(v) {
			filled++
		}
	}
	return len(c.Labels) > fewLabels && 2*len(c.Labels) > filled
}

// noteSuspicious notes a number that occurs often and is far from all others, as
// −9999 is where it stands for a missing value.
func (r *reader) noteSuspicious(c *Column, name string) {
	if c.Kind != Real && c.Kind != Integer {
		return
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range c.Values {
		low, high = min(low, v+0), max(high, v+0)
		if math.IsNaN(v) {
			low, high = boundsOf(c.Values)
			break
		}
	}
	for _, end := range []float64{low, high} {
		times, filled := 0, 0
		nextLow, nextHigh := math.Inf(1), math.Inf(-1)
		for _, v := range c.Values {
			switch {
			case math.IsNaN(v):
				continue
			case v == end:
				times++
			default:
				nextLow, nextHigh = min(nextLow, v), max(nextHigh, v)
			}
			filled++
		}
		gap := max(nextLow-end, end-nextHigh)
		if times > 1 && times < filled && gap > 5*(nextHigh-nextLow) && nextHigh > nextLow && math.Abs(end) >= 99 {
			r.notef("column %q: %s occurs %d times, far from all other values, which lie in [%s, %s]; if it stands for a missing value, write NA instead",
				name, short(end), times, short(nextLow), short(nextHigh))
		}
	}
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// boundsOf are the least and the largest value, leaving out those that are
// missing.
func boundsOf(values []float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsNaN(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	return low, high
}

// noteKinds notes the columns that are not numbers.
func (r *reader) noteKinds(t *Table) {
	for _, kind := range Kinds[1:] {
		var names []string
		for j := range t.Columns {
			if t.Columns[j].Kind == kind {
				names = append(names, t.Name(j))
			}
		}
		if names != nil {
			what := map[Kind]string{Integer: "whole numbers", Boolean: "booleans", Category: "categories", Time: "times"}[kind]
			r.notef("columns of %s: %s", what, text.Listed(names))
		}
	}
	for j := range t.Columns {
		c := &t.Columns[j]
		if len(c.Values) > 0 && allMissing(c.Values) {
			r.notef("column %q has no values", t.Name(j))
		}
		if c.Clock != nil && c.Clock.Unit != "day" {
			if low, high := boundsOf(c.Values); high-low > 1<<53 {
				r.notef("column %q: its times span so many %s that they are rounded", t.Name(j), c.Clock.Unit)
			}
		}
		if c.Kind == Integer {
			if low, high := boundsOf(c.Values); max(-low, high) > 1<<53 {
				r.notef("column %q: whole numbers beyond 2⁵³ are rounded; if they name something, set CMF_COLUMNS=%s", t.Name(j), HintText(t.Name(j), "category"))
			}
		}
	}
}
