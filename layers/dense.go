package layers

import (
	"fmt"

	"cmf/graph"
	"cmf/graph/op"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

func paramMatrix(p *graph.Param) blas32.General {
	return blas32.General{Rows: p.Rows, Cols: p.Cols, Stride: p.Cols, Data: p.Float32s()}
}

// dense is m without gaps between its rows, in its own memory if it has none.
func dense(m blas32.General) op.Matrix[float32] {
	if m.Stride != m.Cols {
		packed := batch.New(m.Rows, m.Cols)
		batch.Copy(packed, m)
		m = packed
	}
	return op.Matrix[float32]{Rows: m.Rows, Cols: m.Cols, Data: m.Data[:m.Rows*m.Cols]}
}

func general(m op.Matrix[float32]) blas32.General {
	return blas32.General{Rows: m.Rows, Cols: m.Cols, Stride: m.Cols, Data: m.Data}
}

// product is x·m.
func product(x, m blas32.General) blas32.General {
	y := batch.New(x.Rows, m.Cols)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, m, 0, y)
	return y
}

// addGram adds a·diag(v)·aᵀ to h.
func addGram(h, a blas32.General, v []float32) {
	scaled := batch.New(a.Rows, a.Cols)
	copy(scaled.Data, a.Data)
	batch.ScaleColumns(scaled, v)
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, scaled, a, 1, h)
}

// addScaled adds a·diag(v) to m.
func addScaled(m, a blas32.General, v []float32) {
	for i := range a.Rows {
		to := m.Data[i*m.Stride:]
		for k, x := range a.Data[i*a.Stride:][:a.Cols] {
			to[k] += float32(x * v[k])
		}
	}
}

func key(name string, layer int) string { return fmt.Sprintf("%s %d", name, layer) }

func pieceKey(name string, layer, piece int) string {
	return fmt.Sprintf("%s %d.%d", name, layer, piece)
}

func rankName(r int) string { return fmt.Sprintf("rank%d", r) }
