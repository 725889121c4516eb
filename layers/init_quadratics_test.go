package layers

import (
	"math"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// startedQuadratics is w = φ* of quadratics that start on x.
func startedQuadratics(t testing.TB, o Start, a Architecture, x blas32.General) (*Quadratics, *Evaluator) {
	t.Helper()
	a.Family, a.Dim = NetworkQuadratics, x.Cols
	w, err := New(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Init(w, x, random.New(1, "start", 0)); err != nil {
		t.Fatal(err)
	}
	e, err := NewEvaluator(w)
	if err != nil {
		t.Fatal(err)
	}
	return w.(*Conjugate).phi.(*Quadratics), e
}

// One quadratic is the closed form of a Gaussian, for every source of noise.
func TestOneQuadraticIsTheClosedForm(t *testing.T) {
	law, err := exact.NewGaussian([]float64{1, -2, .5}, mat.NewSymDense(3, []float64{2, .7, 0, .7, 1, .3, 0, .3, .5}))
	if err != nil {
		t.Fatal(err)
	}
	source, err := exact.NewGaussian([]float64{0, 1, 1}, mat.NewSymDense(3, []float64{1, -.2, .1, -.2, 3, 0, .1, 0, .4}))
	if err != nil {
		t.Fatal(err)
	}
	x := law.Sample(100, random.New(1, "data", 0))
	for name, o := range map[string]Start{
		"Gibbs": {Law: law}, "carried": {Law: law, Carry: .25}, "N(0, I)": {Law: law, Gaussian: true}, "source": {Law: law, Source: source},
	} {
		_, e := startedQuadratics(t, o, Architecture{Pieces: 1}, x)
		y := source.Sample(50, random.New(2, "points", 0))
		want, err := o.Conjugates(y)
		if err != nil {
			t.Fatal(err)
		}
		got := batch.New(y.Rows, y.Cols)
		if err := e.EvalConjugate(y, nil, got); err != nil {
			t.Fatal(err)
		}
		for i, v := range want.Data {
			if math.Abs(float64(v-got.Data[i])) > 1e-4 {
				t.Fatalf("%s: ∇w* of point %d is %v, want %v", name, i/3, batch.Row(got, i/3), batch.Row(want, i/3))
			}
		}
	}
}

// Each piece takes as much of the noise as its cell has of the data, and maps it onto
// the cell, with full matrices and with factors of low rank.
func TestQuadraticsStartOnTheCells(t *testing.T) {
	at := [][]float64{{-4, 0, 0}, {3, 3, 0}, {2, -4, 1}}
	share := []int{5, 3, 2}
	rng := random.New(4, "parts", 0)
	x := batch.New(3000, 3)
	rng.Normals(x.Data)
	count := make([]float64, 3)
	part := func(i int) int {
		for k := range share {
			if i %= 10; i < share[k] {
				return k
			}
			i -= share[k]
		}
		return 0
	}
	for i := range x.Rows {
		k := part(i)
		count[k] += 1. / float64(x.Rows)
		for j := range 3 {
			batch.Row(x, i)[j] = batch.Row(x, i)[j]*.3 + float32(at[k][j])
		}
	}
	law, err := exact.FitGaussian(x, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []Architecture{{Pieces: 3, Tau: .05}, {Pieces: 3, Rank: 1, Tau: .05}} {
		o := Start{Law: law, Gaussian: true}
		_, e := startedQuadratics(t, o, a, x)
		y, _ := o.Particles(4000, random.New(9, "noise", 0))
		made := batch.New(y.Rows, 3)
		if err := e.EvalConjugate(y, nil, made); err != nil {
			t.Fatal(err)
		}
		mass, variance := make([]float64, 3), 0.0
		for i := range made.Rows {
			best, least := 0, math.Inf(1)
			for k := range at {
				var d float64
				for j, v := range batch.Row(made, i) {
					d += math.Pow(float64(v)-at[k][j], 2)
				}
				if d < least {
					best, least = k, d
				}
			}
			mass[best] += 1 / float64(made.Rows)
			variance += min(least, 3) / 3 / float64(made.Rows)
		}
		for k := range at {
			if math.Abs(mass[k]-count[k]) > .03 {
				t.Errorf("%+v: the parts have masses %.3f, want %.3f", a, mass, count)
			}
		}
		if variance < .03 || variance > .16 {
			t.Errorf("%+v: the variance about the parts is %.3f, want about .09", a, variance)
		}
	}
}
