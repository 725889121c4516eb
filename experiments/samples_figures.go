package experiments

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
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

// drawPlane draws clouds, the Gibbs factor and the density. Both axes are alike
// in units of learning; but for the Gibbs factor they are labelled in the data's.
func drawPlane(r *Run, m *Model, d *Draw, clouds ...Cloud) error {
	level := func(x blas32.General, value []float32) error { return m.Evaluator.Eval(x, value, blas32.General{}) }
	u := m.Units()
	shown := clouds[0].Points.Rows
	for _, c := range clouds {
		shown = min(shown, c.Points.Rows, shownPoints)
	}
	var scenes []Scene
	for _, c := range clouds {
		scenes = append(scenes, Scene{Title: c.Name, Units: u, Clouds: []Cloud{{"points", batch.First(c.Points, shown)}}})
	}
	box := boxOf(scenes)
	scenes = slices.Insert(scenes, 1, Scene{Title: "w and its Gibbs factor", Units: &Units{Columns: []string{"units of learning", "units of learning"}}, Field: level, Clouds: []Cloud{{"Gibbs samples", batch.First(d.Gibbs, shown)}}})
	scenes = append(scenes, Scene{Title: "density", Heat: true, Units: u, Field: func(x blas32.General, value []float32) error {
		// Up to a constant: log Z is not needed.
		logPDF, _, err := density.Pushforward{Potential: m.Evaluator, Noise: m.Noise}.LogPDF(x)
		if err != nil {
			return err
		}
		highest := slices.Max(logPDF)
		for i, v := range logPDF {
			value[i] = float32(math.Exp(v - highest))
		}
		return nil
	}})
	if err := DrawScenes(r.path("points.png"), box, scenes...); err != nil {
		return err
	}
	r.LeadFigure("points.png", names(clouds)+"; level sets of the learned potential w with samples y of its Gibbs factor 𝔓_w ∝ e^{−w}, in units of learning; the density q_w by the Monge–Ampère equation, dark where high. Generated points are ∇w*(y).")
	return nil
}

// drawLine draws histograms of held-out and generated points under the learned
// density and the Gaussian's.
func drawLine(r *Run, m *Model, law *exact.Gaussian, held, generated Cloud) error {
	const n = 400
	values := batch.Column(held.Points, 0)
	low, high := float64(slices.Min(values)), float64(slices.Max(values))
	z := batch.New(n, 1)
	for i := range n {
		z.Data[i] = float32(low + (high-low)*float64(i)/(n-1))
	}
	x, err := m.Units().Data(z)
	if err != nil {
		return err
	}
	learned, err := m.density(z, random.New(1, "figure", 0))
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
		err = DrawHistogram(r.path(file), Axes{Title: c.Name, X: m.Units().name(0), Y: "density"}, batch.Column(points, 0), 0,
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
		x, err := u.Data(batch.First(c.Points, shownPoints))
		if err != nil {
			return err
		}
		clouds[k].Points = x
	}
	if u.Height > 0 {
		var grids []Tiles
		for _, c := range clouds {
			grids = append(grids, Tiles{Title: c.Name, Pixels: batch.First(c.Points, 64), Height: u.Height, Width: u.Width, Columns: 8, Scale: 2})
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
	caption := "Pairs of coordinates of " + clouds[0].Name + " points, in the units of the data, and their histograms."
	if len(clouds) > 1 {
		caption = fmt.Sprintf("Pairs of coordinates, in the units of the data: below the diagonal %s, above it as many %s, on it the histograms of both.", clouds[0].Name, clouds[1].Name)
	}
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
