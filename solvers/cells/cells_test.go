package cells_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/cells"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// blobs are n points about each of the given centers on the line of the first
// coordinate.
func blobs(n int, at ...float32) blas32.General {
	rng := random.New(3, "blobs", 0)
	x := batch.New(n*len(at), 3)
	rng.Normals(x.Data)
	for i := range x.Rows {
		row := batch.Row(x, i)
		for j := range row {
			row[j] *= .1
		}
		row[0] += at[i%len(at)]
	}
	return x
}

func TestKMeansFindsSeparateParts(t *testing.T) {
	at := []float32{-4, 0, 7, 9}
	x := blobs(50, at...)
	cell, centers, err := cells.KMeans(x, len(at), 20, random.New(1, "cells", 0))
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cell {
		if c != cell[i%len(at)] {
			t.Fatalf("row %d lies in cell %d, row %d of the same part in cell %d", i, c, i%len(at), cell[i%len(at)])
		}
		if off := math.Abs(float64(batch.Row(centers, c)[0] - at[i%len(at)])); off > .1 {
			t.Fatalf("the center of row %d is off by %g", i, off)
		}
	}
	again, _, err := cells.KMeans(x, len(at), 20, random.New(1, "cells", 0))
	if err != nil || !slices.Equal(cell, again) {
		t.Errorf("a second call gives other cells, error %v", err)
	}
}

// Where there are fewer different rows than cells, some cells stay empty.
func TestKMeansOfEqualRows(t *testing.T) {
	x := batch.New(6, 2)
	cell, _, err := cells.KMeans(x, 3, 5, random.New(1, "cells", 0))
	if err != nil || slices.Max(cell) != slices.Min(cell) {
		t.Errorf("cells %v, error %v", cell, err)
	}
}

func TestKMeansErrors(t *testing.T) {
	x := blobs(2, 0, 1)
	for want, call := range map[string]func() error{
		"0 cells of 4": func() error { _, _, err := cells.KMeans(x, 0, 1, random.New(1, "", 0)); return err },
		"5 cells of 4": func() error { _, _, err := cells.KMeans(x, 5, 1, random.New(1, "", 0)); return err },
		"is not finite": func() error {
			x.Data[1] = float32(math.NaN())
			_, _, err := cells.KMeans(x, 2, 1, random.New(1, "", 0))
			return err
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
		x.Data[1] = 0
	}
}

// Within a cell of many points the covariance is theirs; a cell without points has the variances
// within all cells, as have the directions in which a small one has no scatter.
func TestCovariancesOfCells(t *testing.T) {
	const n = 20000
	rng := random.New(5, "cells", 0)
	x, centers, cell := batch.New(n, 2), batch.New(2, 2), make([]int, n)
	copy(centers.Data, []float32{-5, 1, 5, 2})
	for i := range n {
		k := i % 2
		u, v := rng.NormFloat64(), rng.NormFloat64()
		cell[i] = k
		batch.Row(x, i)[0] = centers.Data[2*k] + float32(float64(k+1)*u) // deviations 1 and 2
		batch.Row(x, i)[1] = centers.Data[2*k+1] + float32(.5*u+.3*v)
	}
	within := cells.Within(x, centers, cell)
	for j, want := range []float64{(1 + 4) / 2., .25 + .09} {
		if math.Abs(within[j]-want) > .05*want {
			t.Errorf("the variance of coordinate %d within cells is %g, want %g", j, within[j], want)
		}
	}
	many := batch.New(n/2, 2)
	for i := range many.Rows {
		copy(batch.Row(many, i), batch.Row(x, 2*i+1))
	}
	cov := cells.Covariance(many, batch.Row(centers, 1), within)
	for _, c := range []struct {
		i, j int
		want float64
	}{{0, 0, 4}, {0, 1, 1}, {1, 0, 1}, {1, 1, .34}} {
		if got := cov.At(c.i, c.j); math.Abs(got-c.want) > .05*c.want {
			t.Errorf("covariance (%d, %d) is %g, want %g", c.i, c.j, got, c.want)
		}
	}
	none := cells.Covariance(batch.New(0, 2), batch.Row(centers, 0), within)
	if none.At(0, 0) != within[0] || none.At(1, 1) != within[1] || none.At(0, 1) != 0 {
		t.Errorf("a cell without points has covariance %v, want the diagonal %v", none.RawSymmetric().Data, within)
	}
	point := cells.Covariance(batch.Rows(centers, 0, 1), batch.Row(centers, 0), within)
	if got, want := point.At(0, 0), 2./3*within[0]; math.Abs(got-want) > 1e-9 {
		t.Errorf("a cell of one point has variance %g, want %g", got, want)
	}
}
