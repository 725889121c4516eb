package images

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math"
)

// maxPNGSide bounds the pixels decoded: 2048×2048, 16 MiB as RGBA.
const maxPNGSide = 2048

// reducePNG decodes a PNG, puts it on white, cuts it to a central square of
// crop times its shorter side, and averages the square over side × side areas.
// It returns the red, green and blue planes of the result, in [0, 1].
func reducePNG(content []byte, side int, crop float64) ([]float32, error) {
	// The size is checked in the header, before pixels are allocated.
	header, err := png.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if max(header.Width, header.Height) > maxPNGSide || min(header.Width, header.Height) < 1 {
		return nil, fmt.Errorf("a picture of %d×%d pixels; allowed are 1 to %d each way", header.Width, header.Height, maxPNGSide)
	}
	picture, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return areaAverage(picture, side, crop), nil
}

// areaAverage reduces the middle of a picture. A pixel at the edge of an area
// counts by the share of it that is within the area.
func areaAverage(picture image.Image, side int, crop float64) []float32 {
	bounds := picture.Bounds()
	edge := crop * float64(min(bounds.Dx(), bounds.Dy()))
	left, top := (float64(bounds.Dx())-edge)/2, (float64(bounds.Dy())-edge)/2
	at := onWhite(picture)
	planes := make([]float32, 3*side*side)
	for i := range side {
		y0, y1 := top+edge*float64(i)/float64(side), top+edge*float64(i+1)/float64(side)
		for j := range side {
			x0, x1 := left+edge*float64(j)/float64(side), left+edge*float64(j+1)/float64(side)
			var sum [3]float64
			var area float64
			for y := int(y0); float64(y) < y1 && y < bounds.Dy(); y++ {
				height := min(y1, float64(y+1)) - max(y0, float64(y))
				for x := int(x0); float64(x) < x1 && x < bounds.Dx(); x++ {
					share := height * (min(x1, float64(x+1)) - max(x0, float64(x)))
					area += share
					for k, v := range at(bounds.Min.X+x, bounds.Min.Y+y) {
						sum[k] += share * v
					}
				}
			}
			for k, v := range sum {
				planes[(k*side+i)*side+j] = float32(math.Min(v/area, 1))
			}
		}
	}
	return planes
}

// onWhite gives the colours of a picture over a white ground, in [0, 1].
func onWhite(picture image.Image) func(x, y int) [3]float64 {
	// The Cartoon Set has 8 bits with transparency; going through the colour
	// interfaces takes several times as long.
	if n, ok := picture.(*image.NRGBA); ok {
		return func(x, y int) (colour [3]float64) {
			p := n.Pix[n.PixOffset(x, y):][:4]
			for k := range colour {
				colour[k] = (float64(p[k])*float64(p[3]) + 255*(255-float64(p[3]))) / (255 * 255)
			}
			return colour
		}
	}
	return func(x, y int) [3]float64 {
		r, g, b, a := picture.At(x, y).RGBA() // times alpha
		white := float64(0xffff - a)
		return [3]float64{(float64(r) + white) / 0xffff, (float64(g) + white) / 0xffff, (float64(b) + white) / 0xffff}
	}
}
