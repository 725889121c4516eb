// Package data holds the measures ρ that conjugate moment measures are fitted
// to: two-dimensional toy sets, energies and their quadrature, MNIST, the Cartoon
// Set and drawn stand-ins for both, and arrays from files, together with pixel
// transforms and shuffled minibatches.
//
// Begin with Toy, NewEnergy or EnergyFunc, MNIST, and for points of one's own
// ReadCSV, ReadNPY and ReadPNGs. Problems, whose potential is known, are truths
// for learned ones.
//
// A batch is a row-major (n, d) matrix of float32, one point to a row.
package data

import (
	"fmt"

	"gonum.org/v1/gonum/blas/blas32"
)

// newBatch is an (n, d) batch of zeros.
func newBatch(n, d int) blas32.General {
	return blas32.General{Rows: n, Cols: d, Stride: max(1, d), Data: make([]float32, n*d)}
}

// row is row i of the batch m, which must have passed checkBatch.
func row(m blas32.General, i int) []float32 {
	if m.Cols == 0 {
		return nil
	}
	return m.Data[i*m.Stride : i*m.Stride+m.Cols]
}

// checkBatch says what is wrong with the layout of m, which name stands for in
// the message.
func checkBatch(name string, m blas32.General) error {
	switch {
	case m.Rows < 0 || m.Cols < 0:
		return fmt.Errorf("%s has shape (%d, %d); rows and columns must be 0 or more", name, m.Rows, m.Cols)
	case m.Stride < max(1, m.Cols):
		return fmt.Errorf("%s has stride %d; it must be at least max(1, columns) = %d", name, m.Stride, max(1, m.Cols))
	case m.Rows > 0 && m.Cols > 0 && len(m.Data) < (m.Rows-1)*m.Stride+m.Cols:
		return fmt.Errorf("%s has %d values; shape (%d, %d) with stride %d needs %d",
			name, len(m.Data), m.Rows, m.Cols, m.Stride, (m.Rows-1)*m.Stride+m.Cols)
	}
	return nil
}

// checkSameShape says what is wrong when the two batches are not well formed
// and of one shape.
func checkSameShape(nameA string, a blas32.General, nameB string, b blas32.General) error {
	if err := checkBatch(nameA, a); err != nil {
		return err
	}
	if err := checkBatch(nameB, b); err != nil {
		return err
	}
	if a.Rows != b.Rows || a.Cols != b.Cols {
		return fmt.Errorf("%s has shape (%d, %d), %s has (%d, %d); they must be equal",
			nameA, a.Rows, a.Cols, nameB, b.Rows, b.Cols)
	}
	return nil
}
