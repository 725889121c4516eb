package experiments

import (
	"context"
	"math"

	"cmf/data/units"
	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/target"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// gaussianPage sets the summary and the headlines of the page.
func gaussianPage(r *run.Run) {
	r.Page.Summary = "A Gaussian, its closed form, and the potentials that CMFGen learns from samples and CMFMA from the energy."
	r.Page.Headline = []report.Headline{
		{Metric: "cmfgen.uvp_percent", Label: "L2-UVP of ∇w, percent (floor: closed form with the sample's moments)"},
		{Metric: "cmfma.uvp_percent", Label: "the same by CMFMA from the energy"},
		{Metric: "cmfgen.gibbs_cov_rel_error", Label: "covariance of the Gibbs factor, relative error"},
		{Metric: "cmfgen.center_distance_max", Label: "largest distance of the bank's mean from c, over the last half"},
	}
}

// drawFigure1 draws ρ, the Gibbs factor of its moment potential and that of its conjugate
// moment potential, with level sets; and those of the learned potential over the exact ones.
func drawFigure1(ctx context.Context, r *run.Run, law *exact.Gaussian, of units.Affine, m *fit.Model, draw *fit.Draw, held blas32.General) error {
	const shown = 1500
	w, u := law.ConjugateMoment(), law.Moment()
	// A Gaussian is the Gibbs factor of its own energy.
	energy := &exact.Quadratic{Center: law.Mean, Values: inverses(law.Values), Vectors: law.Vectors}
	rng := random.New(1, "Figure 1", 0)
	var scenes []figure.Scene
	for _, p := range []struct {
		title   string
		exact   *exact.Quadratic
		learned potential.Potential
		points  blas32.General
	}{
		{"data", energy, nil, batch.Rows(held, 0, shown)},
		{"moment Gibbs factor", u, nil, u.Gibbs().Sample(shown, rng)},
		{"conjugate Gibbs factor", w, nil, w.Gibbs().Sample(shown, rng)},
		{"learned over exact", w, m.Evaluator, batch.Rows(draw.Gibbs, 0, shown)},
	} {
		exact, err := levelSets(p.exact, p.exact.Center, 720)
		if err != nil {
			return err
		}
		s := figure.Scene{Title: p.title, Clouds: []figure.Cloud{{Name: "points", Points: p.points}, {Name: "exact level sets", Points: exact}}}
		if p.learned != nil {
			// There are so few dots that the exact sets show between them.
			learned, err := levelSets(p.learned, p.exact.Center, 72)
			if err != nil {
				return err
			}
			s.Clouds = append(s.Clouds, figure.Cloud{Name: "learned level sets", Points: learned})
		}
		scenes = append(scenes, s)
	}
	scenes[0].Axes = target.Axes(of)
	caption := "Figure 1: ρ; the Gibbs factor N(m, Σ⁻¹) of its moment potential; and the Gibbs factor N(c, Σ^{1/3}) of its conjugate moment potential, exact and learned. Level sets are at one, two and three standard deviations. The first factor is narrow where ρ is wide; the second follows ρ."
	return r.Figure(ctx, report.Figure{File: "figure1.png", Caption: caption + figure.Outside(figure.Box{}, scenes...)}, true, func(path string) error {
		return figure.DrawScenes(path, figure.Box{}, scenes...)
	})
}

// levelSets are points where a convex w on ℝ² is ½, 2 and 4½ above its value at center. For
// a Gaussian's energy these are one, two and three standard deviations out. They are found
// by bisection along rays from center.
func levelSets(w potential.Potential, center []float64, rays int) (blas32.General, error) {
	const bisections = 40
	at, lowest := batch.New(1, 2), make([]float32, 1)
	at.Data[0], at.Data[1] = float32(center[0]), float32(center[1])
	if err := w.Eval(at, lowest, blas32.General{}); err != nil {
		return at, err
	}
	x, value := batch.New(3*rays, 2), make([]float32, 3*rays)
	near, far := make([]float64, 3*rays), make([]float64, 3*rays)
	for i := range far {
		far[i] = 1e3
	}
	for range bisections {
		for i := range x.Rows {
			radius := (near[i] + far[i]) / 2
			sin, cos := math.Sincos(2 * math.Pi * float64(i/3) / float64(rays))
			x.Data[2*i], x.Data[2*i+1] = float32(center[0]+radius*cos), float32(center[1]+radius*sin)
		}
		if err := w.Eval(x, value, blas32.General{}); err != nil {
			return x, err
		}
		for i, v := range value {
			k := float64(i%3 + 1)
			if radius := (near[i] + far[i]) / 2; float64(v-lowest[0]) > k*k/2 {
				far[i] = radius
			} else {
				near[i] = radius
			}
		}
	}
	return x, nil
}

func inverses(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = 1 / v
	}
	return out
}
