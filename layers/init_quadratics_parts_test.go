package layers

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// near tells whether two vectors agree up to a part of the largest entry of want.
func near(got, want []float64, part float64) bool {
	most := 0.0
	for _, v := range want {
		most = max(most, math.Abs(v))
	}
	return slices.EqualFunc(got, want, func(v, w float64) bool { return math.Abs(v-w) <= part*most })
}

// entries are those of a symmetric matrix.
func entries(m mat.Symmetric) (all []float64) {
	for i := range m.SymmetricDim() {
		for j := range m.SymmetricDim() {
			all = append(all, m.At(i, j))
		}
	}
	return all
}

// Mean and covariance of the noise on which pieces start are those of the draws that divide it.
func TestNoiseOfQuadratics(t *testing.T) {
	law, err := exact.NewGaussian([]float64{1, -2}, mat.NewSymDense(2, []float64{9, .4, .4, .1}))
	if err != nil {
		t.Fatal(err)
	}
	source, err := exact.NewGaussian([]float64{0, 3}, mat.NewSymDense(2, []float64{1, -.5, -.5, 3}))
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Start{
		"Gibbs": {Law: law}, "carried": {Law: law, Carry: .25}, "carried far": {Law: law, Carry: .5}, "N(0, I)": {Law: law, Gaussian: true}, "source": {Law: law, Source: source},
	} {
		q, err := NewQuadratics(Architecture{Dim: 2, Pieces: 100})
		if err != nil {
			t.Fatal(err)
		}
		form, err := o.closed()
		if err != nil {
			t.Fatal(err)
		}
		noise := o.noise(form, q.arrays().Draws(), random.New(3, "noise", 0))
		if noise.Draws.Rows < 200*q.Pieces {
			t.Errorf("%s: %d draws for %d pieces", name, noise.Draws.Rows, q.Pieces)
		}
		drawn, err := exact.FitGaussian(noise.Draws, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !near(drawn.Mean, noise.Mean, .03) && math.Hypot(drawn.Mean[0]-noise.Mean[0], drawn.Mean[1]-noise.Mean[1]) > .05 {
			t.Errorf("%s: the draws have mean %v, not %v", name, drawn.Mean, noise.Mean)
		}
		if got, want := entries(drawn.Power(1)), entries(noise.Scale); !near(got, want, .05) {
			t.Errorf("%s: the draws have covariance %v, not %v", name, got, want)
		}
	}
}

// From N(0, I), data of four times the size give four times the map. Rates go with the sizes of
// what they move; that of the centers is a deviation of the data.
func TestQuadraticsStartGoesWithTheScale(t *testing.T) {
	x := law(t, 3, false).Sample(2000, random.New(1, "data", 0))
	for i := range x.Rows / 2 {
		batch.Row(x, i)[0] += 6
	}
	larger := batch.New(x.Rows, x.Cols)
	variance := 0.0
	for j := range x.Cols {
		column := make([]float64, x.Rows)
		for i := range x.Rows {
			column[i] = float64(batch.Row(x, i)[j])
			batch.Row(larger, i)[j] = 4 * batch.Row(x, i)[j]
		}
		variance += stat.Variance(column, nil) / float64(x.Cols)
	}
	for _, rank := range []int{0, 1} {
		var started [2]*Quadratics
		var made [2]blas32.General
		for k, points := range []blas32.General{x, larger} {
			fitted, err := exact.FitGaussian(points, 0)
			if err != nil {
				t.Fatal(err)
			}
			q, e := startedQuadratics(t, Start{Law: fitted, Gaussian: true}, Architecture{Pieces: 3, Rank: rank, Tau: []float64{.02, .08}[k]}, points)
			y := normals(5, 40, 3, 0)
			started[k], made[k] = q, batch.New(40, 3)
			if err := e.EvalConjugate(y, nil, made[k]); err != nil {
				t.Fatal(err)
			}
		}
		for i, v := range made[0].Data {
			if w := made[1].Data[i]; math.Abs(float64(4*v-w)) > 2e-2 {
				t.Fatalf("rank %d: ∇w* is %g, and %g from data of four times the size", rank, v, w)
			}
		}
		a, b := started[0], started[1]
		if got := a.Centers.Rate; math.Abs(got-math.Sqrt(variance)) > .01*got {
			t.Errorf("rank %d: centers move at rate %g; the data's deviation is %g", rank, got, math.Sqrt(variance))
		}
		type rates struct{ at, larger, times float64 }
		all := map[string]rates{
			"centers": {a.Centers.Rate, b.Centers.Rate, 4}, "factors": {a.Factors.Rate, b.Factors.Rate, 2}, "offsets": {a.Offsets.Rate, b.Offsets.Rate, 4},
		}
		if a.Root != nil {
			all["roots"] = rates{a.Root.Rate, b.Root.Rate, 2}
		}
		for name, r := range all {
			if !(r.at > 0) || math.Abs(r.larger/r.at-r.times) > .02*r.times {
				t.Errorf("rank %d: %s move at rates %g and %g; want %g times as much", rank, name, r.at, r.larger, r.times)
			}
		}
	}
}

// What pieces cannot start from is refused in words.
func TestQuadraticsStartRefuses(t *testing.T) {
	g := law(t, 2, false)
	x := g.Sample(10, random.New(1, "data", 0))
	contexts := exact.StandardGaussian(2).Sample(10, random.New(1, "contexts", 0))
	one, err := exact.Regress(x, blas32.General{Rows: 10, Cols: 1, Stride: 2, Data: contexts.Data}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		start  Start
		a      Architecture
		rows   int
		cols   int
		want   string
		passes bool
	}{
		"no law":          {start: Start{}, rows: 10, cols: 2, want: "needs a Gaussian"},
		"another law":     {start: Start{Law: law(t, 3, false)}, rows: 10, cols: 2, want: "needs a Gaussian"},
		"another data":    {start: Start{Law: g}, rows: 10, cols: 1, want: "data of shape (10, 1)"},
		"one row":         {start: Start{Law: g}, a: Architecture{Pieces: 1}, rows: 1, cols: 2, want: "data of shape (1, 2)"},
		"too few rows":    {start: Start{Law: g}, rows: 2, cols: 2, want: "3 quadratics for 2 points"},
		"float64":         {start: Start{Law: g}, a: Architecture{Float64: true}, rows: 10, cols: 2, want: "float32"},
		"no regression":   {start: Start{Law: g, Contexts: contexts}, a: Architecture{Context: 2}, rows: 10, cols: 2, want: "needs a regression"},
		"another context": {start: Start{Law: g, Contexts: contexts, Given: one}, a: Architecture{Context: 2}, rows: 10, cols: 2, want: "needs a regression"},
		"a carried noise": {start: Start{Law: g, Contexts: contexts, Carry: .2}, a: Architecture{Context: 2}, rows: 10, cols: 2, want: "only one is possible"},
		"a given source":  {start: Start{Law: g, Contexts: contexts, Source: g}, a: Architecture{Context: 2}, rows: 10, cols: 2, want: "only one is possible"},
		"a row for each":  {start: Start{Law: g}, rows: 3, cols: 2, passes: true},
		"two rows of one": {start: Start{Law: g}, a: Architecture{Pieces: 1}, rows: 2, cols: 2, passes: true},
	} {
		if c.a.Dim = 2; c.a.Pieces == 0 {
			c.a.Pieces = 3
		}
		q, err := NewQuadratics(c.a)
		if err != nil {
			t.Fatal(err)
		}
		points := batch.New(c.rows, c.cols)
		copy(points.Data, x.Data)
		init := c.start.initQuadratics
		if c.a.Context > 0 {
			init = c.start.initQuadraticsGiven
		}
		err = init(q, points, random.New(1, "start", 0))
		if (err == nil) != c.passes || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want %q", name, err, c.want)
		}
	}
}
