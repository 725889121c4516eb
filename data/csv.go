package data

import (
	"encoding/csv"
	"io"
	"strconv"

	"cmf/data/file"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// WriteCSV writes the (n, d) batch x as a table, one line to a row, under a
// header unless it is nil. Numbers have enough digits to read back as the same
// float32. The file appears only when it is whole.
func WriteCSV(path string, header []string, x blas32.General) error {
	return file.Write(path, func(w io.Writer) error {
		out := csv.NewWriter(w)
		if header != nil {
			if err := out.Write(header); err != nil {
				return err
			}
		}
		record := make([]string, x.Cols)
		for i := range x.Rows {
			for j, v := range batch.Row(x, i) {
				record[j] = strconv.FormatFloat(float64(v), 'g', -1, 32)
			}
			if err := out.Write(record); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	})
}
