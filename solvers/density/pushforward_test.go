package density

import (
	"fmt"
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/internal/problem"
	"cmf/solvers/line"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// randomLaw is a Gaussian with its mean away from 0.
func randomLaw(t testing.TB, d int) *exact.Gaussian {
	t.Helper()
	w := problem.RandomGaussian(t, d, uint64(d))
	mean := make([]float64, d)
	for i, m := range w.Mean {
		mean[i] = float64(m)
	}
	g, err := exact.NewGaussian(mean, w.Cov)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The conjugate moment measure of the closed form is the Gaussian itself, also with
// carried noise; so is the image of N(0, I) under the inverse of x ↦ Σ^{−1/2}(x−m).
func TestDensityOfAGaussian(t *testing.T) {
	for _, d := range []int{1, 2, 5, 64} {
		g := randomLaw(t, d)
		x := g.Sample(20, random.New(1, "points", uint64(d)))
		want, err := g.LogPDF(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range want {
			var exponent, logDet float64
			u := make([]float64, d)
			floats.SubTo(u, problem.Widened(batch.Row(x, i)), g.Mean)
			for k, lambda := range g.Values {
				var along float64
				for j := range d {
					along += g.Vectors.At(j, k) * u[j]
				}
				exponent += along * along / lambda
				logDet += math.Log(lambda)
			}
			problem.CloseTo(t, "log N(x; m, Σ)", v, -(exponent+logDet+float64(d)*math.Log(2*math.Pi))/2, 1e-9*float64(d))
		}
		w := g.ConjugateMoment()
		roots := make([]float64, d)
		for k, v := range g.Values {
			roots[k] = 1 / math.Sqrt(v)
		}
		brenier := &exact.Quadratic{Center: g.Mean, Values: roots, Vectors: g.Vectors}
		laws := map[string]Pushforward{
			"conjugate moment": {Potential: w, LogZ: w.LogZ()},
			"Gaussian source":  {Potential: brenier, Noise: potential.Normal{D: d}, LogZ: float64(d) / 2 * math.Log(2*math.Pi)},
		}
		for _, s := range []float64{0, .25, .5} {
			w := g.CarriedMoment(s)
			noise, err := potential.NewCarried(w, g.Power(s))
			if err != nil {
				t.Fatal(err)
			}
			laws[fmt.Sprintf("carried by Σ^%g", s)] = Pushforward{Potential: w, Noise: noise, LogZ: w.LogZ() + noise.LogDet()}
		}
		for name, q := range laws {
			got, rows, err := q.LogPDF(t.Context(), x)
			if err != nil || rows.Failed() > 0 {
				t.Fatalf("%s, d = %d: %d rows failed, error %v", name, d, rows.Failed(), err)
			}
			for i := range got {
				problem.CloseTo(t, fmt.Sprintf("%s: log q in row %d at d = %d", name, i, d), got[i], want[i], 2e-5*float64(d+2))
			}
		}
	}
}

// onLine makes a potential solved on ℝ Curved.
type onLine struct{ p *line.Potential }

func (onLine) Dim() int { return 1 }

func (w onLine) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		u := float64(batch.Row(x, i)[0])
		if value != nil {
			value[i] = float32(w.p.Value(u))
		}
		if grad.Data != nil {
			batch.Row(grad, i)[0] = float32(w.p.Slope(u))
		}
	}
	return nil
}

func (w onLine) HessVec(x, v, hv blas32.General) error {
	const h = 1e-4
	for i := range x.Rows {
		u := float64(batch.Row(x, i)[0])
		batch.Row(hv, i)[0] = batch.Row(v, i)[0] * float32((w.p.Slope(u+h)-w.p.Slope(u-h))/(2*h))
	}
	return nil
}

// On a line q_w is the density for which w was solved.
func TestDensityOfAMixture(t *testing.T) {
	rho := mustMixture(t, line.Component{Weight: .3, Mean: -2, SD: .5}, line.Component{Weight: .7, Mean: 1, SD: .8})
	w := solved(t, rho)
	x := rho.Sample(200, random.New(1, "points", 0))
	got, rows, err := Pushforward{Potential: onLine{w}, LogZ: w.LogZ}.LogPDF(t.Context(), x)
	if err != nil || rows.Failed() > 0 {
		t.Fatalf("%d rows failed, error %v", rows.Failed(), err)
	}
	for i, v := range got {
		u := float64(batch.Row(x, i)[0])
		problem.CloseTo(t, fmt.Sprintf("log q at %g", u), v, rho.LogPDF(u), 1e-3)
	}
}

// q_w of an input-convex network in the plane has mass 1, with log Z_w by annealing. This
// holds only if map, determinant and constant agree.
func TestDensityHasMassOne(t *testing.T) {
	w := problem.NewHinges(2, 12, 4, 3, random.Seeded(3, 4))
	info, err := Annealing{}.LogZ(t.Context(), w, gibbsFit(t, w), random.New(1, "log Z", 0))
	if err != nil {
		t.Fatal(err)
	}
	const cells, half = 400, 10.
	grid := batch.New(cells*cells, 2)
	const side = 2 * half / cells
	for i := range grid.Rows {
		batch.Row(grid, i)[0] = float32(-half + side*(float64(i%cells)+.5))
		batch.Row(grid, i)[1] = float32(-half + side*(float64(i/cells)+.5))
	}
	logPDF, rows, err := Pushforward{Potential: w, LogZ: info.LogZ}.LogPDF(t.Context(), grid)
	if err != nil || rows.Failed() > 0 {
		t.Fatalf("%d rows failed, error %v", rows.Failed(), err)
	}
	var mass float64
	for _, v := range logPDF {
		mass += math.Exp(v) * side * side
	}
	t.Logf("mass %.5f; log Z %.4f ± %.4f", mass, info.LogZ, info.Error)
	problem.CloseTo(t, "∫q_w", mass, 1, .01)
}

func TestDensityRefuses(t *testing.T) {
	g := randomLaw(t, 3)
	if _, err := g.LogPDF(batch.New(4, 2)); err == nil {
		t.Error("points of another dimension under a Gaussian gave no error")
	}
	if _, _, err := (Pushforward{Potential: problem.DoubleWell{D: 2}, Noise: potential.Normal{D: 3}}).LogPDF(t.Context(), batch.New(1, 2)); err == nil {
		t.Error("noise of another dimension gave no error")
	}
	logPDF, rows, err := Pushforward{Potential: problem.DoubleWell{D: 2}}.LogPDF(t.Context(), batch.New(3, 2))
	if err != nil || rows.Failed() != 3 || rows.Status[0] != potential.NotConvex || !math.IsNaN(logPDF[0]) {
		t.Errorf("where w is not convex: %v, status %v, error %v", logPDF, rows.Status, err)
	}
}
