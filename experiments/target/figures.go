package target

import (
	"context"
	"math"

	"cmf/data"
	"cmf/data/units"
	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Page sets the summary and the headlines of the page.
func (t *Energy) Page(r *run.Run) {
	residual := "residual_sd_exact" // over the model's points it may come from a single distant point
	if t.sample == nil {
		residual = "residual_sd"
	}
	r.Page.Summary = "The energy " + t.name + ", the conjugate moment potential that CMFMA learns from it, and its samples."
	r.Page.Headline = []report.Headline{
		{Metric: "ess", Label: "effective sample size of the importance weights, as a share", Goal: report.Higher},
		{Metric: residual, Label: "standard deviation of the Monge–Ampère residual, nats"},
		{Metric: "log_z_error", Label: "error of log ∫exp(−E), nats"},
		{Metric: "kl_grid", Label: "KL(ρ‖q) by quadrature, nats"},
		{Metric: "w2", Label: "exact W2 to exact points (baseline: MALA at as many evaluations)"},
		{Metric: "w2_corrected", Label: "the same, resampled by importance"},
	}
}

// Draw draws the paper's Figure 3 in the plane, or curves on the line.
func (t *Energy) Draw(ctx context.Context, r *run.Run, fit *Fit) error {
	switch t.Energy.Dim() {
	case 1:
		return t.drawLine(ctx, r, fit)
	case 2:
		return t.drawPlane(ctx, r, fit)
	}
	return nil
}

// shown is how far above its smallest value an energy is drawn; everything above is white.
const shown = 10

func (t *Energy) drawPlane(ctx context.Context, r *run.Run, fit *Fit) error {
	box, axes := t.frame(), Axes(t.Units)
	learned := func(x blas32.General, value []float32) error {
		logq, _, err := fit.density.LogPDF(ctx, x)
		for i, l := range logq {
			value[i] = float32(-l)
		}
		return err
	}
	target := valueOf(t.Energy)
	panel := func(name string, x blas32.General) figure.Scene {
		x = batch.Rows(x, 0, min(x.Rows, 2000))
		return figure.Scene{Title: name, Axes: axes, Field: target, Clouds: []figure.Cloud{{Name: "samples", Points: x}}}
	}
	samples := panel("samples", fit.draw.Points)
	caption := "Figure 3: the energy E of ρ ∝ exp(−E); the learned energy −log q_w by the Monge–Ampère equation; both are dark where low, and white from ten nats above their minimum. Level sets of the conjugate moment potential w; samples of ∇w*♯𝔓_w over level sets of E." + t.inUnits()
	err := r.Figure(ctx, report.Figure{File: "figure3.png", Caption: caption + figure.Outside(box, samples)}, true, func(path string) error {
		return figure.DrawScenes(path, box,
			figure.Scene{Title: "target energy E", Axes: axes, Field: darkening(target), Heat: true},
			figure.Scene{Title: "learned energy", Axes: axes, Field: darkening(learned), Heat: true},
			figure.Scene{Title: "conjugate moment potential w", Field: valueOf(fit.density.Potential)},
			samples)
	})
	if err != nil || t.sample == nil {
		return err
	}
	scenes := []figure.Scene{
		panel("exact", t.sample(2000, random.New(1, "figure", 0))),
		samples, panel("resampled by importance", fit.corrected),
		{Title: "Gibbs factor", Field: valueOf(fit.density.Potential), Clouds: []figure.Cloud{{Name: "samples", Points: batch.Rows(fit.draw.Gibbs, 0, min(fit.draw.Gibbs.Rows, 2000))}}},
	}
	scenes[1].Title = "learned"
	caption = "Exact points of ρ; samples ∇w*(y) of the model; the same resampled by their importance weights exp(−E)/q_w; and the points y of the Gibbs factor, over level sets of w." + t.inUnits()
	return r.Figure(ctx, report.Figure{File: "corrected.png", Caption: caption + figure.Outside(box, scenes...)}, false, func(path string) error {
		return figure.DrawScenes(path, box, scenes...)
	})
}

// inUnits ends a caption: w and the Gibbs factor have no units but those of learning.
func (t *Energy) inUnits() string {
	if t.Units.Scale == nil {
		return ""
	}
	return " w and its Gibbs factor are in units of learning."
}

// Axes are axes for points in units of learning with marks in those of the data.
func Axes(u units.Affine) (axes []figure.Axis) {
	for k, s := range u.Scale {
		axes = append(axes, figure.Axis{Center: u.Center[k], Scale: s})
	}
	return axes
}

// drawLine draws both energies and w, and the histogram of the samples.
func (t *Energy) drawLine(ctx context.Context, r *run.Run, fit *Fit) error {
	b := t.frame()
	const n = 801
	x := batch.New(n, 1)
	at := make([]float64, n)
	for i := range at {
		at[i] = b.MinX + (b.MaxX-b.MinX)*float64(i)/(n-1)
		x.Data[i] = float32(at[i])
	}
	energy, w := make([]float32, n), make([]float32, n)
	if err := t.Energy.Eval(x, energy, blas32.General{}); err != nil {
		return err
	}
	if err := fit.density.Potential.Eval(x, w, blas32.General{}); err != nil {
		return err
	}
	logq, _, err := fit.density.LogPDF(ctx, x)
	if err != nil {
		return err
	}
	exact, learned, potential := make([]float64, n), make([]float64, n), make([]float64, n)
	volume := data.LogScale(t.Units) // of densities in the units of the energy
	for i := range at {
		exact[i], learned[i], potential[i] = float64(energy[i])+t.logZ, volume-logq[i], volume+float64(w[i])+fit.density.LogZ
	}
	points := batch.Column(fit.draw.Points, 0)
	if t.Units.Scale != nil {
		shift := func(v float64) float64 { return t.Units.Center[0] + t.Units.Scale[0]*v }
		for i, v := range at {
			at[i] = shift(v)
		}
		for i, v := range points {
			points[i] = float32(shift(float64(v)))
		}
	}
	err = r.Figure(ctx, report.Figure{File: "figure3.png", Caption: "Figure 3 on the line: the energy of ρ, the learned energy −log q_w, and the conjugate moment potential w, each as the energy of a normalised density."}, true, func(path string) error {
		return figure.DrawCurves(path, figure.Axes{Title: "Energies", X: "x", Y: "nats"},
			figure.Series{Name: "E + log Z", X: at, Y: exact}, figure.Series{Name: "learned", X: at, Y: learned}, figure.Series{Name: "w + log Z", X: at, Y: potential})
	})
	if err != nil {
		return err
	}
	between := func(values []float64) func(v float64) float64 {
		return func(v float64) float64 {
			k := min(max(int(math.Round((v-at[0])/(at[n-1]-at[0])*(n-1))), 0), n-1)
			return math.Exp(-values[k])
		}
	}
	return r.Figure(ctx, report.Figure{File: "samples.png", Caption: "Samples of ∇w*♯𝔓_w with the exact and the learned density." + figure.OutsideHistogram(points)}, false, func(path string) error {
		return figure.DrawHistogram(path, figure.Axes{Title: "Samples", X: "x"}, points, 0,
			figure.Function{Name: "ρ", F: between(exact)}, figure.Function{Name: "learned density", F: between(learned)})
	})
}

// frame is the part of the box where ρ is above a thousandth of its peak, with a margin, or
// without a grid the whole box.
func (t *Energy) frame() figure.Box {
	if t.grid == nil {
		b, d := t.Box, t.Energy.Dim()
		return figure.Box{MinX: b.Lower[0], MaxX: b.Upper[0], MinY: b.Lower[d-1], MaxY: b.Upper[d-1]}
	}
	peak := math.Inf(-1)
	for _, l := range t.grid.LogDensity {
		peak = max(peak, l)
	}
	var held []int
	for i, l := range t.grid.LogDensity {
		if l > peak-math.Log(1e3) {
			held = append(held, i)
		}
	}
	d := t.Energy.Dim()
	x := batch.Gathered(t.grid.Centres(), held)
	lo, hi := make([]float64, d), make([]float64, d)
	for k := range d {
		v := batch.Column(x, k)
		lo[k], hi[k] = float64(v[0]), float64(v[0])
		for _, v := range v {
			lo[k], hi[k] = min(lo[k], float64(v)), max(hi[k], float64(v))
		}
		margin := .08*(hi[k]-lo[k]) + 1e-3*(t.Box.Upper[k]-t.Box.Lower[k])
		lo[k], hi[k] = lo[k]-margin, hi[k]+margin
	}
	return figure.Box{MinX: lo[0], MaxX: hi[0], MinY: lo[d-1], MaxY: hi[d-1]}
}

type planeField = func(x blas32.General, value []float32) error

func valueOf(e solvers.Energy) planeField {
	return func(x blas32.General, value []float32) error { return e.Eval(x, value, blas32.General{}) }
}

// darkening is dark where f is low, and white where f is shown or more above its minimum.
func darkening(f planeField) planeField {
	return func(x blas32.General, value []float32) error {
		if err := f(x, value); err != nil {
			return err
		}
		least := float32(math.Inf(1))
		for _, v := range value {
			if v < least {
				least = v
			}
		}
		for i, v := range value {
			value[i] = max(0, least+shown-v)
		}
		return nil
	}
}
