package data

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// The file has the layout of numpy.save.
func TestWriteNPYIsNumPy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "samples.npy")
	strided := blas32.General{Rows: 2, Cols: 2, Stride: 3, Data: []float32{1, 2, 99, 3, 4, 99}}
	if err := WriteNPY(path, strided); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	header := "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"
	want := "\x93NUMPY\x01\x00v\x00" + header + strings.Repeat(" ", 117-len(header)) + "\n"
	if got := string(file[:128]); got != want {
		t.Errorf("header is %q, want %q", got, want)
	}
	values := make([]float32, 4)
	if n, err := binary.Decode(file[128:], binary.LittleEndian, values); err != nil || n != 16 || len(file) != 144 {
		t.Fatalf("%d bytes of values in a file of %d: %v", n, len(file), err)
	}
	if !slices.Equal(values, []float32{1, 2, 3, 4}) {
		t.Errorf("the file holds %v, want 1 2 3 4", values)
	}
}

func TestWriteNPYRefuses(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "samples.npy")
	err := WriteNPY(path, blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: make([]float32, 3)})
	if want := "3 values; the shape (2, 2) with stride 2 needs 4"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
	if err := WriteNPY(filepath.Join(folder, "absent", "samples.npy"), batch.New(1, 1)); err == nil {
		t.Error("writing into a folder that is not there passed")
	}
	// Renaming a file onto a folder fails: nothing may be left behind.
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteNPY(path, batch.New(1, 1)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got error %v, want one that names %s", err, path)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("a failed write left %v (%v)", left, err)
	}
}
