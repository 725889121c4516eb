package inpaint

import (
	"math"

	"cmf/experiments/picture"
	"cmf/solvers/random"
)

// side is the side of a picture, in pixels.
const side = picture.Side

// Hole is a part of a 28×28 picture that is hidden.
type Hole struct {
	Name     string
	Observed []bool // for each pixel
}

// Hidden lists the pixels of the hole.
func (h Hole) Hidden() (index []int) {
	for k, seen := range h.Observed {
		if !seen {
			index = append(index, k)
		}
	}
	return index
}

// HoleNames are the holes that NewHole knows.
var HoleNames = []string{"half", "centre", "random", "scribble"}

// NewHole makes the hole with that name: the lower half, the middle 14×14 pixels, half of
// all pixels at random, or the strokes of a thick pen.
func NewHole(name string, seed uint64) Hole {
	rng := random.New(seed, "hole "+name, 0)
	h := Hole{Name: name, Observed: make([]bool, picture.Pixels)}
	var pen []bool
	if name == "scribble" {
		pen = scribble(rng)
	}
	for k := range h.Observed {
		i, j := k/side, k%side
		switch name {
		case "half":
			h.Observed[k] = i < side/2
		case "centre":
			h.Observed[k] = min(i, j) < side/4 || max(i, j) >= side-side/4
		case "random":
			h.Observed[k] = rng.IntN(2) == 0
		case "scribble":
			h.Observed[k] = !pen[k]
		}
	}
	return h
}

// scribble marks the pixels where three wavering pen lines, 3 pixels wide, cross a picture.
func scribble(rng *random.Stream) []bool {
	inked := make([]bool, picture.Pixels)
	for range 3 {
		x, y := side*(.25+.5*rng.Float64()), side*(.25+.5*rng.Float64())
		angle := 2 * math.Pi * rng.Float64()
		for range 60 {
			angle += .5 * rng.NormFloat64()
			// Near the edge the pen turns back towards the middle.
			if math.Hypot(x-side/2., y-side/2.) > side*.4 {
				angle = math.Atan2(side/2.-y, side/2.-x)
			}
			x, y = x+.6*math.Cos(angle), y+.6*math.Sin(angle)
			for k := range inked {
				if math.Hypot(float64(k%side)+.5-x, float64(k/side)+.5-y) < 1.5 {
					inked[k] = true
				}
			}
		}
	}
	return inked
}
