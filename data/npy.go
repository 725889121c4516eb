package data

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"

	"cmf/data/file"
	"cmf/solvers/batch"

	"codeberg.org/sbinet/npyio/npy"
	"gonum.org/v1/gonum/blas/blas32"
)

// WriteNPY writes the (n, d) batch m as a NumPy array of float32 to path, which
// appears only when it is whole.
func WriteNPY(path string, m blas32.General) error {
	err := batch.Check("the batch", m)
	if err == nil {
		err = file.Write(path, func(w io.Writer) error { return encodeNPY(w, m) })
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// encodeNPY writes format 1.0 of NumPy's numpy.lib.format. npyio's own writer
// takes two-dimensional arrays only as float64, or as nested slices whose
// elements it inspects by reflection.
func encodeNPY(w io.Writer, m blas32.General) error {
	out := bufio.NewWriterSize(w, 1<<16)
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", m.Rows, m.Cols)
	// Spaces and a newline bring the data to a multiple of 64 bytes.
	const preamble = 10
	width := (preamble+len(header)+64)/64*64 - preamble - 1
	fmt.Fprintf(out, "\x93NUMPY\x01\x00%s%-*s\n", binary.LittleEndian.AppendUint16(nil, uint16(width+1)), width, header)
	for i := range m.Rows {
		if err := binary.Write(out, binary.LittleEndian, batch.Row(m, i)); err != nil {
			return err
		}
	}
	return out.Flush()
}

// Bounds of the arrays read: 2³⁰ values, which are 4 GiB as float32, and a
// header of 64 KiB.
const (
	maxNPYValues = 1 << 30
	maxNPYHeader = 1 << 16
)

// ReadNPY reads a two-dimensional NumPy array of float32 or float64, in either
// byte and memory order, as an (n, d) batch; float64 is rounded to float32.
func ReadNPY(path string) (blas32.General, error) {
	file, err := os.Open(path)
	if err != nil {
		return blas32.General{}, fmt.Errorf("read array: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return blas32.General{}, fmt.Errorf("read array %s: %w", path, err)
	}
	m, err := decodeNPY(bufio.NewReaderSize(file, 1<<16), info.Size())
	if err != nil {
		return blas32.General{}, fmt.Errorf("read array %s: %w", path, err)
	}
	return m, nil
}

// decodeNPY reads an array from a file of the given size in bytes.
func decodeNPY(r *bufio.Reader, size int64) (blas32.General, error) {
	var none blas32.General
	// In version 2 a header may claim up to 4 GiB, which npyio would allocate.
	if start, _ := r.Peek(12); len(start) == 12 && start[6] == 2 && binary.LittleEndian.Uint32(start[8:]) > maxNPYHeader {
		return none, fmt.Errorf("header length is %d; it must be at most %d bytes", binary.LittleEndian.Uint32(start[8:]), maxNPYHeader)
	}
	count := &countingReader{r: r}
	header, err := readNPYHeader(count)
	if err != nil {
		return none, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	width := 0
	switch header.Descr.Type {
	case "'>f4'":
		order, width = binary.BigEndian, 4
	case "'<f4'":
		width = 4
	case "'>f8'":
		order, width = binary.BigEndian, 8
	case "'<f8'":
		width = 8
	default:
		return none, fmt.Errorf("dtype is %s; it must be float32 or float64", header.Descr.Type)
	}
	shape := header.Descr.Shape
	if len(shape) != 2 || min(shape[0], shape[1]) < 0 {
		return none, fmt.Errorf("shape is %v; it must be (n, d)", shape)
	}
	rows, cols := shape[0], shape[1]
	if max(rows, cols) > maxNPYValues/max(1, min(rows, cols)) {
		return none, fmt.Errorf("shape is (%d, %d); at most %d values are read", rows, cols, maxNPYValues)
	}
	if want := int64(rows) * int64(cols) * int64(width); size-count.n != want {
		return none, fmt.Errorf("%d bytes follow the header; shape (%d, %d) of %s needs %d",
			size-count.n, rows, cols, header.Descr.Type, want)
	}
	if rows*cols == 0 {
		return batch.New(rows, cols), nil
	}
	if header.Descr.Fortran {
		transposed, err := readRows(r, order, width, cols, rows)
		return batch.Transposed(transposed), err
	}
	return readRows(r, order, width, rows, cols)
}

// readNPYHeader leaves parsing to npyio, which indexes into a malformed header
// without checks. Its panic is turned into an error.
func readNPYHeader(r io.Reader) (header npy.Header, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed header: %v; allowed are NumPy arrays of shape (n, d), float32 or float64", p)
		}
	}()
	reader, err := npy.NewReader(r)
	if err != nil {
		return header, fmt.Errorf("header: %w; allowed are NumPy arrays of shape (n, d), float32 or float64", err)
	}
	return reader.Header, nil
}

// readRows reads an (n, d) array of floats of the given width in bytes.
func readRows(r io.Reader, order binary.ByteOrder, width, n, d int) (blas32.General, error) {
	m := batch.New(n, d)
	line := make([]byte, width*d)
	for i := range n {
		if _, err := io.ReadFull(r, line); err != nil {
			return m, fmt.Errorf("row %d: %w", i, err)
		}
		for k := range d {
			if width == 4 {
				batch.Row(m, i)[k] = math.Float32frombits(order.Uint32(line[4*k:]))
			} else {
				batch.Row(m, i)[k] = float32(math.Float64frombits(order.Uint64(line[8*k:])))
			}
		}
	}
	return m, nil
}

// countingReader counts the bytes read through it.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
