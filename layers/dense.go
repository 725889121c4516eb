package layers

import (
	"fmt"

	"cmf/graph"

	"gonum.org/v1/gonum/blas/blas32"
)

func paramMatrix(p *graph.Param) blas32.General {
	return blas32.General{Rows: p.Rows, Cols: p.Cols, Stride: p.Cols, Data: p.Float32s()}
}

func scaleColumns(m blas32.General, by []float32) {
	for i := range m.Rows {
		row := m.Data[i*m.Stride:][:m.Cols]
		for j, v := range by {
			row[j] *= v
		}
	}
}

func key(name string, layer int) string { return fmt.Sprintf("%s %d", name, layer) }

func pieceKey(name string, layer, piece int) string {
	return fmt.Sprintf("%s %d.%d", name, layer, piece)
}

func rankName(r int) string { return fmt.Sprintf("rank%d", r) }
