package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"
)

// Vector is a list of numbers, written 0,-1.5,2.
type Vector []float64

// Decode reads a vector, for envconfig; the empty text is the empty vector.
func (v *Vector) Decode(list string) error {
	*v = nil
	if strings.TrimSpace(list) == "" {
		return nil
	}
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		x, err := strconv.ParseFloat(word, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("%q is not a finite number; give numbers separated by commas, such as 0,-1.5", word)
		}
		*v = append(*v, x)
	}
	return nil
}

// String writes a vector as Decode reads it.
func (v Vector) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]float64(v)), " ", ","), "[]")
}

// Matrix is a square matrix given by its rows, written 2,1.8;1.8,2.
type Matrix []Vector

// Decode reads a square matrix, for envconfig.
func (m *Matrix) Decode(text string) error {
	*m = nil
	for line := range strings.SplitSeq(text, ";") {
		var v Vector
		if err := v.Decode(line); err != nil {
			return err
		}
		*m = append(*m, v)
	}
	for i, v := range *m {
		if len(v) != len(*m) {
			return fmt.Errorf("row %d has %d numbers, but there are %d rows; give a square matrix such as 2,1.8;1.8,2", i+1, len(v), len(*m))
		}
	}
	return nil
}

// String writes a matrix as Decode reads it.
func (m Matrix) String() string {
	rows := make([]string, len(m))
	for i, v := range m {
		rows[i] = v.String()
	}
	return strings.Join(rows, ";")
}

func (m Matrix) Dense() *mat.Dense {
	out := mat.NewDense(len(m), len(m), nil)
	for i, v := range m {
		out.SetRow(i, v)
	}
	return out
}
