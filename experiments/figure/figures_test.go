package figure

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/experiments/internal/exptest"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot/plotter"
)

func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// count is the number of pixels close to c.
func count(img image.Image, c color.Color) (n int) {
	gap := func(a, b uint32) bool { return max(a, b)-min(a, b) < 0x600 }
	wr, wg, wb, _ := c.RGBA()
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if r, g, b, _ := img.At(x, y).RGBA(); gap(r, wr) && gap(g, wg) && gap(b, wb) {
				n++
			}
		}
	}
	return n
}

func TestDrawCurves(t *testing.T) {
	path := filepath.Join(exptest.Gallery(t), "curves.png")
	a, b := Series{Name: "energy distance"}, Series{Name: "sliced W2"}
	for i := range 400 {
		x := float64(10 * i)
		a.X, a.Y = append(a.X, x), append(a.Y, math.Exp(-x/900)+.02*math.Abs(math.Sin(x)))
		b.X, b.Y = append(b.X, x), append(b.Y, .4*math.Exp(-x/1500)+.05)
	}
	b.Y[200], b.Y[201] = math.NaN(), -1
	if err := DrawCurves(path, Axes{Title: "Circles, against held-out data", X: "step", Y: "distance", LogY: true}, a, b); err != nil {
		t.Fatal(err)
	}
	img := readPNG(t, path)
	for k := range 2 {
		if count(img, Colours[k]) < 200 {
			t.Errorf("series %d is not in the figure", k)
		}
	}
	path = filepath.Join(t.TempDir(), "curves.png")
	err := DrawCurves(path, Axes{LogY: true}, Series{X: []float64{1, 2}, Y: []float64{0, math.NaN()}})
	if err == nil || !strings.Contains(err.Error(), "no finite point") {
		t.Errorf("nothing to draw: %v", err)
	}
	if err := DrawCurves(path, Axes{}, Series{Name: "a", X: []float64{1}}); err == nil || !strings.Contains(err.Error(), "must agree") {
		t.Errorf("lengths that differ: %v", err)
	}
	// A value below 1 alone on a logarithmic axis.
	if err := DrawCurves(path, Axes{LogX: true, LogY: true}, Series{X: []float64{2000}, Y: []float64{.97}}); err != nil {
		t.Error(err)
	}
	if err := DrawCurves(path, Axes{}, Series{X: []float64{1}, Y: []float64{2}}); err != nil {
		t.Errorf("one point: %v", err)
	}
}

func TestDrawHistogram(t *testing.T) {
	path := filepath.Join(exptest.Gallery(t), "histogram.png")
	samples := batch.Column(exptest.Normal(5000, 1, 0, 1, 1), 0)
	samples[3] = float32(math.Inf(1))
	gauss := func(sd float64) func(float64) float64 {
		return func(x float64) float64 { return math.Exp(-x*x/(2*sd*sd)) / (sd * math.Sqrt(2*math.Pi)) }
	}
	err := DrawHistogram(path, Axes{Title: "The Gibbs factor", X: "y", Y: "density"}, samples, 0, Function{"exact", gauss(1)}, Function{"too wide", gauss(1.4)})
	if err != nil {
		t.Fatal(err)
	}
	if img := readPNG(t, path); count(img, Pale) < 5000 || count(img, Colours[1]) < 200 {
		t.Error("the histogram or the density is not in the figure")
	}
	path = filepath.Join(t.TempDir(), "histogram.png")
	if err := DrawHistogram(path, Axes{}, []float32{2, 2, 2}, 5); err != nil {
		t.Errorf("equal samples: %v", err)
	}
	if err := DrawHistogram(path, Axes{}, nil, 5); err == nil {
		t.Error("no samples: no error")
	}
}

func TestDrawScenes(t *testing.T) {
	path := filepath.Join(exptest.Gallery(t), "scenes.png")
	data, model := exptest.Circles(1000, 1), exptest.Circles(1000, 2)
	model.Data[0] = float32(math.NaN())
	bowl := func(x blas32.General, value []float32) error {
		for i := range value {
			p := batch.Row(x, i)
			value[i] = p[0]*p[0] + .5*p[1]*p[1] + .5*p[0]*p[1]
		}
		return nil
	}
	wave := func(x blas32.General, value []float32) error {
		for i := range value {
			r := math.Hypot(float64(batch.Row(x, i)[0]), float64(batch.Row(x, i)[1]))
			value[i] = float32(math.Exp(-20 * math.Pow(math.Abs(math.Mod(r, 1)-.5)-.5, 2)))
		}
		return nil
	}
	err := DrawScenes(path, Box{}, Scene{Title: "Data", Clouds: []Cloud{{"data", data}}},
		Scene{Title: "Model", Clouds: []Cloud{{"model", model}}},
		Scene{Title: "Potential w", Field: bowl, Clouds: []Cloud{{"model", model}}},
		Scene{Title: "Density", Field: wave, Heat: true},
		Scene{Title: "Both", Clouds: []Cloud{{"data", data}, {"model", model}}})
	if err != nil {
		t.Fatal(err)
	}
	readPNG(t, path)
}

func TestDrawScenesKeepsCirclesRound(t *testing.T) {
	ring := exptest.Normal(40000, 2, 0, 0, 3)
	rng := random.Seeded(1, 1)
	for i := range ring.Rows {
		s, c := math.Sincos(2 * math.Pi * rng.Float64())
		copy(batch.Row(ring, i), []float32{float32(c), float32(s)})
	}
	for _, box := range []Box{{-3, 3, -1.5, 1.5}, {-1.2, 1.2, -3, 3}, {-2, 2, -2, 2}, {-1.2, 1.2, -20, 20}, {-20, 20, -1.2, 1.2}} {
		path := filepath.Join(exptest.Gallery(t), "ring.png")
		if err := DrawScenes(path, box, Scene{Clouds: []Cloud{{"ring", ring}}}); err != nil {
			t.Fatal(err)
		}
		img, extent := readPNG(t, path), image.Rectangle{}
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				if r, _, b, _ := img.At(x, y).RGBA(); b > r+0x4000 {
					extent = extent.Union(image.Rect(x, y, x+1, y+1))
				}
			}
		}
		b := img.Bounds()
		edge := image.NewRGBA(image.Rect(0, 0, b.Dx(), 2)) // to check that nothing is cut off at the top or the bottom
		for x := range b.Dx() {
			edge.Set(x, 0, img.At(x, 0))
			edge.Set(x, 1, img.At(x, b.Dy()-1))
		}
		if n := count(edge, color.White); n != 2*b.Dx() {
			t.Errorf("over %v, %d pixels at the edge of the figure are not white", box, 2*b.Dx()-n)
		}
		w, h := float64(extent.Dx()), float64(extent.Dy())
		if w < 15 || math.Abs(w-h) > 1+.02*w {
			t.Errorf("over %v a circle is drawn %v wide and high, want a round one", box, extent.Size())
		}
	}
}

func TestFinitePartsLeavesGaps(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	s := Series{X: []float64{0, 1, 2, 3, nan, 5, 6}, Y: []float64{1, -1, nan, 3, 4, 5, inf}}
	for _, c := range []struct {
		axes Axes
		want []plotter.XYs
	}{
		{Axes{}, []plotter.XYs{{{X: 0, Y: 1}, {X: 1, Y: -1}}, {{X: 3, Y: 3}}, {{X: 5, Y: 5}}}},
		{Axes{LogX: true}, []plotter.XYs{{{X: 1, Y: -1}}, {{X: 3, Y: 3}}, {{X: 5, Y: 5}}}},
		{Axes{LogY: true}, []plotter.XYs{{{X: 0, Y: 1}}, {{X: 3, Y: 3}}, {{X: 5, Y: 5}}}},
	} {
		if d := cmp.Diff(c.want, FiniteParts(s, c.axes)); d != "" {
			t.Errorf("%+v (−want +got):\n%s", c.axes, d)
		}
	}
}

func TestDrawScenesErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scenes.png")
	failing := Scene{Title: "w", Field: func(blas32.General, []float32) error { return errors.New("no value") }}
	for _, c := range []struct {
		box    Box
		scenes []Scene
		want   string
	}{
		{Box{}, nil, "no scene"},
		{Box{}, []Scene{failing}, `panel "w": no value`},
		{Box{1, 0, 0, 1}, []Scene{{}}, "empty; give Min < Max"},
		{Box{}, []Scene{{Clouds: []Cloud{{"data", exptest.Normal(3, 3, 0, 1, 1)}}}}, `cloud "data" has 3 columns; it needs 2`},
	} {
		if err := DrawScenes(path, c.box, c.scenes...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
	constant := Scene{Field: func(blas32.General, []float32) error { return nil }}
	if err := DrawScenes(path, Box{}, constant, Scene{Field: constant.Field, Heat: true}); err != nil {
		t.Errorf("a constant field: %v", err)
	}
}

func TestDrawTiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiles.png")
	grey := exptest.BatchOf(6, 0, .5, 1, 2, -1, float32(math.NaN()), 1, 1, 1, 0, 0, 0)
	g := Tiles{Pixels: grey, Height: 2, Width: 3, Columns: 2, Scale: 4, Padding: 5}
	if err := DrawTiles(path, g); err != nil {
		t.Fatal(err)
	}
	img := readPNG(t, path)
	if got, want := img.Bounds().Size(), image.Pt(12+5+12+24, 8+24); got != want {
		t.Fatalf("the picture is %v, want %v", got, want)
	}
	for _, c := range []struct {
		x, y int
		want color.RGBA
	}{
		{12, 12, color.RGBA{0, 0, 0, 255}}, {16, 15, color.RGBA{128, 128, 128, 255}}, {23, 12, color.RGBA{255, 255, 255, 255}},
		{12, 16, color.RGBA{255, 255, 255, 255}}, {16, 19, color.RGBA{0, 0, 0, 255}}, {20, 16, color.RGBA{255, 0, 255, 255}},
		{24, 16, color.RGBA{255, 255, 255, 255}}, {29, 16, color.RGBA{0, 0, 0, 255}},
	} {
		if got := color.RGBAModel.Convert(img.At(c.x, c.y)); got != c.want {
			t.Errorf("pixel (%d, %d) = %v, want %v", c.x, c.y, got, c.want)
		}
	}

	rgb := exptest.BatchOf(6, 1, 0, .5, .5, 0, 1) // two pixels: planes (1, 0), (.5, .5), (0, 1)
	if err := DrawTiles(path, Tiles{Pixels: rgb, Height: 1, Width: 2, Scale: 1}); err != nil {
		t.Fatal(err)
	}
	img = readPNG(t, path)
	for x, want := range []color.RGBA{{255, 128, 0, 255}, {0, 128, 255, 255}} {
		if got := color.RGBAModel.Convert(img.At(12+x, 12)); got != want {
			t.Errorf("colour pixel %d = %v, want %v", x, got, want)
		}
	}

	blobs := blas32.General{Rows: 20, Cols: 3 * 28 * 28, Stride: 3 * 28 * 28, Data: make([]float32, 20*3*28*28)}
	for i := range blobs.Rows {
		for k := range 28 * 28 {
			v := math.Exp(-(math.Pow(float64(k%28)-14, 2) + math.Pow(float64(k/28)-14, 2)) / float64(10+5*i))
			p := batch.Row(blobs, i)
			p[k], p[784+k], p[2*784+k] = float32(v), float32(v*float64(i)/20), float32(1-v)
		}
	}
	single := blas32.General{Rows: 16, Cols: 784, Stride: blobs.Stride, Data: blobs.Data}
	err := DrawTiles(filepath.Join(exptest.Gallery(t), "panels.png"), Tiles{Title: "Digits", Pixels: single, Height: 28, Width: 28},
		Tiles{Title: "Cartoons of a very long name", Pixels: blobs, Height: 28, Width: 28, Columns: 2, Scale: 2}, Tiles{Title: "Éléments: ∇w*", Pixels: blobs, Height: 28, Width: 28})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		grid Tiles
		want string
	}{
		{Tiles{Title: "a", Pixels: grey, Height: 2, Width: 2}, `grid "a": rows of 6 values do not hold images of 2 × 2 pixels`},
		{Tiles{Pixels: grey, Height: 2, Width: 3, Columns: -1}, "must not be negative"},
		{Tiles{Height: 2, Width: 3}, "Pixels has shape (0, 0)"},
	} {
		if err := DrawTiles(path, c.grid); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
	}
}

func TestFiguresNeedTheirFolder(t *testing.T) {
	if err := DrawScenes(filepath.Join(t.TempDir(), "missing", "a.png"), Box{}, Scene{}); err == nil {
		t.Error("a missing folder: no error")
	}
}

// A logarithmic axis has at least two labels, however little of a decade it spans.
func TestLogTicksAreLabelled(t *testing.T) {
	for want, span := range map[string][2]float64{
		"0.01 0.1 1 10": {.01, 10}, "200 500 1000": {200, 1000}, "0.02 0.05": {.015, .06}, "1 2": {.9, 3}, "1e-05 0.0001": {1e-5, 1e-4},
	} {
		var labels []string
		for _, tick := range (logTicks{}).Ticks(span[0], span[1]) {
			if tick.Label != "" {
				labels = append(labels, tick.Label)
			}
		}
		if got := strings.Join(labels, " "); got != want {
			t.Errorf("labels from %g to %g are %q, want %q", span[0], span[1], got, want)
		}
	}
}
