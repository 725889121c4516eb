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
