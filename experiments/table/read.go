package table

import (
	"fmt"
	"os"

	"cmf/data/images"
	tables "cmf/data/table"
	"cmf/data/units"

	"gonum.org/v1/gonum/blas/blas32"
)

// MaxDim limits d: the preconditioner and a trained quadratic each need d² numbers.
const MaxDim = 1024

// Read reads a table of numbers from a file, or a folder of PNG files. The form says which
// of these the points are, and the notes what was inferred about the file.
func Read(path string) (x blas32.General, f units.Form, notes []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return x, f, nil, err
	}
	if info.IsDir() {
		x, f.Height, f.Width, err = images.ReadPNGs(path)
		return x, f, nil, err
	}
	t, notes, err := tables.Read(path, tables.Options{})
	if err != nil {
		return x, f, nil, err
	}
	if x, err = t.Batch(); err != nil {
		return x, f, nil, fmt.Errorf("read table %s: %w", path, err)
	}
	named := false
	for _, c := range t.Columns {
		named = named || c.Name != ""
	}
	// A plain array remains one where points are written.
	f.Table = named || t.Format.Name != "npy" && t.Format.Name != "npz"
	if named {
		f.Columns = t.Names()
	}
	return x, f, notes, nil
}
