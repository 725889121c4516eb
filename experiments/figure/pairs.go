package figure

import (
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// DrawPairs draws k × k panels: the histogram of every coordinate on the
// diagonal, pairs of coordinates of the first cloud below it, of the last cloud
// above it.
func DrawPairs(path string, names []string, clouds []Cloud) (err error) {
	defer guard(path, &err)
	const edge = 1.7 * vg.Inch
	k := len(names)
	legend := NewLegend()
	for i, c := range clouds {
		legend.Add(c.Name, &plotter.Scatter{GlyphStyle: draw.GlyphStyle{Color: Colours[i], Radius: 2.4, Shape: draw.CircleGlyph{}}})
	}
	box := make([]Box, k)
	shown := clouds[0].Points.Rows
	for j := range k {
		var all []Cloud
		for _, c := range clouds {
			shown = min(shown, c.Points.Rows)
			all = append(all, Cloud{Points: pairOf(c.Points, j, j)})
		}
		box[j] = BoxOf([]Scene{{Clouds: all}})
	}
	panels := make([][]*plot.Plot, k)
	for i := range k {
		for j := range k {
			p := NewPlot(Axes{})
			p.X.Tick.Marker, p.Y.Tick.Marker = unlabelled{}, unlabelled{}
			if i == k-1 {
				p.X.Label.Text, p.X.Tick.Marker = names[j], fewTicks{}
			}
			if j == 0 {
				p.Y.Label.Text, p.Y.Tick.Marker = names[i], fewTicks{}
			}
			fitLabel(&p.X, .65*edge)
			fitLabel(&p.Y, .65*edge)
			at := Box{box[j].MinX, box[j].MaxX, box[i].MinX, box[i].MaxX}
			p.Y.Max = 0 // for a histogram, until it is drawn
			shownCloud := len(clouds) - 1
			if j < i {
				shownCloud = 0
			}
			for n, c := range clouds {
				if i == j {
					l, err := histogramLine(batch.Column(c.Points, i), at.MinX, at.MaxX)
					if err != nil {
						return err
					}
					l.LineStyle = Stroke(Colours[n], 1)
					p.Add(Unpadded{l})
					_, _, _, high := l.DataRange()
					p.Y.Min, p.Y.Max = 0, max(p.Y.Max, 1.1*high)
					p.Y.Tick.Marker = plot.ConstantTicks(nil)
				} else if n == shownCloud {
					p.Add(Dots(pairOf(batch.First(c.Points, shown), j, i), at, Colours[n]))
				}
			}
			p.X.Min, p.X.Max = at.MinX, at.MaxX
			if i != j {
				p.Y.Min, p.Y.Max = at.MinY, at.MaxY
			}
			panels[i] = append(panels[i], p)
		}
	}
	return Render(path, edge*vg.Length(k), edge*vg.Length(k), panels, legend, nil)
}

// unlabelled are the ticks of fewTicks without labels: another panel of the row
// or column has them.
type unlabelled struct{}

func (unlabelled) Ticks(low, high float64) []plot.Tick {
	ticks := fewTicks{}.Ticks(low, high)
	for i := range ticks {
		ticks[i].Label = ""
	}
	return ticks
}

// fewTicks are plainTicks with labels only at the ends and in the middle.
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
	out := batch.New(x.Rows, 2)
	for k := range x.Rows {
		copy(batch.Row(out, k), []float32{batch.Row(x, k)[i], batch.Row(x, k)[j]})
	}
	return out
}

// label names the axes of a plot and marks them in their units.
func label(p *plot.Plot, axes []Axis) {
	for j, axis := range axes {
		of := []*plot.Axis{&p.X, &p.Y}[j]
		of.Label.Text = axis.Name
		if axis.Scale != 0 {
			of.Tick.Marker = unitTicks{axis.Center, axis.Scale}
		}
	}
}

// unitTicks are fewTicks for the values center + scale·z, each at its z.
type unitTicks struct{ center, scale float64 }

func (u unitTicks) Ticks(low, high float64) []plot.Tick {
	ticks := fewTicks{}.Ticks(u.center+u.scale*low, u.center+u.scale*high)
	for i, t := range ticks {
		ticks[i].Value = (t.Value - u.center) / u.scale
	}
	return ticks
}
