package images

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// ReadPNGs reads the PNG files of a folder, not those below it, in the order of
// their names, as a batch of pixels in [0, 1], one picture to a row: (n, H·W)
// if all of them are grey, else (n, 3·H·W), the red, green and blue planes one
// after another. Transparent pixels are put on white.
//
// Errors are a folder without any PNG, and a file that is damaged, too large (4
// MiB, 2048 pixels each way) or of another size than the first. They name the
// folder or file.
func ReadPNGs(folder string) (pictures blas32.General, height, width int, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return pictures, 0, 0, fmt.Errorf("read pictures: %w", err)
	}
	var planes [][]float32
	var first string
	coloured := false
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !isPNG(entry.Name()) {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		picture, err := readPNG(path)
		if err != nil {
			return pictures, 0, 0, fmt.Errorf("read picture %s: %w", path, err)
		}
		size := picture.Bounds().Size()
		switch {
		case first == "":
			first, height, width = entry.Name(), size.Y, size.X
		case size.Y != height || size.X != width:
			return pictures, 0, 0, fmt.Errorf("read picture %s: it has %d×%d pixels, and %s has %d×%d; all must be of one size", path, size.X, size.Y, first, width, height)
		case len(planes) == maxPNGCount || len(planes) >= maxValues/(3*height*width):
			return pictures, 0, 0, fmt.Errorf("read pictures from %s: more than %d; at most that many are read", folder, len(planes))
		}
		p, colour := planesOf(picture)
		planes, coloured = append(planes, p), coloured || colour
	}
	if len(planes) == 0 {
		return pictures, 0, 0, fmt.Errorf("read pictures from %s: it holds no PNG", folder)
	}
	d := height * width
	if coloured {
		d *= 3
	}
	pictures = batch.New(len(planes), d)
	for i, p := range planes {
		copy(batch.Row(pictures, i), p)
	}
	return pictures, height, width, nil
}

// readPNG checks that the size of a file is within bounds, and decodes it.
func readPNG(path string) (image.Image, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxPNGBytes {
		return nil, fmt.Errorf("%d bytes; at most %d are read", info.Size(), maxPNGBytes)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	header, err := png.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	if max(header.Width, header.Height) > maxPNGSide || min(header.Width, header.Height) < 1 {
		return nil, fmt.Errorf("a picture of %d×%d pixels; allowed are 1 to %d each way", header.Width, header.Height, maxPNGSide)
	}
	return png.Decode(bytes.NewReader(content))
}

// planesOf are the red, green and blue planes of a picture, and whether they
// differ.
func planesOf(picture image.Image) (planes []float32, coloured bool) {
	bounds := picture.Bounds()
	at := onWhite(picture)
	area := bounds.Dx() * bounds.Dy()
	planes = make([]float32, 3*area)
	for i := range area {
		c := at(bounds.Min.X+i%bounds.Dx(), bounds.Min.Y+i/bounds.Dx())
		for k, v := range c {
			planes[k*area+i] = float32(v)
		}
		coloured = coloured || c[0] != c[1] || c[1] != c[2]
	}
	return planes, coloured
}
