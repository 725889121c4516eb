package figure

import (
	"image/gif"
	"os"
	"path/filepath"
	"testing"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// A point is drawn at its pixel in its own panel, over the data, and
// overlapping points are darker.
func TestFilm(t *testing.T) {
	at := func(points ...float32) blas32.General {
		return blas32.General{Rows: len(points) / 2, Cols: 2, Stride: 2, Data: points}
	}
	film := NewFilm(Box{-1, 1, -2, 2}, at(0, 0, 1, 1))
	film.Take("first", at(-1, 1), at(0, 0, 0, 0, 0, 0, 0, 0))
	film.Take("second", at(9, 9), at(0, -3))
	film.See(0, at(0, 0), at(0, 0))
	path := filepath.Join(t.TempDir(), "film.gif")
	if err := film.Write(path); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := gif.DecodeAll(file)
	if err != nil || len(got.Image) != 3 {
		t.Fatalf("%d frames: %v", len(got.Image), err)
	}
	for _, p := range []struct {
		frame, x, y int
		want        uint8
	}{
		{0, filmEdge / 4, filmTitle + filmEdge/4, noiseColour},
		{0, filmEdge + filmEdge/2, filmTitle + filmEdge/2, imageColour + 2},
		{0, filmEdge + 3*filmEdge/4, filmTitle + filmEdge/4, dataColour},
		{0, filmEdge / 2, filmTitle + filmEdge/2, 0},
		{1, filmEdge + filmEdge/2, filmTitle + filmEdge/2, dataColour},
		{2, filmEdge + filmEdge/2, filmTitle + filmEdge/2, imageColour},
	} {
		if c := got.Image[p.frame].ColorIndexAt(p.x, p.y); c != p.want {
			t.Errorf("frame %d: pixel (%d, %d) has colour %d, want %d", p.frame, p.x, p.y, c, p.want)
		}
	}
	if got.Delay[2] <= got.Delay[0] {
		t.Errorf("the last frame stays %d, the first %d", got.Delay[2], got.Delay[0])
	}
}

// The distance between frames grows.
func TestFilmSteps(t *testing.T) {
	film := NewFilm(Box{-1, 1, -1, 1}, batch.New(1, 2))
	for step := 20; step <= 3000; step += 20 {
		film.See(step, batch.New(1, 2), batch.New(1, 2))
	}
	if n := len(film.frames.Image); n < 20 || n > 40 {
		t.Errorf("%d frames", n)
	}
}
