package figure

import (
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"

	"cmf/experiments/metric"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Axes are the titles and scales of a figure's axes. The font of figures has
// Latin and Greek letters, but neither ∇ nor 𝔓: formulae belong in captions.
type Axes struct {
	Title, X, Y string

	// LogX and LogY ask for logarithmic scales, on which values ≤ 0 are left out.
	LogX, LogY bool
}

// Series is one line of a figure: the points (X[i], Y[i]), with gaps where a
// value is not finite.
type Series struct {
	Name string
	X, Y []float64
}

// Function is a real function with its name in the legend.
type Function struct {
	Name string
	F    func(x float64) float64
}

// Box is the part [MinX, MaxX] × [MinY, MaxY] of the plane, in data units.
type Box struct{ MinX, MaxX, MinY, MaxY float64 }

// Cloud is a set of points of the plane, a batch (n, 2), with its name. Points
// that are not finite are left out.
type Cloud struct {
	Name   string
	Points blas32.General
}

// Scene is a panel of the plane: a function under clouds of points.
type Scene struct {
	Title string

	// Field writes its value at each row of x (n, 2); nil for none.
	Field func(x blas32.General, value []float32) error

	// Heat shows the field in colours, from its least value (white) to its
	// largest (dark). Otherwise it is shown by contours at equally spaced
	// quantiles of its values.
	Heat bool

	Clouds []Cloud

	// Arrows are drawn above the clouds, one for each row (n, 4): from the point of its
	// first two values to that of the last two.
	Arrows blas32.General

	// Axes name the axes x and y and their units; nil for plain axes.
	Axes []Axis
}

// Axis is an axis for points z that is marked in the units Center + Scale·z;
// with a Scale of 0 it is marked in z.
type Axis struct {
	Name          string
	Center, Scale float64
}

// DrawCurves writes a PNG with one line for each series.
func DrawCurves(path string, axes Axes, series ...Series) (err error) {
	defer guard(path, &err)
	var parts []plotter.XYs
	var owner []int
	for k, s := range series {
		if len(s.X) != len(s.Y) {
			return fmt.Errorf("series %q has %d x and %d y; they must agree", s.Name, len(s.X), len(s.Y))
		}
		for _, part := range FiniteParts(s, axes) {
			parts, owner = append(parts, part), append(owner, k)
		}
	}
	if len(parts) == 0 {
		return errors.New("no finite point to draw (values ≤ 0 do not count on a logarithmic axis)")
	}
	p, legend := NewPlot(axes), NewLegend()
	p.Add(NewGrid())
	for i, part := range parts {
		line, err := plotter.NewLine(part)
		if err != nil {
			return err
		}
		line.LineStyle = Stroke(Colours[owner[i]%len(Colours)], 1.4)
		p.Add(line)
		if i == 0 || owner[i] != owner[i-1] {
			legend.Add(series[owner[i]].Name, line)
		}
	}
	if len(series) == 1 {
		legend = NewLegend()
	}
	return Render(path, 6*vg.Inch, 3.4*vg.Inch, [][]*plot.Plot{{p}}, legend, nil)
}

// FiniteParts cuts a series at the points that cannot be drawn.
func FiniteParts(s Series, axes Axes) []plotter.XYs {
	bad := func(v float64, log bool) bool { return math.IsNaN(v) || math.IsInf(v, 0) || log && v <= 0 }
	var parts []plotter.XYs
	open := false
	for i := range s.X {
		if bad(s.X[i], axes.LogX) || bad(s.Y[i], axes.LogY) {
			open = false
			continue
		}
		if !open {
			parts, open = append(parts, nil), true
		}
		last := &parts[len(parts)-1]
		*last = append(*last, plotter.XY{X: s.X[i], Y: s.Y[i]})
	}
	return parts
}

// DrawHistogram writes a PNG with the histogram of samples, normalised to a
// density, under exact densities. With bins = 0 there are 2·n^{1/3} bins
// (J. Rice's rule). Samples that are not finite are left out, and so are a few far ones; see
// OutsideHistogram.
func DrawHistogram(path string, axes Axes, samples []float32, bins int, densities ...Function) (err error) {
	defer guard(path, &err)
	var values plotter.Values
	lo, hi, ok := shown(slices.Clone(samples))
	for _, v := range samples {
		if v := float64(v); v >= lo && v <= hi {
			values = append(values, v)
		}
	}
	if !ok {
		return errors.New("no finite sample to draw")
	}
	if bins <= 0 {
		bins = max(10, int(2*math.Cbrt(float64(len(values)))))
	}
	h, err := plotter.NewHist(values, bins)
	if err != nil {
		return err
	}
	h.Normalize(float64(len(values)) / float64(len(samples)))
	h.FillColor, h.LineStyle = Pale, Stroke(color.White, .4)
	p, legend := NewPlot(axes), NewLegend()
	p.Add(h)
	legend.Add("samples", h)
	p.Y.Min = 0
	highest := p.Y.Max
	for k, density := range densities {
		f := plotter.NewFunction(density.F)
		f.XMin, f.XMax, f.Samples = p.X.Min, p.X.Max, 600
		f.LineStyle = Stroke(Colours[(k+1)%len(Colours)], 1.4)
		for i := range f.Samples {
			y := density.F(p.X.Min + (p.X.Max-p.X.Min)*float64(i)/float64(f.Samples-1))
			if !math.IsNaN(y) {
				p.Y.Max = max(p.Y.Max, min(1.05*y, 20*highest))
			}
		}
		p.Add(f)
		legend.Add(density.Name, f)
	}
	return Render(path, 6*vg.Inch, 3.4*vg.Inch, [][]*plot.Plot{{p}}, legend, nil)
}

// DrawScenes writes a PNG with scenes side by side, up to four to a row, all
// over one box and with equal units on both axes, unless the box is too long and narrow for
// that. The zero box stands for BoxOf. What lies outside of the box is not drawn; see Outside.
func DrawScenes(path string, box Box, scenes ...Scene) (err error) {
	defer guard(path, &err)
	for _, s := range scenes {
		for _, c := range s.Clouds {
			if err := metric.CheckBatch(fmt.Sprintf("cloud %q", c.Name), c.Points, 0); err != nil {
				return err
			}
			if c.Points.Cols != 2 {
				return fmt.Errorf("cloud %q has %d columns; it needs 2", c.Name, c.Points.Cols)
			}
		}
	}
	if box == (Box{}) {
		box = BoxOf(scenes)
	}
	if !(box.MinX < box.MaxX && box.MinY < box.MaxY) || math.IsInf(box.MaxX-box.MinX, 0) || math.IsInf(box.MaxY-box.MinY, 0) {
		return fmt.Errorf("the box %+v is empty; give Min < Max", box)
	}
	if len(scenes) == 0 {
		return errors.New("no scene to draw")
	}
	// The frame is the part of a panel that the title and the tick labels take.
	const edge, frame, room = 2.6 * vg.Inch, .5 * vg.Inch, .8 * vg.Inch
	ratio := vg.Length(min(4, max(.25, (box.MaxY-box.MinY)/(box.MaxX-box.MinX))))
	lines := (len(scenes) + 3) / 4
	perRow := (len(scenes) + lines - 1) / lines
	var panels [][]*plot.Plot
	legend, known := NewLegend(), []string{}
	for scenes := range slices.Chunk(scenes, perRow) {
		var line []*plot.Plot
		for _, s := range scenes {
			p := NewPlot(Axes{Title: s.Title})
			label(p, s.Axes)
			fitLabel(&p.X, edge-frame)
			fitLabel(&p.Y, ratio*(edge-frame))
			if err := addField(p, s, box); err != nil {
				return fmt.Errorf("panel %q: %w", s.Title, err)
			}
			for _, c := range s.Clouds {
				k := slices.Index(known, c.Name)
				if k < 0 {
					k, known = len(known), append(known, c.Name)
					dot := plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: Colours[k%len(Colours)], Radius: 2.4, Shape: draw.CircleGlyph{}}}
					legend.Add(c.Name, &dot)
				}
				p.Add(Dots(c.Points, box, Colours[k%len(Colours)]))
			}
			p.Add(arrows{s.Arrows, box})
			p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = box.MinX, box.MaxX, box.MinY, box.MaxY
			line = append(line, p)
		}
		panels = append(panels, line)
	}
	if len(known) < 2 {
		legend = NewLegend()
	}
	height := max(ratio*(edge-frame)+frame, rowHeight(panels, edge-gap, min(ratio*(edge-frame), room))+2*gap)
	return Render(path, edge*vg.Length(len(panels[0])), height*vg.Length(len(panels)), panels, legend, &box)
}

// fitLabel sets the label of an axis in two lines if it is longer than the axis, or
// than 40 points, and smaller if it is still too long: gonum/plot would shorten the axis.
func fitLabel(axis *plot.Axis, length vg.Length) {
	style, text := &axis.Label.TextStyle, axis.Label.Text
	length = max(length, 40)
	if style.Width(text) <= length {
		return
	}
	if words := strings.Fields(text); len(words) > 1 {
		best := text
		for k := 1; k < len(words); k++ {
			broken := strings.Join(words[:k], " ") + "\n" + strings.Join(words[k:], " ")
			if style.Width(broken) < style.Width(best) {
				best = broken
			}
		}
		axis.Label.Text = best
	}
	if width := style.Width(axis.Label.Text); width > length {
		style.Font.Size = max(4, style.Font.Size*length/width)
	}
}

// rowHeight is the height of a row of panels of the given width that leaves the data areas
// the given height beside titles and labels.
func rowHeight(panels [][]*plot.Plot, width, data vg.Length) (most vg.Length) {
	for _, line := range panels {
		for _, p := range line {
			height := width
			for range 4 { // a long label needs more room in a low panel
				f := frame(p, draw.NewCanvas(vgimg.New(1, 1), width, height))
				height = f.Min.Y + f.Max.Y + data
			}
			most = max(most, height)
		}
	}
	return most
}

// addField evaluates the field of s, if any, on a lattice over the box.
func addField(p *plot.Plot, s Scene, box Box) error {
	if s.Field == nil {
		return nil
	}
	const n = 160
	x := blas32.General{Rows: n * n, Cols: 2, Stride: 2, Data: make([]float32, 2*n*n)}
	l := lattice{n: n, box: box, value: make([]float32, n*n)}
	for i := range x.Rows {
		copy(batch.Row(x, i), []float32{float32(l.X(i % n)), float32(l.Y(i / n))})
	}
	if err := s.Field(x, l.value); err != nil {
		return err
	}
	var sorted []float32
	for _, v := range l.value {
		if v-v == 0 {
			sorted = append(sorted, v)
		}
	}
	slices.Sort(sorted)
	if len(sorted) == 0 || sorted[0] == sorted[len(sorted)-1] {
		return nil // a constant field has no contours
	}
	if s.Heat {
		for i, v := range l.value {
			if v-v != 0 {
				l.value[i] = float32(math.NaN())
			}
		}
		h := plotter.NewHeatMap(l, shades(256))
		h.NaN, h.Rasterized = faint, true
		p.Add(Unpadded{h})
		return nil
	}
	const lines = 12
	heights := levels(sorted, lines)
	for i, v := range l.value {
		l.value[i] = float32(steps(heights, float64(v)))
	}
	whole := make([]float64, len(heights))
	for k := range whole {
		whole[k] = float64(k)
	}
	c := plotter.NewContour(l, whole, nil)
	c.LineStyles = []draw.LineStyle{Stroke(color.NRGBA{0x8a, 0x93, 0xa3, 0xff}, .6)}
	p.Add(Unpadded{c})
	return nil
}

// lattice is n × n values over a box, row by row from below: a plotter.GridXYZ.
type lattice struct {
	n     int
	box   Box
	value []float32
}

func (l lattice) Dims() (c, r int) { return l.n, l.n }

func (l lattice) Z(c, r int) float64 { return float64(l.value[r*l.n+c]) }

func (l lattice) X(c int) float64 {
	return l.box.MinX + (l.box.MaxX-l.box.MinX)*float64(c)/float64(l.n-1)
}

func (l lattice) Y(r int) float64 {
	return l.box.MinY + (l.box.MaxY-l.box.MinY)*float64(r)/float64(l.n-1)
}

// shades is a palette from white to a dark blue, with the given number of
// steps.
type shades int

func (n shades) Colors() []color.Color {
	stops := [][3]float64{{255, 255, 255}, {158, 194, 230}, {42, 111, 187}, {16, 37, 80}}
	all := make([]color.Color, n)
	for i := range all {
		at := float64(i) / float64(n-1) * float64(len(stops)-1)
		k := min(int(at), len(stops)-2)
		mix := func(c int) uint8 { return uint8(stops[k][c] + (at-float64(k))*(stops[k+1][c]-stops[k][c])) }
		all[i] = color.NRGBA{mix(0), mix(1), mix(2), 0xff}
	}
	return all
}

// Dots leaves out the points beyond the box, which gonum/plot would draw over
// the neighbouring panel.
func Dots(points blas32.General, box Box, c color.Color) plot.Plotter {
	s := plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: faded(c), Radius: 1.05, Shape: draw.CircleGlyph{}}}
	for i := range points.Rows {
		if p := batch.Row(points, i); box.contains(p) {
			s.XYs = append(s.XYs, plotter.XY{X: float64(p[0]), Y: float64(p[1])})
		}
	}
	return Unpadded{&s}
}
