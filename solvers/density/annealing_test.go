package density

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/internal/problem"
	"cmf/solvers/line"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// gibbsFit is a Gaussian fitted to Langevin samples of 𝔓_w.
func gibbsFit(t testing.TB, w potential.Potential) *exact.Gaussian {
	t.Helper()
	c := problem.ChainsAt(t, 2000, w.Dim(), 0)
	problem.Run(t, sampling.Langevin{Adjusted: true, Step: .1}, w, c, 150)
	g, err := exact.FitGaussian(c.Y, 0)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// quadrature is log ∫e^{−w} over [−half, half]², or the interval, by the midpoint
// rule.
func quadrature(t testing.TB, w potential.Potential, half float64, cells int) float64 {
	t.Helper()
	d := w.Dim()
	n := int(math.Pow(float64(cells), float64(d)))
	grid, value := batch.New(n, d), make([]float32, n)
	side := 2 * half / float64(cells)
	for i := range n {
		for j, k := 0, i; j < d; j, k = j+1, k/cells {
			batch.Row(grid, i)[j] = float32(-half + side*(float64(k%cells)+.5))
		}
	}
	if err := w.Eval(grid, value, blas32.General{}); err != nil {
		t.Fatal(err)
	}
	least := value[0]
	for _, v := range value {
		least = min(least, v)
	}
	var sum float64
	for _, v := range value {
		sum += math.Exp(float64(least - v))
	}
	return math.Log(sum) - float64(least) + float64(d)*math.Log(side)
}

// quartics is Σ_j h·x_j²/2 + q·x_j⁴/4.
type quartics struct {
	d    int
	h, q float64
}

func (w quartics) Dim() int { return w.d }

func (w quartics) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		var sum float64
		for j, v := range batch.Row(x, i) {
			u := float64(v)
			sum += w.h*u*u/2 + w.q*u*u*u*u/4
			if grad.Data != nil {
				batch.Row(grad, i)[j] = float32(w.h*u + w.q*u*u*u)
			}
		}
		if value != nil {
			value[i] = float32(sum)
		}
	}
	return nil
}

// If the reference is the Gibbs factor itself, there is nothing to estimate.
func TestAnnealingFromTheGibbsFactor(t *testing.T) {
	for _, d := range []int{1, 8, 64} {
		w := randomLaw(t, d).ConjugateMoment()
		info, err := Annealing{Particles: 64}.LogZ(t.Context(), w, w.Gibbs(), random.New(1, "log Z", 0))
		if err != nil {
			t.Fatal(err)
		}
		problem.CloseTo(t, fmt.Sprintf("log Z at d = %d", d), info.LogZ, w.LogZ(), 1e-5*float64(d+1))
		if info.Size < .999 || info.Error > 1e-4 {
			t.Errorf("d = %d: %+v", d, info)
		}
	}
}

// Over seeds, the errors in units of the standard error have mean 0 and deviation 1. The
// truth is from quadrature, from the fixed point on a line, or in closed form; the
// references fit, or are too narrow, too wide or off centre.
func TestAnnealingIsHonest(t *testing.T) {
	line := solved(t, mustMixture(t, line.Component{Weight: .5, Mean: -2, SD: .5}, line.Component{Weight: .5, Mean: 2, SD: .5}))
	plane := problem.NewHinges(2, 12, 4, 3, random.Seeded(3, 4))
	wide, narrow := exact.StandardGaussian(1), exact.StandardGaussian(1)
	wide.Values[0], narrow.Values[0] = 9, .1
	gaussian := randomLaw(t, 8).ConjugateMoment()
	quartic := quartics{64, .5, 1}
	for _, c := range []struct {
		name      string
		w         potential.Potential
		reference *exact.Gaussian
		truth     float64
		a         Annealing
		least     int // bridges
	}{
		{"mixture", onLine{line}, gibbsFit(t, onLine{line}), line.LogZ, Annealing{Particles: 128}, 2},
		{"mixture, from a wide law", onLine{line}, wide, line.LogZ, Annealing{Particles: 128}, 2},
		{"mixture, from a narrow law", onLine{line}, narrow, line.LogZ, Annealing{Particles: 128}, 2},
		{"plane", plane, gibbsFit(t, plane), quadrature(t, plane, 12, 600), Annealing{}, 2},
		{"Gaussian from N(0, I)", gaussian, exact.StandardGaussian(8), gaussian.LogZ(), Annealing{Particles: 128, Moves: 1}, 10},
		{"64 quartics", quartic, exact.StandardGaussian(64), 64 * quadrature(t, quartics{1, .5, 1}, 8, 4000), Annealing{Particles: 100, Variance: 1}, 20},
	} {
		const seeds = 24
		var mean, squares, size float64
		bridges := 0
		for seed := range seeds {
			info, err := c.a.LogZ(t.Context(), c.w, c.reference, random.New(uint64(seed), c.name, 0))
			if err != nil {
				t.Fatal(err)
			}
			z := (info.LogZ - c.truth) / info.Error
			mean += z / seeds
			squares += z * z / seeds
			size += info.Size / seeds
			bridges = info.Bridges
		}
		t.Logf("%s: z has mean %.2f, root mean square %.2f; %d bridges, effective sample size %.2f", c.name, mean, math.Sqrt(squares), bridges, size)
		if rms := math.Sqrt(squares); rms < .65 || rms > 1.45 || math.Abs(mean) > 4/math.Sqrt(seeds) {
			t.Errorf("%s: z has mean %.2f, root mean square %.2f over %d seeds", c.name, mean, rms, seeds)
		}
		if bridges < c.least {
			t.Errorf("%s: %d bridges, expected at least %d", c.name, bridges, c.least)
		}
	}
}

func TestAnnealingRefuses(t *testing.T) {
	rng := random.New(1, "log Z", 0)
	for _, c := range []struct {
		want      string
		w         potential.Potential
		reference *exact.Gaussian
		a         Annealing
	}{
		{"dimension 3", problem.DoubleWell{D: 2}, exact.StandardGaussian(3), Annealing{}},
		{"1 particles", problem.DoubleWell{D: 2}, exact.StandardGaussian(2), Annealing{Particles: 1}},
		{"variance of -1", problem.DoubleWell{D: 2}, exact.StandardGaussian(2), Annealing{Variance: -1}},
		{"must be finite", problem.Wall{Potential: problem.ScalarEnergy{H: 1, Q: 0}, At: 1}, exact.StandardGaussian(1), Annealing{}},
	} {
		if _, err := c.a.LogZ(t.Context(), c.w, c.reference, rng); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// gaussians are the potentials ½(x − a_i)ᵀH_i(x − a_i), H_i diagonal, of the rows of a batch.
type gaussians struct {
	mean, curvature blas32.General
	rows            []int
}

func (g *gaussians) Dim() int { return g.mean.Cols }

func (g *gaussians) Of(rows []int) potential.Rowwise {
	of := &gaussians{g.mean, g.curvature, nil}
	for _, r := range rows {
		of.rows = append(of.rows, g.row(r))
	}
	return of
}

func (g *gaussians) row(i int) int {
	if g.rows != nil {
		return g.rows[i]
	}
	return i
}

func (g *gaussians) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		mean, curvature := batch.Row(g.mean, g.row(i)), batch.Row(g.curvature, g.row(i))
		var sum float32
		for k, v := range batch.Row(x, i) {
			e := v - mean[k]
			sum += curvature[k] * e * e / 2
			if grad.Data != nil {
				batch.Row(grad, i)[k] = curvature[k] * e
			}
		}
		if value != nil {
			value[i] = sum
		}
	}
	return nil
}

func (g *gaussians) HessVec(x, v, hv blas32.General) error {
	for i := range x.Rows {
		for k, c := range batch.Row(g.curvature, g.row(i)) {
			batch.Row(hv, i)[k] = c * batch.Row(v, i)[k]
		}
	}
	return nil
}

// Potentials of different places and widths get their own log Z at once, within their
// standard errors, from references that are off in both.
func TestLogZs(t *testing.T) {
	const n, d = 40, 3
	rng := random.New(1, "Gaussians", 0)
	w, modes := &gaussians{mean: batch.New(n, d), curvature: batch.New(n, d)}, batch.New(n, d)
	truth := make([]float64, n)
	for i := range n {
		for k := range d {
			width := .2 + 3*rng.Float64()
			batch.Row(w.mean, i)[k] = float32(5 * rng.NormFloat64())
			batch.Row(w.curvature, i)[k] = float32(1 / (width * width))
			batch.Row(modes, i)[k] = batch.Row(w.mean, i)[k] + float32(.3*width*rng.NormFloat64())
			truth[i] += math.Log(width * math.Sqrt(2*math.Pi))
		}
	}
	infos, err := Annealing{Particles: 200}.LogZs(t.Context(), w, modes, exact.StandardGaussian(d), rng)
	if err != nil {
		t.Fatal(err)
	}
	var errors, squares float64
	for i, info := range infos {
		z := (info.LogZ - truth[i]) / info.Error
		errors += z / n
		squares += z * z / n
		if math.Abs(z) > 4.5 || info.Error > .15 {
			t.Errorf("row %d: log Z is %.4f ± %.4f; in closed form %.4f", i, info.LogZ, info.Error, truth[i])
		}
	}
	t.Logf("errors over standard errors: mean %.2f, mean square %.2f; %d bridges", errors, squares, infos[0].Bridges)
	if math.Abs(errors) > .6 || squares > 2 {
		t.Errorf("errors over standard errors have the mean %.2f and the mean square %.2f", errors, squares)
	}
	if _, err := (Annealing{}).LogZs(t.Context(), w, batch.New(2, 2), exact.StandardGaussian(d), rng); err == nil {
		t.Error("points of another dimension are no error")
	}
}
