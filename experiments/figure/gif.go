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

// Film is an animation of two clouds side by side, noise on the left and what it
// is mapped to on the right, there over the data.
type Film struct {
	box    Box
	data   blas32.General
	frames gif.GIF
	First  int // the step of the first frame
	next   int // the step from which the next frame is due
}

const (
	FilmSteps = 150 // of a run at which a frame may be due
	filmEdge  = 400 // of a panel, in pixels
	filmTitle = 34  // height of the line above
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

const dataColour, noiseColour, imageColour = 1, 2, 5 // the first of each

// NewFilm films what happens within the box, over points of the data.
func NewFilm(box Box, data blas32.General) *Film {
	// Both panels are square and of one scale.
	half := max(box.MaxX-box.MinX, box.MaxY-box.MinY) / 2
	x, y := (box.MinX+box.MaxX)/2, (box.MinY+box.MaxY)/2
	return &Film{box: Box{x - half, x + half, y - half, y + half}, data: data}
}

// See takes a frame, at steps ever farther apart.
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

// scatter draws points as squares of two pixels, in the first of so many colours
// or, where they heap up, the following ones.
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

// Write writes the animation, which rests on its last frame before it repeats.
func (f *Film) Write(path string) error {
	if n := len(f.frames.Delay); n > 0 {
		f.frames.Delay[n-1] = 300
	}
	return file.Write(path, func(w io.Writer) error {
		if err := gif.EncodeAll(w, &f.frames); err != nil {
			return fmt.Errorf("animation %s: %w", path, err)
		}
		return nil
	})
}
