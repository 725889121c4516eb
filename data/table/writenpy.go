package table

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"cmf/data/file"
	"cmf/data/table/numpy"
)

// fieldOf is the NumPy type in which a column is written.
func fieldOf(c *Column) (numpy.Field, error) {
	if f, err := numpy.ParseType(c.Name, numpy.Writable(c.Stored)); err == nil {
		return f, nil
	}
	descr := map[Kind]string{Real: "<f8", Integer: "<i8", Boolean: "|b1", Time: "<M8[us]"}[c.Kind]
	if c.Kind == Category || c.Kind == Boolean && !slices.Equal(c.Labels, []string{"false", "true"}) {
		long := 1
		for _, l := range c.Labels {
			long = max(long, utf8.RuneCountInString(l))
		}
		descr = fmt.Sprintf("<U%d", long)
	}
	return numpy.ParseType(c.Name, descr)
}

// arraySink writes an array. Its header is written again when the number of rows
// is known.
type arraySink struct {
	f      *os.File
	out    *bufio.Writer
	fields []numpy.Field
	record bool
	vector bool
	n      int
	line   []byte
}

// newArray begins an array with the given columns of like.
func newArray(f *os.File, like *Table, columns []int, record, vector bool) (*arraySink, error) {
	s := &arraySink{f: f, out: bufio.NewWriterSize(f, 1<<16), record: record, vector: vector}
	for _, j := range columns {
		field, err := fieldOf(&like.Columns[j])
		if err != nil {
			return nil, err
		}
		if record && field.Name == "" {
			field.Name = like.Name(j)
		}
		s.fields = append(s.fields, field)
	}
	_, err := s.out.Write(s.header())
	return s, err
}

// header has a length that does not depend on the number of rows.
func (s *arraySink) header() []byte {
	descr := "'" + s.fields[0].Type + "'"
	if s.record {
		var parts []string
		for _, f := range s.fields {
			parts = append(parts, fmt.Sprintf("('%s', '%s')", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(f.Name), f.Type))
		}
		descr = "[" + strings.Join(parts, ", ") + "]"
	}
	shape := fmt.Sprintf("(%d, %d)", s.n, len(s.fields))
	if s.record || s.vector {
		shape = fmt.Sprintf("(%d,)", s.n)
	}
	dict := fmt.Sprintf("{'descr': %s, 'fortran_order': False, 'shape': %s, }", descr, shape)
	const most = 20 // digits of a number of rows
	room := len(dict) - len(fmt.Sprint(s.n)) + most
	// Spaces and a newline bring the data to a multiple of 64 bytes. Names in
	// UTF-8 need version 3.
	const preamble = 12
	width := (preamble+room+1+63)/64*64 - preamble
	out := binary.LittleEndian.AppendUint32([]byte(numpy.Magic+"\x03\x00"), uint32(width))
	return append(out, fmt.Sprintf("%s%s\n", dict, strings.Repeat(" ", width-1-len(dict)))...)
}

func (s *arraySink) write(t *Table, columns []int, from, to int) (err error) {
	for i := from; i < to; i++ {
		s.line = s.line[:0]
		for k, j := range columns {
			c := &t.Columns[j]
			if s.line, err = appendValue(s.line, &s.fields[k], c, c.Values[i]); err != nil {
				return fmt.Errorf("row %d, column %d (%s): %w", s.n+1, j+1, t.Name(j), err)
			}
		}
		if _, err := s.out.Write(s.line); err != nil {
			return err
		}
		s.n++
	}
	return nil
}

// end writes the header with the number of rows.
func (s *arraySink) end() error {
	if err := s.out.Flush(); err != nil {
		return err
	}
	_, err := s.f.WriteAt(s.header(), 0)
	return err
}

// npySink writes one array to a file of its own.
type npySink struct {
	part    *file.Part
	array   *arraySink
	columns []int
}

func createNPY(path string, like *Table) (*npySink, error) {
	part, err := file.Create(path)
	if err != nil {
		return nil, err
	}
	columns := allOf(like)
	array, err := newArray(part.File, like, columns, isRecord(like), like.Format.Vector && len(columns) == 1)
	if err != nil {
		return nil, errors.Join(err, part.Abort())
	}
	return &npySink{part, array, columns}, nil
}

func allOf(t *Table) (columns []int) {
	for j := range t.Columns {
		columns = append(columns, j)
	}
	return columns
}

// isRecord reports whether the columns need a structured array: they have names
// or different types.
func isRecord(t *Table) bool {
	if named(t) {
		return true
	}
	first, _ := fieldOf(&t.Columns[0])
	return slices.ContainsFunc(t.Columns, func(c Column) bool {
		f, _ := fieldOf(&c)
		return f.Type != first.Type
	})
}

func (s *npySink) rows(t *Table, from, to int) error { return s.array.write(t, s.columns, from, to) }

func (s *npySink) close() error {
	if err := s.array.end(); err != nil {
		return err
	}
	return s.part.Commit()
}

func (s *npySink) abort() error { return s.part.Abort() }

// npzSink writes an archive. Arrays of one column each are collected in
// temporary files.
type npzSink struct {
	part    *file.Part
	like    *Table
	arrays  []*arraySink
	columns [][]int
	names   []string
}

func createNPZ(path string, like *Table) (*npzSink, error) {
	s := &npzSink{like: like}
	single := like.Format.Array != "" || !named(like)
	var err error
	if s.part, err = file.Create(path); err != nil {
		return nil, err
	}
	if single {
		name := like.Format.Array
		if name == "" {
			name = "arr_0"
		}
		err = s.add(path, name, allOf(like), isRecord(like))
	}
	for j := range like.Columns {
		if !single && err == nil {
			err = s.add(path, like.Name(j), []int{j}, false)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.abort())
	}
	return s, nil
}

func (s *npzSink) add(path, name string, columns []int, record bool) error {
	f, err := file.Create(path + "." + fmt.Sprint(len(s.arrays)))
	if err != nil {
		return err
	}
	// The file has no name from here on, so nothing of it can be left.
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(err, f.File.Close())
	}
	vector := !record && len(columns) == 1 && (s.like.Format.Array == "" && named(s.like))
	array, err := newArray(f.File, s.like, columns, record, vector)
	if err != nil {
		return errors.Join(err, f.File.Close())
	}
	s.arrays, s.columns, s.names = append(s.arrays, array), append(s.columns, columns), append(s.names, name)
	return nil
}

func (s *npzSink) rows(t *Table, from, to int) error {
	for k, a := range s.arrays {
		if err := a.write(t, s.columns[k], from, to); err != nil {
			return err
		}
	}
	return nil
}

func (s *npzSink) close() error {
	out := zip.NewWriter(s.part)
	for k, a := range s.arrays {
		if err := a.end(); err != nil {
			return err
		}
		if _, err := a.f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		method := zip.Store
		if s.like.Format.Gzip {
			method = zip.Deflate
		}
		entry, err := out.CreateHeader(&zip.FileHeader{Name: s.names[k] + ".npy", Method: method})
		if err == nil {
			_, err = io.Copy(entry, a.f)
		}
		if err = errors.Join(err, a.f.Close()); err != nil {
			return err
		}
	}
	s.arrays = nil
	if err := out.Close(); err != nil {
		return err
	}
	return s.part.Commit()
}

func (s *npzSink) abort() error {
	for _, a := range s.arrays {
		a.f.Close()
	}
	return s.part.Abort()
}
