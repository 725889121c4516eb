package images

import (
	"math"
	"runtime"
	"sync"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// The look of MNIST: a digit scaled into a 20×20 box and centred by its mass
// in 28×28 pixels.
const (
	digitSide = 28
	digitBox  = 20
)

// StandIn draws digits 0 to 9 in the look of MNIST, 28×28, for machines without
// MNIST: train and test images (0 for a negative number), labels drawn
// uniformly.
//
// Every image has its own random stream: image i of a split is the same for one
// seed, whatever the counts.
func StandIn(seed uint64, train, test int) *Digits {
	images := &Digits{Name: "drawn digits (stand-in for MNIST)", Rows: digitSide, Cols: digitSide, StandIn: true}
	images.Train, images.TrainLabels = drawDigits(seed, 0, max(0, train))
	images.Test, images.TestLabels = drawDigits(seed, 1<<32, max(0, test))
	return images
}

// drawDigits draws the n images from number first on, on all cores.
func drawDigits(seed, first uint64, n int) (pixels blas32.General, labels []uint8) {
	pixels, labels = batch.New(n, digitSide*digitSide), make([]uint8, n)
	workers := runtime.GOMAXPROCS(0)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < n; i += workers {
				rng := random.Seeded(seed, first+uint64(i))
				labels[i] = uint8(rng.IntN(10))
				drawDigit(batch.Row(pixels, i), int(labels[i]), rng)
			}
		})
	}
	group.Wait()
	return pixels, labels
}

// vertex is a point of a pen line, in pixels, with half the pen's width there.
type vertex struct{ x, y, r float64 }

// drawDigit writes one digit into the 28×28 pixels, which must be 0.
func drawDigit(pixels []float32, digit int, rng *random.Stream) {
	ways := skeletons[digit]
	lines := trace(ways[rng.IntN(len(ways))])
	hand := newHand(rng)
	for _, line := range lines {
		for i := range line {
			hand.move(&line[i])
		}
	}
	fit(lines, rng)
	soft := .9 + .5*rng.Float64()
	for _, line := range lines {
		for i := range line[1:] {
			ink(pixels, line[i], line[i+1], soft)
		}
	}
	// Whole grey levels, as a scan has.
	for i, v := range pixels {
		pixels[i] = float32(math.Round(255*float64(v))) / 255
	}
}

// trace turns strokes into pen lines in the unit square, by Catmull–Rom splines
// through their points (E. Catmull, R. Rom, A class of local interpolating
// splines, 1974) with the end points doubled.
func trace(strokes []stroke) [][]vertex {
	const steps = 8
	var lines [][]vertex
	for _, s := range strokes {
		at := func(i int) [2]float64 { return s[min(max(i, 0), len(s)-1)] }
		var line []vertex
		for i := range len(s) - 1 {
			a, b, c, d := at(i-1), at(i), at(i+1), at(i+2)
			// A closed stroke continues smoothly over its seam.
			if s[0] == s[len(s)-1] {
				if i == 0 {
					a = at(len(s) - 2)
				}
				if i == len(s)-2 {
					d = at(1)
				}
			}
			for k := range steps {
				t := float64(k) / steps
				line = append(line, vertex{
					x: catmullRom(a[0], b[0], c[0], d[0], t) / 100,
					y: catmullRom(a[1], b[1], c[1], d[1], t) / 100,
				})
			}
		}
		end := at(len(s) - 1)
		lines = append(lines, append(line, vertex{x: end[0] / 100, y: end[1] / 100}))
	}
	return lines
}

func catmullRom(a, b, c, d, t float64) float64 {
	return b + t/2*(c-a+t*(2*a-5*b+4*c-d+t*(3*(b-c)+d-a)))
}

// hand is one writer's way of moving the pen: first a smooth random
// displacement, a sum of plane waves, then an affine map. Strokes that meet
// still meet.
type hand struct {
	waves              [6]wave
	aspect, slant      float64
	cos, sin           float64
	radius, pressure   float64
	pressureX, pressed float64
}

// wave displaces the point p by (dx, dy)·sin(⟨k, p⟩ + phase).
type wave struct{ kx, ky, phase, dx, dy float64 }

func newHand(rng *random.Stream) *hand {
	h := &hand{
		aspect:    math.Exp(.16 * rng.NormFloat64()),
		slant:     .2 + .22*clippedNormal(rng),
		radius:    1.17 * math.Exp(.2*clippedNormal(rng)),
		pressure:  .18 * rng.Float64(),
		pressureX: 8 * rng.NormFloat64(),
		pressed:   2 * math.Pi * rng.Float64(),
	}
	h.sin, h.cos = math.Sincos(.08 * clippedNormal(rng))
	for i := range h.waves {
		// The shorter the wave, the smaller its displacement.
		k, size := 4.0, .022
		if i >= 3 {
			k, size = 9, .01
		}
		h.waves[i] = wave{
			kx: k * rng.NormFloat64(), ky: k * rng.NormFloat64(), phase: 2 * math.Pi * rng.Float64(),
			dx: size * clippedNormal(rng), dy: size * clippedNormal(rng),
		}
	}
	return h
}

// clippedNormal is a standard normal number within ±2.5.
func clippedNormal(rng *random.Stream) float64 {
	return min(max(rng.NormFloat64(), -2.5), 2.5)
}

// move moves a point of the unit square to the place where this hand draws it,
// and sets the pen's width there.
func (h *hand) move(v *vertex) {
	x, y := v.x, v.y
	for _, w := range h.waves {
		s := math.Sin(w.kx*v.x + w.ky*v.y + w.phase)
		x += w.dx * s
		y += w.dy * s
	}
	v.r = h.radius * (1 + h.pressure*math.Sin(h.pressureX*v.x+6*v.y+h.pressed))
	x = h.aspect*(x-.5) + h.slant*(.5-y)
	y -= .5
	v.x, v.y = h.cos*x-h.sin*y, h.sin*x+h.cos*y
}

// fit scales the lines into the box, ink included, and puts their centre of
// mass near the middle of the image.
func fit(lines [][]vertex, rng *random.Stream) {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	var mass, mx, my, width float64
	for _, line := range lines {
		for i, v := range line {
			low[0], high[0] = min(low[0], v.x), max(high[0], v.x)
			low[1], high[1] = min(low[1], v.y), max(high[1], v.y)
			width = max(width, 2*v.r)
			if i > 0 {
				u := line[i-1]
				m := math.Hypot(v.x-u.x, v.y-u.y)
				mass += m
				mx += m * (u.x + v.x) / 2
				my += m * (u.y + v.y) / 2
			}
		}
	}
	scale := (digitBox - width) / max(high[0]-low[0], high[1]-low[1])
	// The centre of pixel i is at i. MNIST was shifted by whole pixels, which
	// leaves up to half a pixel.
	x0 := (digitSide-1)/2. + rng.Float64() - .5 - scale*mx/mass
	y0 := (digitSide-1)/2. + rng.Float64() - .5 - scale*my/mass
	for _, line := range lines {
		for i := range line {
			v := &line[i]
			v.x, v.y = x0+scale*v.x, y0+scale*v.y
		}
	}
}

// ink draws the pen line from a to b: full within its radius, fading to nothing
// over soft pixels about its edge.
func ink(pixels []float32, a, b vertex, soft float64) {
	reach := max(a.r, b.r) + soft/2
	x1, x2 := pixelRange(min(a.x, b.x)-reach, max(a.x, b.x)+reach)
	y1, y2 := pixelRange(min(a.y, b.y)-reach, max(a.y, b.y)+reach)
	dx, dy := b.x-a.x, b.y-a.y
	length2 := dx*dx + dy*dy + 1e-12
	for y := y1; y <= y2; y++ {
		for x := x1; x <= x2; x++ {
			px, py := float64(x)-a.x, float64(y)-a.y
			t := min(max((px*dx+py*dy)/length2, 0), 1)
			ex, ey := px-t*dx, py-t*dy
			edge := a.r + t*(b.r-a.r) - math.Sqrt(ex*ex+ey*ey)
			v := float32(min(max(.5+edge/soft, 0), 1))
			p := &pixels[y*digitSide+x]
			*p = max(*p, v)
		}
	}
}

// pixelRange returns the pixels from low to high that lie within the image.
func pixelRange(low, high float64) (first, last int) {
	return max(0, int(math.Ceil(low))), min(digitSide-1, int(math.Floor(high)))
}
