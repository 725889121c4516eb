package table

import (
	"math"
	"strings"

	"cmf/experiments/fit"
	"cmf/graph"
)

// sparse shrinks the weights by which a law depends on given columns beyond the regression, so
// that columns which do not matter have none. After each step of Adam at the rate η each weight
// goes towards 0 by
//
//	η·√(b/n)
//
// for batches of b of n rows. Adam moves a weight by η times the mean of its gradient over its
// root mean square, and √(b/n) is the scatter of that over draws of the n rows: a weight stays
// only where its gradient is more than a standard error. This is the lasso with a threshold
// for each weight by its own scatter.
//
// R. Tibshirani, "Regression shrinkage and selection via the lasso", J. R. Stat. Soc. B 58(1)
// (1996), 267–288.
func sparse(weights *graph.Params, batch, rows int) fit.Hook {
	threshold := min(.5, math.Sqrt(float64(batch)/float64(rows))) // of few rows in one batch there is no scatter to see
	var shrunk []*graph.Param
	for _, p := range weights.Trained() {
		regression := p.Name == "context.shift.linear" || p.Name == "context.slope.linear"
		if strings.HasPrefix(p.Name, "context.") && p.Name != "context.bias" && !regression {
			shrunk = append(shrunk, p)
		}
	}
	return fit.Hook{Step: func(l *fit.Loop) error {
		by := float32(threshold * l.Model.Info.Adam.LR)
		for _, p := range shrunk {
			values := p.Float32s()
			for i, v := range values {
				values[i] = max(v-by, 0) + min(v+by, 0)
			}
		}
		return nil
	}}
}
