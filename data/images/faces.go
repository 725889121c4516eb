package images

import (
	"runtime"
	"sync"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Faces draws cartoon faces in the manner of the Cartoon Set, side × side
// pixels, for machines without that set. The faces have several shapes, with
// their own skin, hair, eyes, brows and mouth, some with glasses or a beard, on
// plain grounds.
//
// Every picture has its own random stream: picture i of a split is the same for
// one seed, whatever the counts. Negative counts stand for 0.
func Faces(seed uint64, side, train, test int) *Pictures {
	p := &Pictures{Name: "drawn faces (stand-in for the Cartoon Set)", Side: max(1, side), StandIn: true}
	p.Train = drawFaces(seed, 0, p.Side, max(0, train))
	p.Test = drawFaces(seed, 1<<32, p.Side, max(0, test))
	return p
}

// drawFaces draws the n faces from number first on, on all cores.
func drawFaces(seed, first uint64, side, n int) blas32.General {
	pictures := batch.New(n, 3*side*side)
	workers := runtime.GOMAXPROCS(0)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := w; i < n; i += workers {
				rng := random.Seeded(seed, first+uint64(i))
				newFace(rng).draw(canvas{batch.Row(pictures, i), side})
			}
		})
	}
	group.Wait()
	return pictures
}

type colour [3]float64

// rgb is a colour by its 24-bit number.
func rgb(code uint32) colour {
	return colour{float64(code>>16) / 255, float64(code>>8&0xff) / 255, float64(code&0xff) / 255}
}

// mixed is the colour a with a share t of b.
func (a colour) mixed(b colour, t float64) colour {
	for k := range a {
		a[k] += t * (b[k] - a[k])
	}
	return a
}

var (
	skins    = []uint32{0xffdfd0, 0xfbd3b4, 0xf0b78f, 0xe0a86e, 0xd1935c, 0xb9764a, 0x9a5c3c, 0x6f4230}
	hairs    = []uint32{0x201a1a, 0x4a2f22, 0x7d4427, 0xa8542c, 0xd98a2e, 0xf4c95d, 0xe86a2a, 0xb0b6bc, 0x8aa0ad}
	irises   = []uint32{0x5b3a22, 0x3f6fb5, 0x4f8a4b, 0x6d7780}
	frames   = []uint32{0x2a2a2a, 0xc0453f, 0x3f5fb0, 0xe0b040}
	grounds  = []uint32{0xffffff, 0xd9ecf7, 0xf7e3d9, 0xdff2dc, 0xf4efd0, 0xe5def5}
	lipColor = rgb(0x9c3b3b)
)

// Styles of hair and glasses.
const (
	bald = iota
	short
	long
	curly
	bun
	pigtails
	hairStyles
)

const (
	noGlasses = iota
	glasses
	sunglasses
)

// face is what one face looks like; lengths are in units of half a picture.
type face struct {
	ground, skin, hair, iris, frame colour
	style, glasses                  int
	beard                           bool
	x, y                            float64 // the middle of the head
	width, height, chin             float64
	eyes, eye, brow                 float64 // distance from the middle, size, tilt
	smile, volume                   float64
}

func newFace(rng *random.Stream) *face {
	pick := func(palette []uint32, jitter float64) colour {
		c := rgb(palette[rng.IntN(len(palette))])
		tone := colour{rng.Float64(), rng.Float64(), rng.Float64()}
		return c.mixed(tone, jitter*rng.Float64())
	}
	between := func(a, b float64) float64 { return a + (b-a)*rng.Float64() }
	f := &face{
		ground: pick(grounds, .08), skin: pick(skins, .05), hair: pick(hairs, .08), iris: pick(irises, .1), frame: pick(frames, .1),
		style: rng.IntN(hairStyles), beard: rng.IntN(5) == 0,
		x: between(-.05, .05), y: between(.05, .15),
		width: between(.44, .54), height: between(.58, .68), chin: between(0, .3),
		eyes: between(.19, .24), eye: between(.085, .115), brow: between(-.12, .12),
		smile: between(.02, .12), volume: between(.8, 1.2),
	}
	switch u := rng.IntN(10); {
	case u < 2:
		f.glasses = glasses
	case u < 3:
		f.glasses = sunglasses
	}
	return f
}

// draw paints the face from back to front.
func (f *face) draw(c canvas) {
	line := f.skin.mixed(colour{}, .45)
	top := f.y - f.height
	c.fill(f.ground)
	f.backHair(c, top)
	for _, s := range []float64{-1, 1} { // ears
		c.paint(f.skin.mixed(line, .25), ellipse(f.x+s*f.width, f.y+.05, .09, .13))
	}
	c.paint(line, f.head(.03))
	c.paint(f.skin, f.head(0))
	if f.beard {
		c.paint(f.hair.mixed(f.skin, .15), both(f.head(0), below(f.y+.22)))
	}
	f.frontHair(c, top)
	for _, s := range []float64{-1, 1} {
		x, y := f.x+s*f.eyes, f.y-.02
		if f.glasses != sunglasses {
			c.paint(colour{1, 1, 1}, ellipse(x, y, 1.25*f.eye, f.eye))
			c.paint(f.iris, ellipse(x, y, .6*f.eye, .7*f.eye))
			c.paint(colour{}, ellipse(x, y, .25*f.eye, .3*f.eye))
		}
		c.paint(f.hair.mixed(colour{}, .35), segment(x-.11, y-.2-s*f.brow/2, x+.11, y-.2+s*f.brow/2, .028))
		switch f.glasses {
		case glasses:
			c.paint(f.frame, ring(x, y, .17, .035))
		case sunglasses:
			c.paint(colour{.08, .08, .1}, ellipse(x, y, .19, .15))
		}
	}
	if f.glasses != noGlasses {
		c.paint(f.frame, segment(f.x-.06, f.y-.04, f.x+.06, f.y-.04, .02))
	}
	c.paint(line, segment(f.x, f.y+.1, f.x+.04, f.y+.2, .02)) // nose
	c.paint(lipColor, both(ellipse(f.x, f.y+.34, .17, .03+f.smile), below(f.y+.33)))
	c.paint(colour{1, 1, 1}, both(ellipse(f.x, f.y+.345, .13, .35*f.smile), below(f.y+.345)))
}

// backHair paints the hair behind the head.
func (f *face) backHair(c canvas, top float64) {
	dark := f.hair.mixed(colour{}, .15)
	switch f.style {
	case long:
		c.paint(dark, box(f.x, f.y+.15, (f.width+.1)*f.volume, .62, .3))
	case curly:
		c.paint(dark, ellipse(f.x, f.y-.22, (f.width+.24)*f.volume, .68*f.volume))
	case bun:
		c.paint(dark, ellipse(f.x, top-.06, .2*f.volume, .19*f.volume))
	case pigtails:
		for _, s := range []float64{-1, 1} {
			c.paint(dark, ellipse(f.x+s*(f.width+.2), f.y+.05, .15*f.volume, .36*f.volume))
		}
	}
}

// frontHair paints the hair in front of the head.
func (f *face) frontHair(c canvas, top float64) {
	if f.style == bald {
		return
	}
	c.paint(f.hair, both(f.head(.04), notIn(ellipse(f.x+.12*(f.volume-1), f.y+.12, f.width*1.02, f.height*.72))))
	if f.style == short {
		c.paint(f.hair, ellipse(f.x, top+.1, f.width*.85, .14*f.volume))
	}
}

// head is the outline of the head, wider by margin: an ellipse that is narrower
// at the chin.
func (f *face) head(margin float64) shape {
	return func(x, y float64) float64 {
		u, v := x-f.x, y-f.y
		w := f.width + margin
		if v > 0 {
			w *= 1 - f.chin*v/f.height
		}
		return toEllipse(u, v, w, f.height+margin)
	}
}
