package table

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cmf/data"
	"cmf/data/images"
	"cmf/data/units"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// MaxDim limits d: the preconditioner and a trained quadratic each need d² numbers.
const MaxDim = 1024

// Read reads a file .npy or .csv, or a folder of PNG files. The form says which of
// these the points are.
func Read(path string) (x blas32.General, f units.Form, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return x, f, err
	}
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case info.IsDir():
		x, f.Height, f.Width, err = images.ReadPNGs(path)
	case ext == ".npy":
		x, err = data.ReadNPY(path)
	case ext == ".csv":
		f.Table = true
		if x, err = data.ReadCSV(path); err == nil {
			f.Columns, err = readHeader(path, x.Cols)
		}
	default:
		return x, f, errors.New("give a file .npy or .csv, or a folder of PNG files")
	}
	if err != nil {
		return x, f, err
	}
	for i := range x.Rows {
		for j, v := range batch.Row(x, i) {
			if v-v != 0 {
				return x, f, fmt.Errorf("row %d, column %d is %g (counted from 1); it must be finite", i+1, j+1, v)
			}
		}
	}
	return x, f, nil
}

// readHeader returns the names of a table's columns, or nil if its first line consists of
// numbers.
func readHeader(path string, columns int) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comment, r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = '#', -1, true, true
	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("the header of %s: %w", path, err)
	}
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	for k, name := range names {
		names[k] = strings.TrimSpace(name)
		if _, err := strconv.ParseFloat(names[k], 32); err == nil || errors.Is(err, strconv.ErrRange) {
			return nil, nil
		}
	}
	if len(names) != columns {
		return nil, fmt.Errorf("%s: its header names %d columns, but its rows have %d; they must agree", path, len(names), columns)
	}
	return names, nil
}
