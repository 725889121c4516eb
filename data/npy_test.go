package data

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"

	"codeberg.org/sbinet/npyio/npy"
	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

func TestNPYRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "samples.npy")
	for _, m := range []blas32.General{
		{Rows: 2, Cols: 3, Stride: 3, Data: []float32{1, -2.5, float32(math.Inf(1)), 1e-40, 5, 6}},
		{Rows: 0, Cols: 3, Stride: 3, Data: []float32{}},
		{Rows: 3, Cols: 0, Stride: 1, Data: []float32{}},
	} {
		if err := WriteNPY(path, m); err != nil {
			t.Fatal(err)
		}
		got, err := ReadNPY(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("(%d, %d) comes back changed (−want +got):\n%s", m.Rows, m.Cols, diff)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("writing left %v (%v), want the array alone", left, err)
	}
}

// The file has the layout of numpy.save, and npyio reads the same values from
// it.
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
	var values []float32
	if err := npy.Read(bytes.NewReader(file), &values); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(values, []float32{1, 2, 3, 4}) {
		t.Errorf("npyio reads %v, want 1 2 3 4", values)
	}
}

// npyFile is an array file with the given dtype, memory order and shape.
func npyFile(dtype, fortran, shape string, body []byte) []byte {
	header := "{'descr': '" + dtype + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n"
	file := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	return append(append(file, header...), body...)
}

func TestReadNPYFormats(t *testing.T) {
	values := []float64{1, 2, 3, 4, 5, 6}
	columnwise := []float64{1, 4, 2, 5, 3, 6}
	encode := func(order binary.AppendByteOrder, width int, values []float64) (body []byte) {
		for _, v := range values {
			if width == 4 {
				body = order.AppendUint32(body, math.Float32bits(float32(v)))
			} else {
				body = order.AppendUint64(body, math.Float64bits(v))
			}
		}
		return body
	}
	var byNPYIO bytes.Buffer
	if err := npy.Write(&byNPYIO, mat.NewDense(2, 3, values)); err != nil {
		t.Fatal(err)
	}
	want := blas32.General{Rows: 2, Cols: 3, Stride: 3, Data: []float32{1, 2, 3, 4, 5, 6}}
	for name, file := range map[string][]byte{
		"<f4":           npyFile("<f4", "False", "(2, 3)", encode(binary.LittleEndian, 4, values)),
		">f4":           npyFile(">f4", "False", "(2, 3)", encode(binary.BigEndian, 4, values)),
		"<f8":           npyFile("<f8", "False", "(2, 3)", encode(binary.LittleEndian, 8, values)),
		">f8":           npyFile(">f8", "False", "(2, 3)", encode(binary.BigEndian, 8, values)),
		"Fortran order": npyFile("<f4", "True", "(2, 3)", encode(binary.LittleEndian, 4, columnwise)),
		"npyio's":       byNPYIO.Bytes(),
	} {
		got, err := decodeNPY(bufio.NewReader(bytes.NewReader(file)), int64(len(file)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (−want +got):\n%s", name, diff)
		}
	}
}

func TestReadNPYRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "array.npy")
	body := make([]byte, 16)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":            {nil, "header: EOF"},
		"other file":       {[]byte("PK\x03\x04 and so on"), "header: npy: not a valid NumPy file format"},
		"malformed header": {[]byte("\x93NUMPY\x01\x00\x04\x00{}{}"), "malformed header"},
		"endless header":   {[]byte("\x93NUMPY\x02\x00\xff\xff\xff\xffxxxx"), "header length is 4294967295; it must be at most 65536"},
		"integers":         {npyFile("<i4", "False", "(2, 2)", body), "dtype is '<i4'; it must be float32 or float64"},
		"one dimension":    {npyFile("<f4", "False", "(4,)", body), "shape is [4]; it must be (n, d)"},
		"cut":              {npyFile("<f4", "False", "(2, 2)", body[:15]), "15 bytes follow the header; shape (2, 2) of '<f4' needs 16"},
		"trailing bytes":   {npyFile("<f4", "False", "(2, 1)", body), "16 bytes follow the header; shape (2, 1) of '<f4' needs 8"},
		"too large":        {npyFile("<f4", "False", "(4294967296, 4294967296)", body), "at most 1073741824 values are read"},
		"negative":         {npyFile("<f4", "False", "(-2, -2)", body), "shape is [-2 -2]"},
	} {
		if err := os.WriteFile(path, c.file, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadNPY(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got error %v, want one with the path and %q", name, err, c.want)
		}
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

func FuzzNPY(f *testing.F) {
	f.Add(npyFile("<f4", "False", "(2, 2)", make([]byte, 16)))
	f.Add(npyFile(">f8", "True", "(1, 2)", make([]byte, 16)))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := decodeNPY(bufio.NewReader(bytes.NewReader(file)), int64(len(file)))
		if err == nil && len(m.Data) != m.Rows*m.Cols {
			t.Errorf("%d values for shape (%d, %d)", len(m.Data), m.Rows, m.Cols)
		}
	})
}
