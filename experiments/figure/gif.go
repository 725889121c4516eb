package figure

import (
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"io"
	"math"

	"cmf/data/file"
	"cmf/solvers/batch"

	xfont "golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot/font"
)

// Film is an animation of two clouds side by side: the noise on the left, and
// its image on the right over the data.
type Film struct {
	box    Box
	data   blas32.General
	frames gif.GIF
	First  int // the step of the first frame
	next   int // the step from which the next frame is due
}

const (
	FilmSteps = 150 // how many times See is called in a run
	filmEdge  = 400 // edge of a panel, in pixels
	filmTitle = 34  // height of the title line
	filmDots  = 2500
)

// filmColours are white, the data, three depths of the noise and of its image,
// and the text from faint to full.
var filmColours = color.Palette{
	color.White, color.NRGBA{0xd3, 0xd7, 0xde, 0xff},
	color.NRGBA{0xf0, 0xb2, 0x83, 0xff}, color.NRGBA{0xe0, 0x80, 0x38, 0xff}, color.NRGBA{0xa8, 0x4e, 0x0c, 0xff},
	color.NRGBA{0x86, 0xae, 0xdc, 0xff}, color.NRGBA{0x3f, 0x80, 0xc6, 0xff}, color.NRGBA{0x16, 0x46, 0x80, 0xff},
	color.NRGBA{0xa0, 0xa4, 0xad, 0xff}, color.NRGBA{0x60, 0x65, 0x70, 0xff}, ink,
}

const dataColour, noiseColour, imageColour = 1, 2, 5 // the first colour of each

// NewFilm returns an animation of the given box, with the points of data under
// the image.
func NewFilm(box Box, data blas32.General) *Film {
	// Both panels are square and have the same scale.
	half := max(box.MaxX-box.MinX, box.MaxY-box.MinY) / 2
	x, y := (box.MinX+box.MaxX)/2, (box.MinY+box.MaxY)/2
	return &Film{box: Box{x - half, x + half, y - half, y + half}, data: data}
}

// See takes a frame if one is due: the distance between frames grows with the
// step.
func (f *Film) See(step int, noise, mapped blas32.General) {
	if step < f.next {
		return
	}
	if f.next == 0 {
		f.First = step
	}
	f.next = step + step/8
	f.Take(fmt.Sprintf("iteration %d", step), noise, mapped)
}

// Take adds a frame under a title.
func (f *Film) Take(title string, noise, mapped blas32.General) {
	frame := image.NewPaletted(image.Rect(0, 0, 2*filmEdge, filmTitle+filmEdge), filmColours)
	f.scatter(frame, 0, noise, noiseColour, 3)
	f.scatter(frame, filmEdge, f.data, dataColour, 1)
	f.scatter(frame, filmEdge, mapped, imageColour, 3)
	face := font.DefaultCache.Lookup(sans(11), 11)
	text := xfont.Drawer{Dst: frame, Src: image.NewUniform(ink), Face: face.FontFace(144), Dot: fixed.P(12, 24)}
	text.DrawString(title)
	f.frames.Image, f.frames.Delay = append(f.frames.Image, frame), append(f.frames.Delay, 20)
}

// Last is the last frame, nil if there is none. It does not change any more.
func (f *Film) Last() image.Image {
	if n := len(f.frames.Image); n > 0 {
		return f.frames.Image[n-1]
	}
	return nil
}

// scatter draws points as squares of two pixels, in the colour first. Where
// points overlap it uses the following colours, depths in all.
func (f *Film) scatter(frame *image.Paletted, left int, points blas32.General, first uint8, depths int) {
	for i := range min(points.Rows, filmDots) {
		p := batch.Row(points, i)
		x := int(math.Floor((float64(p[0]) - f.box.MinX) / (f.box.MaxX - f.box.MinX) * filmEdge))
		y := int(math.Floor((f.box.MaxY - float64(p[1])) / (f.box.MaxY - f.box.MinY) * filmEdge))
		if x < 0 || x >= filmEdge-1 || y < 0 || y >= filmEdge-1 {
			continue
		}
		for _, at := range [][2]int{{x, y}, {x + 1, y}, {x, y + 1}, {x + 1, y + 1}} {
			k := frame.PixOffset(left+at[0], filmTitle+at[1])
			if was := frame.Pix[k]; was >= first && was < first+uint8(depths) {
				frame.Pix[k] = min(was+1, first+uint8(depths)-1)
			} else {
				frame.Pix[k] = first
			}
		}
	}
}

// Write writes the animation. It stays on its last frame for a while before it
// repeats.
func (f *Film) Write(path string) (err error) {
	defer guard(path, &err)
	if n := len(f.frames.Delay); n > 0 {
		f.frames.Delay[n-1] = 300
	}
	return file.Write(path, func(w io.Writer) error {
		return gif.EncodeAll(w, &f.frames)
	})
}
