package transport

import (
	"fmt"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// SquaredDistances writes ‖x_i − y_j‖² into dst, (n, m), for the rows of x,
// (n, d), and y, (m, d), as ‖x_i‖² + ‖y_j‖² − 2⟨x_i, y_j⟩, never below 0. Rounding
// leaves an absolute error of about 10⁻⁷·max(‖x_i‖², ‖y_j‖²): centre the data.
// dst must not overlap x or y.
func SquaredDistances(dst, x, y blas32.General) error {
	if x.Cols != y.Cols || dst.Rows != x.Rows || dst.Cols != y.Rows {
		return fmt.Errorf("transport: squared distances between batches (%d, %d) and (%d, %d) do not fit into shape (%d, %d); it must be (%d, %d) and the widths must agree",
			x.Rows, x.Cols, y.Rows, y.Cols, dst.Rows, dst.Cols, x.Rows, y.Rows)
	}
	for name, b := range map[string]blas32.General{"x": x, "y": y, "dst": dst} {
		if err := batch.Check("squared distances, "+name, b); err != nil {
			return err
		}
	}
	if dst.Rows == 0 || dst.Cols == 0 {
		return nil
	}
	if x.Cols > 0 {
		blas32.Gemm(blas.NoTrans, blas.Trans, -2, x, y, 0, dst)
	}
	squares := make([]float32, y.Rows)
	for j := range squares {
		squares[j] = float32(batch.SumSquares(batch.Row(y, j)))
	}
	for i := range x.Rows {
		own := float32(batch.SumSquares(batch.Row(x, i)))
		out := batch.Row(dst, i)
		for j, s := range squares {
			out[j] = max(0, own+s+out[j])
		}
	}
	return nil
}
