package images

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cmf/data/memory"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// ReadPNGs reads the PNG files of a folder, and files that links there lead to, but
// none below it, in the order of their names, as a batch of pixels in [0, 1], one picture to a row: (n, H·W)
// if all of them are grey, else (n, 3·H·W), the red, green and blue planes one
// after another. Transparent pixels are put on white.
//
// Errors are a folder without any PNG, and a file that is damaged, too large (4
// MiB, 16384 pixels), or of another size than the first, and more pictures than
// there is memory for. They name the folder or file.
func ReadPNGs(folder string) (pictures blas32.General, height, width int, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return pictures, 0, 0, fmt.Errorf("read pictures: %w", err)
	}
	names, others, err := picturesIn(folder, entries)
	if err != nil {
		return pictures, 0, 0, fmt.Errorf("read pictures: %w", err)
	}
	if len(names) == 0 {
		return pictures, 0, 0, fmt.Errorf("read pictures from %s: it holds no PNG%s", folder, others)
	}
	var planes [][]float32
	coloured := false
	for k, name := range names {
		path := filepath.Join(folder, name)
		picture, err := readPNG(path, len(names))
		if err != nil {
			return pictures, 0, 0, fmt.Errorf("read picture %s: %w", path, err)
		}
		size := picture.Bounds().Size()
		switch {
		case k == 0:
			height, width = size.Y, size.X
		case size.Y != height || size.X != width:
			return pictures, 0, 0, fmt.Errorf("read picture %s: it has %d×%d pixels, and %s has %d×%d; all must be of one size", path, size.X, size.Y, names[0], width, height)
		case len(planes) == maxPNGCount || len(planes) >= maxValues/(3*height*width):
			return pictures, 0, 0, fmt.Errorf("read pictures from %s: more than %d; at most that many are read", folder, len(planes))
		}
		p, colour := planesOf(picture)
		planes, coloured = append(planes, p), coloured || colour
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

// picturesIn are the names of the PNG files among the entries of a folder; links to files
// count as files. others says what pictures there are instead.
func picturesIn(folder string, entries []os.DirEntry) (names []string, others string, err error) {
	count := map[string]int{}
	for _, entry := range entries {
		kind := strings.TrimPrefix(strings.ToLower(filepath.Ext(entry.Name())), ".")
		if kind == "jpg" {
			kind = "jpeg"
		}
		if strings.HasPrefix(entry.Name(), ".") || !slices.Contains([]string{"png", "jpeg", "gif", "bmp", "webp", "tiff", "tif"}, kind) {
			continue
		}
		info, err := os.Stat(filepath.Join(folder, entry.Name())) // of what a link leads to
		if err != nil {
			return nil, "", err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		if count[kind]++; kind == "png" {
			names = append(names, entry.Name())
		}
	}
	var found []string
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		text := fmt.Sprintf("%d %s", count[kind], strings.ToUpper(kind))
		if count[kind] > 1 {
			text += "s"
		}
		found = append(found, text)
	}
	if found != nil {
		others = ", but " + strings.Join(found, " and ") + "; convert them to PNG"
	}
	return names, others, nil
}

// maxArea bounds the pixels of a picture of a folder: nothing is learned from larger ones.
const maxArea = 1 << 14

// readPNG checks by its header that a file, one of count of its size, is within bounds, and
// decodes it.
func readPNG(path string, count int) (image.Image, error) {
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
	if header.Width*header.Height > maxArea {
		return nil, fmt.Errorf("a picture of %d×%d pixels; allowed are at most %d in all, such as 128×128: make them smaller", header.Width, header.Height, maxArea)
	}
	// Planes and batch are held at once.
	if err := memory.Check(2 * 4 * 3 * int64(count) * int64(header.Width*header.Height)); err != nil {
		return nil, fmt.Errorf("%d pictures of %d×%d pixels: %w", count, header.Width, header.Height, err)
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
