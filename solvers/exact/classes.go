package exact

import (
	"fmt"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Class is the class of a context that is one: the place of its only 1 among zeros, or −1
// for another context.
func Class(c []float32) int {
	class := -1
	for k, v := range c {
		switch {
		case v == 1 && class < 0:
			class = k
		case v != 0:
			return -1
		}
	}
	return class
}

// ClassRows lists the rows of each class, for contexts c of shape (n, k) that are classes.
// Every class must have a row.
func ClassRows(c blas32.General) ([][]int, error) {
	if err := batch.Check("the classes", c); err != nil {
		return nil, err
	}
	rows := make([][]int, c.Cols)
	for i := range c.Rows {
		k := Class(batch.Row(c, i))
		if k < 0 {
			return nil, fmt.Errorf("exact: row %d of the classes is %v; it must have one 1 and else 0", i, batch.Row(c, i))
		}
		rows[k] = append(rows[k], i)
	}
	for k, members := range rows {
		if len(members) == 0 {
			return nil, fmt.Errorf("exact: class %d of %d has no rows; every class needs one", k, c.Cols)
		}
	}
	return rows, nil
}

// FitClasses fits a Gaussian to the points x, (n, d), of each class of the contexts c. The
// covariance within all classes counts as much as d points, so that small classes have
// one too.
func FitClasses(x, c blas32.General) ([]*Gaussian, error) {
	if x.Rows != c.Rows || x.Rows < 2 {
		return nil, fmt.Errorf("exact: %d points of %d classes; there must be two or more, each with its class", x.Rows, c.Rows)
	}
	rows, err := ClassRows(c)
	if err != nil {
		return nil, err
	}
	d := x.Cols
	within := mat.NewSymDense(d, nil)
	means, scatters := make([][]float64, len(rows)), make([]*mat.SymDense, len(rows))
	for k, members := range rows {
		points := batch.Gathered(x, members)
		means[k] = batch.Means(points)
		scatters[k] = products(points.Rows, d, 1, func(i int, to []float32) {
			for j, v := range batch.Row(points, i) {
				to[j] = float32(float64(v) - means[k][j])
			}
		})
		within.AddSym(within, scatters[k])
	}
	within.ScaleSym(float64(d)/float64(max(1, x.Rows-len(rows))), within)
	laws := make([]*Gaussian, len(rows))
	for k, scatter := range scatters {
		scatter.AddSym(scatter, within)
		scatter.ScaleSym(1/float64(max(1, len(rows[k])-1+d)), scatter)
		if laws[k], err = NewGaussian(means[k], scatter); err != nil {
			return nil, fmt.Errorf("%w: the points of class %d", err, k)
		}
	}
	return laws, nil
}
