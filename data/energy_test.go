package data

import (
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/line"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/mat"
)

func mixtureOf(t *testing.T, parts ...line.Component) *line.Mixture {
	t.Helper()
	m, err := line.NewMixture(parts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// rotatedLaws are the factors of a product in three dimensions.
func rotatedLaws(t *testing.T) []*line.Mixture {
	t.Helper()
	two := mixtureOf(t, line.Component{Weight: .3, Mean: -1.5, SD: .5}, line.Component{Weight: .7, Mean: 1, SD: 1})
	return []*line.Mixture{two, mixtureOf(t, line.Component{Weight: 1, Mean: 1, SD: 2}), two}
}

// allEnergies are the named ones, and one of every other kind.
func allEnergies(t *testing.T) []*Energy {
	t.Helper()
	var all []*Energy
	add := func(e *Energy, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	for _, name := range EnergyNames() {
		add(NewEnergy(name))
	}
	add(ParseMixture("2,-2,.5;1,1.5,.7"))
	add(ParseMixture(".3,0,1,2,.5;.7,1,0,-1,.8"))
	add(ProductEnergy(rotatedLaws(t), random.New(1, "rotation", 0)))
	law, err := exact.NewGaussian([]float64{1, -2, 0}, mat.NewSymDense(3, []float64{2, .5, 0, .5, 1, .3, 0, .3, 3}))
	add(GaussianEnergy(law), err)
	add(EnergyFunc(2, quartic, func(grad *mat.VecDense, x mat.Vector) {
		grad.SetVec(0, 4*math.Pow(x.AtVec(0), 3)-x.AtVec(1))
		grad.SetVec(1, 2*x.AtVec(1)-x.AtVec(0))
	}))
	return all
}

func quartic(x mat.Vector) float64 {
	a, b := x.AtVec(0), x.AtVec(1)
	return a*a*a*a + b*b - a*b
}

func TestEnergyGradients(t *testing.T) {
	for _, e := range allEnergies(t) {
		rng := random.New(1, "points", 0)
		x, g, value := batch.New(50, e.Dim()), batch.New(50, e.Dim()), make([]float32, 50)
		rng.Normals(x.Data)
		if err := e.Eval(x, value, g); err != nil {
			t.Fatal(err)
		}
		at := make([]float64, e.Dim())
		for i := range x.Rows {
			for j, v := range batch.Row(x, i) {
				at[j] = float64(v)
			}
			exact := e.at(nil, at)
			if math.Abs(float64(value[i])-exact) > 1e-6*(1+math.Abs(exact)) {
				t.Errorf("%s: E(%v) is %v, want %v", e.Name, at, value[i], exact)
			}
			want := fd.Gradient(nil, func(x []float64) float64 { return e.at(nil, x) }, at, &fd.Settings{Formula: fd.Central})
			for j, v := range batch.Row(g, i) {
				if math.Abs(float64(v)-want[j]) > 1e-5*(1+math.Abs(want[j])) {
					t.Errorf("%s: ∂E/∂x_%d at %v is %v, central differences give %v", e.Name, j, at, v, want[j])
				}
			}
		}
	}
}

// Central differences replace a gradient that the user does not give.
func TestEnergyFuncDifferences(t *testing.T) {
	e, err := EnergyFunc(2, quartic, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, g := blas32.General{Rows: 1, Cols: 2, Stride: 2, Data: []float32{1.5, -.5}}, batch.New(1, 2)
	if err := e.Eval(x, nil, g); err != nil {
		t.Fatal(err)
	}
	for j, want := range []float64{4*1.5*1.5*1.5 + .5, -1 - 1.5} {
		if math.Abs(float64(g.Data[j])-want) > 1e-5 {
			t.Errorf("∂E/∂x_%d is %v, want %v", j, g.Data[j], want)
		}
	}
	if _, err := EnergyFunc(0, quartic, nil); err == nil {
		t.Error("dimension 0 gives no error")
	}
	if _, err := EnergyFunc(2, nil, nil); err == nil {
		t.Error("no value gives no error")
	}
}

// Stein's identity E[∇E·(x − c)ᵀ] = I, and E[∇E] = 0, for the points drawn.
func checkStein(t *testing.T, e *Energy, x blas32.General) {
	t.Helper()
	g := batch.New(x.Rows, x.Cols)
	if err := e.Eval(x, nil, g); err != nil {
		t.Fatal(err)
	}
	for j := range x.Cols {
		for k := range x.Cols {
			var sum, square, first, firstSquare float64
			for i := range x.Rows {
				v := float64(batch.Row(g, i)[j])
				w := v * (float64(batch.Row(x, i)[k]) - float64(batch.Row(x, 0)[k]))
				sum, square, first, firstSquare = sum+w, square+w*w, first+v, firstSquare+v*v
			}
			n := float64(x.Rows)
			want := 0.
			if j == k {
				want = 1
			}
			if sd := math.Sqrt(square) / n; math.Abs(sum/n-want) > 5*sd {
				t.Errorf("%s: E[∂_%dE·(x_%d − c)] is %.4f ± %.4f, want %g", e.Name, j, k, sum/n, sd, want)
			}
			if sd := math.Sqrt(firstSquare) / n; math.Abs(first/n) > 5*sd {
				t.Errorf("%s: E[∂_%dE] is %.4f ± %.4f, want 0", e.Name, j, first/n, sd)
			}
		}
	}
}

func TestEnergyDraw(t *testing.T) {
	for _, e := range allEnergies(t) {
		if e.Draw != nil {
			x := e.Draw(20000, random.New(1, "draw", 0))
			checkStein(t, e, x)
			out := 0
			for i := range x.Rows {
				for j, v := range batch.Row(x, i) {
					if float64(v) < e.Box.Lower[j] || float64(v) > e.Box.Upper[j] {
						out++
					}
				}
			}
			if out > 2 {
				t.Errorf("%s: %d of 20000 points lie outside of its box", e.Name, out)
			}
		}
	}
}

// With equal streams ProductEnergy and NewProduct have the same law: points
// drawn for the energy, mapped by the gradient of the problem's potential,
// follow its Gibbs factor.
func TestProductEnergyHasTheProblemsTruth(t *testing.T) {
	laws := rotatedLaws(t)
	axes := make([]Line, len(laws))
	for k, law := range laws {
		w, err := line.Solver{Nodes: 1001}.Conjugate(law)
		if err != nil {
			t.Fatal(err)
		}
		axes[k] = w
	}
	truth, err := NewProduct(axes, random.New(1, "rotation", 0))
	if err != nil {
		t.Fatal(err)
	}
	e, err := ProductEnergy(laws, random.New(1, "rotation", 0))
	if err != nil {
		t.Fatal(err)
	}
	x := e.Draw(20000, random.New(1, "draw", 0))
	y, g := batch.New(x.Rows, x.Cols), batch.New(x.Rows, x.Cols)
	if err := truth.Eval(x, nil, y); err != nil {
		t.Fatal(err)
	}
	if err := truth.Eval(y, nil, g); err != nil {
		t.Fatal(err)
	}
	var sum, square float64
	for i, v := range g.Data {
		sum += float64(v) * float64(y.Data[i])
	}
	for i := range y.Rows {
		var inner float64
		for j, v := range batch.Row(g, i) {
			inner += float64(v) * float64(batch.Row(y, i)[j])
		}
		square += inner * inner
	}
	n := float64(x.Rows)
	if mean, sd := sum/n, math.Sqrt(square)/n; math.Abs(mean-3) > 5*sd {
		t.Errorf("E⟨y, ∇w(y)⟩ is %.3f ± %.3f, want 3", mean, sd)
	}
}

func TestEnergyMessages(t *testing.T) {
	_, err := NewEnergy("bannana")
	if err == nil || !strings.Contains(err.Error(), `unknown energy "bannana"; known are gaussian, two-gaussians, 8gaussians, banana,`) {
		t.Errorf("an unknown name: %v", err)
	}
	for text, want := range map[string]string{
		"":                 `component 1 is "": "" is not a number`,
		"1,x,1":            `component 1 is "1,x,1": "x" is not a number`,
		"1,2":              `component 1 is "1,2": it has 2 numbers; give weight,x,…,deviation`,
		"1,0,1;1,0,0,1":    "component 2 has 2 coordinates, component 1 has 1",
		"1,0,1;-1,0,1":     "component 2 has weight -1; allowed are 0 to 1e12",
		"1,0,0":            "component 1 has standard deviation 0; allowed are 1e-6 to 1e6",
		"1,nan,1":          "component 1 has the mean [NaN]; its coordinates must be -1e6 to 1e6",
		"0,0,1":            "the weights of a mixture sum to 0",
		"1,0,1;":           `component 2 is "": "" is not a number`,
		"1,0,1;1,0,1,+inf": "component 2 has",
	} {
		if _, err := ParseMixture(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseMixture(%q): error %v, want %q", text, err, want)
		}
	}
	if _, err := ProductEnergy(nil, nil); err == nil {
		t.Error("a product of no laws gives no error")
	}
	e, err := NewEnergy("banana")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Eval(batch.New(2, 3), nil, blas32.General{}); err == nil {
		t.Error("points of three coordinates give no error")
	}
}

// A mixture with equal components is one normal.
func TestMixtureNormalisesWeights(t *testing.T) {
	e, err := ParseMixture("3,1,-1,0.5;1,1,-1,0.5;0,9,9,1")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range [][]float64{{1, -1}, {0, 0}, {40, -30}} {
		z2 := (math.Pow(x[0]-1, 2) + math.Pow(x[1]+1, 2)) / .25
		if got, want := e.at(nil, x), z2/2+math.Log(2*math.Pi*.25); math.Abs(got-want) > 1e-9*(1+want) {
			t.Errorf("E(%v) is %v, want %v", x, got, want)
		}
	}
}
