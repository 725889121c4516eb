package data

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"cmf/data/file"
	"cmf/solvers/batch"

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

// encodeNPY writes format 1.0 of NumPy's numpy.lib.format.
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
