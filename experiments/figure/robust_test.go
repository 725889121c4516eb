package figure

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"image"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cmf/experiments/internal/exptest"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// blue is the part of a picture with the first colour of clouds, and how many pixels have it.
func blue(img image.Image) (extent image.Rectangle, n int) {
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			if r, _, b, _ := img.At(x, y).RGBA(); b > r+0x4000 {
				extent, n = extent.Union(image.Rect(x, y, x+1, y+1)), n+1
			}
		}
	}
	return extent, n
}

// Two points at opposite corners of a box are drawn at opposite corners of the panel, the
// larger y above, whatever the proportions of the box and the labels of the axes.
func TestScenesOfAnyProportions(t *testing.T) {
	rising := exptest.BatchOf(2, 0, 0, 1, 1)
	axes := []Axis{{Name: "a long name of x", Center: 1e6, Scale: 1}, {Name: "y", Center: -5, Scale: 1e-3}}
	for _, ratio := range []float64{1e-9, .2, 1 / 2.2, 1, 2.3, 20, 1e9} {
		for _, axes := range [][]Axis{nil, axes} {
			box := Box{-.05, 1.05, -.05, 1.05}
			points := blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: append([]float32(nil), rising.Data...)}
			if ratio < 1 {
				box.MinY, box.MaxY, points.Data[3] = ratio*box.MinY, ratio*box.MaxY, float32(ratio)
			} else {
				box.MinX, box.MaxX, points.Data[2] = box.MinX/ratio, box.MaxX/ratio, float32(1/ratio)
			}
			s := Scene{Title: "points", Axes: axes, Clouds: []Cloud{{"points", points}}}
			path := filepath.Join(t.TempDir(), "a.png")
			if err := DrawScenes(path, box, s, s, s); err != nil {
				t.Fatalf("ratio %g: %v", ratio, err)
			}
			img := readPNG(t, path)
			if b := img.Bounds(); b.Dx() > 3000 || b.Dy() > 6000 {
				t.Errorf("ratio %g: the figure has %v pixels", ratio, b.Size())
			}
			// The first panel has the left third.
			part := img.(interface {
				SubImage(r image.Rectangle) image.Image
			}).SubImage(image.Rect(0, 0, img.Bounds().Dx()/3, img.Bounds().Dy()))
			low, high := image.Pt(-1, -1), image.Pt(-1, -1)
			for y := range part.Bounds().Dy() {
				for x := range part.Bounds().Dx() {
					if r, _, b, _ := part.At(x, y).RGBA(); b > r+0x4000 {
						if high.X < 0 {
							high = image.Pt(x, y)
						}
						low = image.Pt(x, y)
					}
				}
			}
			if high.X < 0 || ratio < 1.1 && high.X <= low.X || ratio > .9 && high.Y >= low.Y {
				t.Errorf("ratio %g, axes %v: the upper point is at %v, the lower at %v", ratio, axes != nil, high, low)
			}
		}
	}
}

func TestOutliersDoNotHideTheRest(t *testing.T) {
	f, err := os.Open("testdata/outlier1e6.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	points := batch.New(len(rows), 2)
	for i, row := range rows {
		for j := range 2 {
			v, err := strconv.ParseFloat(row[j], 32)
			if err != nil {
				t.Fatal(err)
			}
			points.Data[2*i+j] = float32(v)
		}
	}
	// A model with a share of bad points, which are not finite or far away.
	model := exptest.Normal(1000, 2, 0, 1, 1)
	for i := range 5 {
		batch.Row(model, i)[0] = []float32{1e30, -1e30, float32(math.NaN()), float32(math.Inf(1)), 1e5}[i]
	}
	for name, cloud := range map[string]blas32.General{"file": points, "model": model} {
		path := filepath.Join(exptest.Gallery(t), "outliers.png")
		s := Scene{Title: name, Clouds: []Cloud{{"points", cloud}}}
		if err := DrawScenes(path, Box{}, s); err != nil {
			t.Fatal(err)
		}
		if extent, n := blue(readPNG(t, path)); n < 2000 || extent.Dx() < 150 || extent.Dy() < 100 {
			t.Errorf("%s: %d pixels of points, over %v", name, n, extent.Size())
		}
		if text := Outside(Box{}, s); !strings.Contains(text, "of 1000 points lie outside the axes.") {
			t.Errorf("%s: the caption says %q", name, text)
		}
		if err := DrawHistogram(path, Axes{}, batch.Column(cloud, 0), 0); err != nil {
			t.Fatal(err)
		}
		if n := count(readPNG(t, path), Pale); n < 5000 {
			t.Errorf("%s: %d pixels of a histogram", name, n)
		}
	}
	// A small mode far away is no outlier.
	two := exptest.Normal(1000, 2, 0, 1, 1)
	for i := range 40 {
		batch.Row(two, i)[0] += 60
	}
	if b := BoxOf([]Scene{{Clouds: []Cloud{{"two", two}}}}); b.MaxX < 60 || b.MinX > -2 {
		t.Errorf("a mode of 4 %% at 60 is outside of %+v", b)
	}
}

// Contours of plateaux, walls, steps, noise and holes take little time and memory.
func TestContoursOfAnyField(t *testing.T) {
	rng := random.New(1, "field", 0)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	of := func(f func(x, y float32) float32) func(x blas32.General, value []float32) error {
		return func(x blas32.General, value []float32) error {
			for i := range value {
				value[i] = f(batch.Row(x, i)[0], batch.Row(x, i)[1])
			}
			return nil
		}
	}
	wall := func(height float32) func(x, y float32) float32 {
		return func(x, y float32) float32 {
			if x < 0 {
				return height
			}
			return x + y*y/2
		}
	}
	for name, f := range map[string]func(x, y float32) float32{
		"wall": wall(1e12), "infinite wall": wall(inf), "hole": wall(nan), "pit": wall(-inf), "cliff": wall(math.MaxFloat32),
		"steps":  func(x, y float32) float32 { return float32(math.Floor(float64(x + y))) },
		"noise":  func(x, y float32) float32 { return rng.Float32() },
		"coarse": func(x, y float32) float32 { return float32(int(3 * rng.Float32())) },
		"rough wall": func(x, y float32) float32 {
			if x < 0 {
				return 1e12 * (1 + x*x)
			}
			return x + y*y/2
		},
		"spike": func(x, y float32) float32 { return x * float32(math.Exp(-1e4*float64(y*y))) },
		"nan":   func(x, y float32) float32 { return nan },
	} {
		path := filepath.Join(t.TempDir(), "field.png")
		for _, heat := range []bool{false, true} {
			if err := DrawScenes(path, Box{-2, 3, -3, 3}, Scene{Title: name, Field: of(f), Heat: heat}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A canvas of a size that cannot be drawn is refused, and every error of a figure names it.
func TestCanvasesThatCannotBeDrawn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.png")
	for _, size := range [][2]float64{{0, 1}, {-1, 1}, {1, math.NaN()}, {math.Inf(1), 1}, {1e4, 1e4}} {
		err := Render(path, vg.Length(size[0])*vg.Inch, vg.Length(size[1])*vg.Inch, [][]*plot.Plot{{NewPlot(Axes{})}}, NewLegend(), nil)
		var failed *Error
		if !errors.As(err, &failed) || failed.Path != path || !strings.Contains(err.Error(), "both must be positive") {
			t.Errorf("a canvas of %v: %v", size, err)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a refused canvas left a file")
	}
	broken := Scene{Field: func(blas32.General, []float32) error { panic("broken") }}
	if err := DrawScenes(path, Box{}, broken); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a panic: %v", err)
	}
}

// Lines that run far beyond the axes are cut, and the SVG beside a PNG shows the same.
func TestLinesAreClipped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines.png")
	p := NewPlot(Axes{X: "x"})
	far, err := plotter.NewLine(plotter.XYs{{X: -1e9, Y: -1e9}, {X: 1e9, Y: 1e9}, {X: 1e12, Y: -3e15}})
	if err != nil {
		t.Fatal(err)
	}
	far.LineStyle = Stroke(Colours[0], 1)
	far.FillColor = Colours[1]
	p.Add(far)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -1, 1, -1, 1
	if err := Render(path, 3*vg.Inch, 3*vg.Inch, [][]*plot.Plot{{p}}, NewLegend(), nil); err != nil {
		t.Fatal(err)
	}
	if count(readPNG(t, path), Colours[0]) < 300 {
		t.Error("the diagonal is not in the figure")
	}
	text, err := os.ReadFile(VectorPath(path))
	if err != nil || !strings.Contains(string(text), "Arial") || strings.Contains(string(text), "NaN") || len(text) > 20000 {
		t.Errorf("the SVG has %d bytes: %v", len(text), err)
	}
	// A figure of many points has no SVG, not even that of an earlier run.
	if err := DrawScenes(path, Box{}, Scene{Clouds: []Cloud{{"points", exptest.Normal(MostMarks+10, 2, 0, 1, 1)}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(VectorPath(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the SVG of many points: %v", err)
	}
}

// Ticks far from 0 have labels that differ.
func TestTicksFarFromZero(t *testing.T) {
	for _, span := range [][2]float64{{1e6, 1e6 + 4}, {5e9, 5e9 + 1}, {-2e20, -2e20 + 1e12}, {0, 1e-30}} {
		seen := map[string]bool{}
		for _, tick := range (plainTicks{}).Ticks(span[0], span[1]) {
			if tick.Label != "" && seen[tick.Label] {
				t.Errorf("between %g and %g two ticks are labelled %s", span[0], span[1], tick.Label)
			}
			seen[tick.Label] = true
		}
		if len(seen) < 3 {
			t.Errorf("between %g and %g there are %d labels", span[0], span[1], len(seen)-1)
		}
	}
	if ticks := (plainTicks{}).Ticks(1, 1); len(ticks) != 0 {
		t.Errorf("an empty axis has ticks %v", ticks)
	}
}

// Names may hold anything; the SVG stays a file that a browser reads.
func TestVectorOfAnyName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "name.png")
	const name = "a\x1b[31m\x00<b>&\xff"
	if err := DrawScenes(path, Box{}, Scene{Title: name, Axes: []Axis{{Name: name}, {Name: "y"}}, Clouds: []Cloud{{name, exptest.Circles(50, 1)}}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(VectorPath(path))
	if err != nil {
		t.Fatal(err)
	}
	for parser := xml.NewDecoder(bytes.NewReader(text)); ; {
		if _, err := parser.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
