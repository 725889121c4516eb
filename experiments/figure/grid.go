package figure

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"

	"cmf/data/file"
	"cmf/experiments/metric"
	"cmf/solvers/batch"

	xdraw "golang.org/x/image/draw"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot/font"
)

// Tiles is a titled grid of small images, filled row by row.
type Tiles struct {
	Title string

	// Pixels holds one image to a row: (n, H·W) grey values, or (n, 3·H·W) with
	// the red, green and blue planes one after another. 0 is black and 1 full
	// brightness; values outside are clamped, and NaN is drawn in magenta.
	Pixels blas32.General

	// Height and Width are the size of one image in pixels. Both must be set.
	Height, Width int

	// Columns is the number of images side by side; 0 makes the grid nearly
	// square.
	Columns int

	// Scale is the edge of an image's pixel, in pixels of the figure; 0 means
	// 3.
	Scale int

	// Padding is the space between images, in pixels of the figure; 0 means 2.
	Padding int
}

// DrawTiles writes a PNG with grids side by side, each under its title.
func DrawTiles(path string, grids ...Tiles) (err error) {
	defer guard(path, &err)
	const margin, between, textHeight = 12, 20, 30
	if len(grids) == 0 {
		return errors.New("no grid to draw")
	}
	var parts []image.Image
	var titled bool
	width, height := 2*margin-between, 0
	lookup := font.DefaultCache.Lookup(sans(11), 11)
	face := lookup.FontFace(144)
	for _, g := range grids {
		part, err := g.Image()
		if err != nil {
			return fmt.Errorf("grid %q: %w", g.Title, err)
		}
		parts = append(parts, part)
		titled = titled || g.Title != ""
		width += max(part.Bounds().Dx(), xfont.MeasureString(face, g.Title).Ceil()) + between
		height = max(height, part.Bounds().Dy())
	}
	top := margin
	if titled {
		top += textHeight
	}
	if height += top + margin; float64(width)*float64(height) > mostPixels {
		return fmt.Errorf("a figure of %d × %d pixels; at most %g are allowed", width, height, mostPixels)
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	x := margin
	for k, part := range parts {
		text := xfont.Drawer{Dst: img, Src: image.NewUniform(ink), Face: face, Dot: fixed.P(x, margin+17)}
		text.DrawString(grids[k].Title)
		draw.Draw(img, part.Bounds().Add(image.Pt(x, top)), part, image.Point{}, draw.Src)
		x += max(part.Bounds().Dx(), xfont.MeasureString(face, grids[k].Title).Ceil()) + between
	}
	return file.Write(path, func(w io.Writer) error {
		return png.Encode(w, img)
	})
}

// Image is the grid without its title.
func (g Tiles) Image() (image.Image, error) {
	if err := metric.CheckBatch("Pixels", g.Pixels, 1); err != nil {
		return nil, err
	}
	area := g.Height * g.Width
	if g.Height < 1 || g.Width < 1 || g.Pixels.Cols != area && g.Pixels.Cols != 3*area {
		return nil, fmt.Errorf("rows of %d values do not hold images of %d × %d pixels; they need H·W (grey) or 3·H·W (colour)", g.Pixels.Cols, g.Height, g.Width)
	}
	if g.Columns < 0 || g.Scale < 0 || g.Padding < 0 {
		return nil, fmt.Errorf("columns %d, scale %d and padding %d must not be negative", g.Columns, g.Scale, g.Padding)
	}
	n, columns, scale, padding := g.Pixels.Rows, g.Columns, g.Scale, g.Padding
	if columns == 0 {
		columns = int(math.Ceil(math.Sqrt(float64(n))))
	}
	if scale == 0 {
		scale = 3
	}
	if padding == 0 {
		padding = 2
	}
	lines := (n + columns - 1) / columns
	w, h := g.Width*scale+padding, g.Height*scale+padding
	all := image.NewRGBA(image.Rect(0, 0, columns*w-padding, lines*h-padding))
	draw.Draw(all, all.Bounds(), image.White, image.Point{}, draw.Src)
	one := image.NewRGBA(image.Rect(0, 0, g.Width, g.Height))
	for i := range n {
		pixels := batch.Row(g.Pixels, i)
		for k := range area {
			v := [3]float32{pixels[k], pixels[k], pixels[k]}
			if g.Pixels.Cols == 3*area {
				v = [3]float32{pixels[k], pixels[area+k], pixels[2*area+k]}
			}
			one.SetRGBA(k%g.Width, k/g.Width, shade(v))
		}
		at := image.Pt(i%columns*w, i/columns*h)
		xdraw.NearestNeighbor.Scale(all, image.Rect(0, 0, g.Width*scale, g.Height*scale).Add(at), one, one.Bounds(), draw.Src, nil)
	}
	return all, nil
}

func shade(v [3]float32) color.RGBA {
	var b [3]uint8
	for k, v := range v {
		if v != v {
			return color.RGBA{0xff, 0, 0xff, 0xff}
		}
		b[k] = uint8(255*min(1, max(0, v)) + .5)
	}
	return color.RGBA{b[0], b[1], b[2], 0xff}
}
