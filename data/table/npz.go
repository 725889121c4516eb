package table

import (
	"archive/zip"
	"bufio"
	"fmt"
	"os"
	"strings"

	"cmf/data/table/numpy"
)

// readNPZ reads an archive of arrays: its only two-dimensional array, or all its
// arrays as columns if they have one dimension and one length.
func (r *reader) readNPZ(f *os.File, size int64) (*Table, error) {
	archive, err := zip.NewReader(f, size)
	if err != nil {
		return nil, fmt.Errorf("zip archive: %w", err)
	}
	r.format.Name = "npz"
	var entries []*zip.File
	for _, e := range archive.File {
		if strings.HasSuffix(e.Name, ".npy") {
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("it is a zip archive without arrays; give %s, or save a spreadsheet as CSV", Files)
	}
	const mostArrays = 1 << 14
	if len(entries) > mostArrays {
		return nil, fmt.Errorf("it holds %d arrays; at most %d are read", len(entries), mostArrays)
	}
	flat, matrices, says, err := sorted(entries, size)
	if err != nil {
		return nil, err
	}
	t := &Table{}
	switch {
	case len(matrices) == 1:
		e := matrices[0]
		r.format.Array = strings.TrimSuffix(e.Name, ".npy")
		if len(entries) > 1 {
			r.notef("of the arrays %s, the one of two dimensions is read: %q", strings.Join(says, ", "), r.format.Array)
		}
		if t.Columns, _, err = readEntry(e); err != nil {
			return nil, fmt.Errorf("array %q: %w", e.Name, err)
		}
	case len(matrices) == 0 && len(flat) == len(entries):
		if err := r.readFlat(t, flat); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("it holds the arrays %s; allowed is one of shape (n, d), or several of shape (n,)", strings.Join(says, ", "))
	}
	r.format.Gzip = entries[0].Method == zip.Deflate
	t.Format = r.format
	return t, r.checkColumns(t)
}

// readFlat reads arrays of one dimension as columns.
func (r *reader) readFlat(t *Table, entries []*zip.File) error {
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name, ".npy")
		if r.o.Hints[name].Skip && len(t.Columns) > 0 {
			t.Columns = append(t.Columns, Column{Name: name, Kind: Real, Values: t.Columns[0].Values})
			continue
		}
		columns, h, err := readEntry(e)
		if err != nil {
			return fmt.Errorf("array %q: %w", e.Name, err)
		}
		if h.Record && len(entries) > 1 {
			return fmt.Errorf("array %q is structured; allowed is one such array, or several of numbers", e.Name)
		}
		if h.Record {
			r.format.Array = name
		} else {
			columns[0].Name = name
		}
		if len(t.Columns) > 0 && len(columns[0].Values) != t.Rows() {
			return fmt.Errorf("array %q has %d values, %q has %d; they must agree", name, len(columns[0].Values), t.Columns[0].Name, t.Rows())
		}
		t.Columns = append(t.Columns, columns...)
	}
	return nil
}

// sorted says which arrays have one and which two dimensions. An entry's claim of
// its size must be possible for the bytes of the file.
func sorted(entries []*zip.File, size int64) (flat, matrices []*zip.File, says []string, err error) {
	const mostRatio = 1100 // of deflate
	total := uint64(0)
	for _, e := range entries {
		total += e.UncompressedSize64
		if e.Method != zip.Store && e.Method != zip.Deflate || e.UncompressedSize64 > mostRatio*uint64(size) || total > mostRatio*uint64(size) {
			return nil, nil, nil, fmt.Errorf("array %q claims %d bytes in a file of %d; that is impossible, so the file is damaged", e.Name, e.UncompressedSize64, size)
		}
		in, err := e.Open()
		if err != nil {
			return nil, nil, nil, fmt.Errorf("array %q: %w", e.Name, err)
		}
		h, err := numpy.ReadHeader(in)
		in.Close()
		if err != nil {
			return nil, nil, nil, fmt.Errorf("array %q: %w", e.Name, err)
		}
		says = append(says, fmt.Sprintf("%q of shape %v", strings.TrimSuffix(e.Name, ".npy"), h.Shape))
		switch len(h.Shape) {
		case 1:
			flat = append(flat, e)
		case 2:
			matrices = append(matrices, e)
		}
	}
	return flat, matrices, says, nil
}

func readEntry(e *zip.File) ([]Column, *numpy.Header, error) {
	in, err := e.Open()
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	return readArray(bufio.NewReaderSize(in, 1<<16), int64(e.UncompressedSize64))
}
