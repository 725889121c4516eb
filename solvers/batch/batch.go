// Package batch holds the operations on batches that all packages share. An (n, d)
// batch is a row-major matrix of float32, one point in each row, in gonum's
// blas32.General.
//
// Unless a function says otherwise, it takes batches that Check accepts, and
// indices within their shape.
package batch

import (
	"encoding/binary"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas32"
)

// New is an (n, d) batch of zeros.
func New(n, d int) blas32.General {
	return blas32.General{Rows: n, Cols: d, Stride: max(1, d), Data: make([]float32, n*d)}
}

// Row is row i of b, in the memory of b.
func Row(b blas32.General, i int) []float32 {
	if b.Cols == 0 {
		return nil
	}
	return b.Data[i*b.Stride : i*b.Stride+b.Cols]
}

// Rows are the rows lo to hi−1 of b, in the memory of b.
func Rows(b blas32.General, lo, hi int) blas32.General {
	b.Rows = hi - lo
	if hi == lo {
		b.Data = nil
	} else if b.Data != nil {
		b.Data = b.Data[lo*b.Stride : (hi-1)*b.Stride+b.Cols]
	}
	return b
}

// First are the first n rows of b, or all if there are fewer, in the memory of b.
func First(b blas32.General, n int) blas32.General { return Rows(b, 0, min(n, b.Rows)) }

// EveryOther are the rows from, from+2, … of b, in the memory of b.
func EveryOther(b blas32.General, from int) blas32.General {
	return blas32.General{Rows: (b.Rows + 1 - from) / 2, Cols: b.Cols, Stride: 2 * b.Stride, Data: b.Data[from*b.Stride:]}
}

// Column is a copy of column j of b.
func Column(b blas32.General, j int) []float32 {
	values := make([]float32, b.Rows)
	for i := range values {
		values[i] = b.Data[i*b.Stride+j]
	}
	return values
}

// Copy writes the rows of src into those of dst, as far as both have rows.
func Copy(dst, src blas32.General) {
	for i := range min(dst.Rows, src.Rows) {
		copy(Row(dst, i), Row(src, i))
	}
}

// Gather writes the rows of src listed in index into the rows of dst.
func Gather(dst, src blas32.General, index []int) {
	for k, i := range index {
		copy(Row(dst, k), Row(src, i))
	}
}

// Scatter writes the rows of src into the rows of dst listed in index.
func Scatter(dst, src blas32.General, index []int) {
	for k, i := range index {
		copy(Row(dst, i), Row(src, k))
	}
}

// Gathered is a new batch of the rows of b listed in index.
func Gathered(b blas32.General, index []int) blas32.General {
	out := New(len(index), b.Cols)
	Gather(out, b, index)
	return out
}

// Stacked is a new batch of the rows of x followed by those of y.
func Stacked(x, y blas32.General) blas32.General {
	out := New(x.Rows+y.Rows, x.Cols)
	Copy(Rows(out, 0, x.Rows), x)
	Copy(Rows(out, x.Rows, out.Rows), y)
	return out
}

// WithColumns is a copy of x with columns of length n appended.
func WithColumns(x blas32.General, columns ...[]float64) blas32.General {
	out := New(x.Rows, x.Cols+len(columns))
	for i := range x.Rows {
		to := Row(out, i)
		copy(to, Row(x, i))
		for k, c := range columns {
			to[x.Cols+k] = float32(c[i])
		}
	}
	return out
}

// Transposed is the (d, n) batch xᵀ.
func Transposed(x blas32.General) blas32.General {
	t := New(x.Cols, x.Rows)
	for i := range x.Rows {
		for k, v := range Row(x, i) {
			Row(t, k)[i] = v
		}
	}
	return t
}

// Reshaped is an (n, d) batch in the memory of b if it fits there, else in new memory.
// It may hold any values.
func Reshaped(b blas32.General, n, d int) blas32.General {
	return blas32.General{Rows: n, Cols: d, Stride: max(1, d), Data: Resized(b.Data, n*d)}
}

// Resized is a slice of length n in the memory of x if it fits there, else in new
// memory. It may hold any values.
func Resized[T any](x []T, n int) []T {
	if cap(x) < n {
		return make([]T, n)
	}
	return x[:n]
}

// Check says what is wrong with the layout of b; name stands for b in the message.
func Check(name string, b blas32.General) error {
	switch {
	case b.Rows < 0 || b.Cols < 0:
		return fmt.Errorf("%s: the shape is (%d, %d); rows and columns must be 0 or more", name, b.Rows, b.Cols)
	case b.Stride < max(1, b.Cols) && b.Rows > 0:
		return fmt.Errorf("%s: the stride is %d; it must be at least max(1, columns) = %d", name, b.Stride, max(1, b.Cols))
	case b.Rows > 0 && b.Cols > 0 && len(b.Data) < (b.Rows-1)*b.Stride+b.Cols:
		return fmt.Errorf("%s: %d values; the shape (%d, %d) with stride %d needs %d",
			name, len(b.Data), b.Rows, b.Cols, b.Stride, (b.Rows-1)*b.Stride+b.Cols)
	}
	return nil
}

// CheckSameShape returns an error unless both batches are well formed and have the same
// shape.
func CheckSameShape(nameA string, a blas32.General, nameB string, b blas32.General) error {
	if err := Check(nameA, a); err != nil {
		return err
	}
	if err := Check(nameB, b); err != nil {
		return err
	}
	if a.Rows != b.Rows || a.Cols != b.Cols {
		return fmt.Errorf("%s has shape (%d, %d), %s has (%d, %d); they must be equal",
			nameA, a.Rows, a.Cols, nameB, b.Rows, b.Cols)
	}
	return nil
}

// EqualRows lists the rows of b in groups of equal rows, in the order of their first.
func EqualRows(b blas32.General) (groups [][]int) {
	group := make(map[string]int)
	var key []byte
	for i := range b.Rows {
		key = key[:0]
		for _, v := range Row(b, i) {
			key = binary.LittleEndian.AppendUint32(key, math.Float32bits(v))
		}
		g, ok := group[string(key)]
		if !ok {
			g = len(groups)
			group[string(key)], groups = g, append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}
