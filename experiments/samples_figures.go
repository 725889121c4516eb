package experiments

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"cmf/solvers"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// shownPoints bounds the points of a cloud in a figure.
const shownPoints = 2000

// draw draws held-out rows beside generated ones.
func (s *pointSet) draw(r *Run, m *Model, d *Draw, gaussian blas32.General) error {
	held := Cloud{"held out", s.held}
	generated := Cloud{"generated", d.Points}
	fit := Cloud{"Gaussian fit", gaussian}
	if s.train.Cols == 2 {
		return drawPlane(r, m, d, held, generated, fit)
	}
	if s.train.Cols == 1 {
		return drawLine(r, m, s.law, held, generated)
	}
	return drawPoints(r, s.units, held, generated, fit)
}

// drawPlane draws clouds, the Gibbs factor and the density, in units of learning,
// in which both axes are alike.
func drawPlane(r *Run, m *Model, d *Draw, clouds ...Cloud) error {
	level := func(x blas32.General, value []float32) error { return m.Evaluator.Eval(x, value, blas32.General{}) }
	var scenes []Scene
	for _, c := range clouds {
		scenes = append(scenes, Scene{Title: c.Name, Clouds: []Cloud{{"points", first(c.Points, shownPoints)}}})
	}
	box := boxOf(scenes)
	scenes = slices.Insert(scenes, 1, Scene{Title: "w and its Gibbs factor", Field: level, Clouds: []Cloud{{"Gibbs samples", first(d.Gibbs, shownPoints)}}})
	scenes = append(scenes, Scene{Title: "density", Heat: true, Field: func(x blas32.General, value []float32) error {
		// Up to a constant: log Z is not needed.
		logPDF, _, err := solvers.Density{Potential: m.Evaluator, Noise: m.Noise}.LogPDF(x)
		if err != nil {
			return err
		}
		for i, v := range logPDF {
			value[i] = float32(math.Exp(v - slices.Max(logPDF)))
		}
		return nil
	}})
	if err := DrawScenes(r.path("points.png"), box, scenes...); err != nil {
		return err
	}
	r.LeadFigure("points.png", "In units of learning: rows of the data; level sets of the learned potential w with samples y of its Gibbs factor 𝔓_w ∝ e^{−w}; generated points ∇w*(y); the density q_w by the Monge–Ampère equation, dark where high.")
	return nil
}

// drawLine draws histograms of held-out and generated points under the learned
// density and the Gaussian's.
func drawLine(r *Run, m *Model, law *solvers.Gaussian, held, generated Cloud) error {
	const n = 400
	values := column(held.Points, 0)
	low, high := float64(slices.Min(values)), float64(slices.Max(values))
	z := newBatch(n, 1)
	for i := range n {
		z.Data[i] = float32(low + (high-low)*float64(i)/(n-1))
	}
	x, err := m.Units().Data(z)
	if err != nil {
		return err
	}
	learned, err := m.density(z, solvers.NewStream(1, "figure", 0))
	if err != nil {
		return err
	}
	gaussian, err := law.LogPDF(z)
	if err != nil {
		return err
	}
	volume, err := m.Units().logVolume(z)
	if err != nil {
		return err
	}
	for i, v := range volume {
		gaussian[i] += v
	}
	for _, c := range []Cloud{generated, held} {
		points, err := m.Units().Data(c.Points)
		if err != nil {
			return err
		}
		file := "points.png"
		if c.Name == generated.Name {
			file = "generated.png"
		}
		err = DrawHistogram(r.path(file), Axes{Title: c.Name, X: m.Units().name(0), Y: "density"}, column(points, 0), 0,
			interpolated("learned", x, learned.LogPDF), interpolated("Gaussian fit", x, gaussian))
		if err != nil {
			return err
		}
		r.LeadFigure(file, "Histogram of the points "+c.Name+", under the learned density by the Monge–Ampère equation and that of the Gaussian fit.")
	}
	return nil
}

// interpolated is the density through given log densities at rising x, 0 beyond.
func interpolated(name string, x blas32.General, logPDF []float64) Function {
	return Function{name, func(at float64) float64 {
		i := sort.Search(x.Rows, func(i int) bool { return float64(x.Data[i]) >= at })
		if i == 0 || i == x.Rows {
			return 0
		}
		a, b := float64(x.Data[i-1]), float64(x.Data[i])
		t := (at - a) / (b - a)
		return (1-t)*math.Exp(logPDF[i-1]) + t*math.Exp(logPDF[i])
	}}
}

// drawPoints draws clouds of points in the units of learning: pictures as
// pictures, others by pairs of coordinates in the data's units.
func drawPoints(r *Run, u *Units, clouds ...Cloud) error {
	for k, c := range clouds {
		x, err := u.Data(first(c.Points, shownPoints))
		if err != nil {
			return err
		}
		clouds[k].Points = x
	}
	if u.Height > 0 {
		var grids []Tiles
		for _, c := range clouds {
			grids = append(grids, Tiles{Title: c.Name, Pixels: first(c.Points, 64), Height: u.Height, Width: u.Width, Columns: 8, Scale: 2})
		}
		if err := DrawTiles(r.path("points.png"), grids...); err != nil {
			return err
		}
		r.LeadFigure("points.png", "Pictures: "+names(clouds)+".")
		return nil
	}
	const most = 6
	d := clouds[0].Points.Cols
	if err := drawPairs(r.path("points.png"), u, min(d, most), clouds[:min(2, len(clouds))]); err != nil {
		return err
	}
	caption := "Pairs of coordinates, in the units of the data: " + names(clouds[:min(2, len(clouds))]) + "; on the diagonal their histograms."
	if d > most {
		caption = fmt.Sprintf("%s The first %d of %d.", caption, most, d)
	}
	r.LeadFigure("points.png", caption)
	return nil
}

func names(clouds []Cloud) string {
	text := clouds[0].Name
	for _, c := range clouds[1:] {
		text += ", " + c.Name
	}
	return text
}

// drawPairs draws k × k panels: the histogram of every coordinate, and clouds
// over pairs of them.
func drawPairs(path string, u *Units, k int, clouds []Cloud) error {
	legend := newLegend()
	for i, c := range clouds {
		legend.Add(c.Name, &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: colours[i], Radius: 2.4, Shape: draw.CircleGlyph{}}})
	}
	box := make([]Box, k)
	for j := range k {
		var all []Cloud
		for _, c := range clouds {
			all = append(all, Cloud{Points: pairOf(c.Points, j, j)})
		}
		box[j] = boxOf([]Scene{{Clouds: all}})
	}
	panels := make([][]*plot.Plot, k)
	for i := range k {
		for j := range k {
			p := newPlot(Axes{})
			if i == k-1 {
				p.X.Label.Text = u.name(j)
			}
			if j == 0 {
				p.Y.Label.Text = u.name(i)
			}
			at := Box{box[j].MinX, box[j].MaxX, box[i].MinX, box[i].MaxX}
			p.X.Tick.Marker, p.Y.Tick.Marker = fewTicks{}, fewTicks{}
			p.Y.Max = 0 // of a histogram, until it has one
			for n, c := range clouds {
				if i == j {
					l, err := histogramLine(column(c.Points, i), at.MinX, at.MaxX)
					if err != nil {
						return err
					}
					l.LineStyle = stroke(colours[n], 1)
					p.Add(unpadded{l})
					_, _, _, high := l.DataRange()
					p.Y.Min, p.Y.Max = 0, max(p.Y.Max, 1.1*high)
					p.Y.Tick.Marker = plot.ConstantTicks(nil)
				} else {
					p.Add(dots(pairOf(c.Points, j, i), at, colours[n]))
				}
			}
			p.X.Min, p.X.Max = at.MinX, at.MaxX
			if i != j {
				p.Y.Min, p.Y.Max = at.MinY, at.MaxY
			}
			panels[i] = append(panels[i], p)
		}
	}
	const edge = 1.7 * vg.Inch
	return render(path, edge*vg.Length(k), edge*vg.Length(k), panels, legend, nil)
}

// fewTicks are labels at the ends and the middle of what plainTicks has.
type fewTicks struct{}

func (fewTicks) Ticks(low, high float64) []plot.Tick {
	var major []plot.Tick
	for _, t := range (plainTicks{}).Ticks(low, high) {
		if t.Label != "" {
			major = append(major, t)
		}
	}
	if len(major) < 4 {
		return major
	}
	return []plot.Tick{major[0], major[len(major)-1]}
}

// histogramLine is the outline of a histogram, normalised to a density.
func histogramLine(values []float32, low, high float64) (*plotter.Line, error) {
	const bins = 40
	count := make([]float64, bins)
	for _, v := range values {
		if k := int(bins * (float64(v) - low) / (high - low)); k >= 0 && k < bins {
			count[k] += bins / (float64(len(values)) * (high - low))
		}
	}
	var line plotter.XYs
	for k, c := range count {
		left := low + (high-low)*float64(k)/bins
		line = append(line, plotter.XY{X: left, Y: c}, plotter.XY{X: left + (high-low)/bins, Y: c})
	}
	return plotter.NewLine(line)
}

// pairOf is the cloud of coordinates i and j.
func pairOf(x blas32.General, i, j int) blas32.General {
	out := newBatch(x.Rows, 2)
	for k := range x.Rows {
		copy(row(out, k), []float32{row(x, k)[i], row(x, k)[j]})
	}
	return out
}

// first is the view of up to n rows.
func first(x blas32.General, n int) blas32.General { return rows(x, 0, min(n, x.Rows)) }
