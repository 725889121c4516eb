package data

import (
	"math"
	"strings"
	"testing"

	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/mat"
)

func function(t *testing.T, dim int, f func(x mat.Vector) float64) *Energy {
	t.Helper()
	e, err := EnergyFunc(dim, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func quadrature(t *testing.T, e *Energy, box solvers.Box, cells int) *Quadrature {
	t.Helper()
	q, err := NewQuadrature(e, box, cells)
	if err != nil {
		t.Fatalf("%s: %v", e.Name, err)
	}
	return q
}

// log Z is that of the closed form, also over a box twice as wide, and over the
// box that FindBox finds.
func TestQuadratureLogZ(t *testing.T) {
	for _, e := range allEnergies(t) {
		if e.Dim() > 2 || e.Box.Lower == nil {
			continue
		}
		q := quadrature(t, e, e.Box, 0)
		want := e.LogZ
		if math.IsNaN(want) {
			middle := solvers.Box{}
			for j := range e.Dim() {
				half := (e.Box.Upper[j] - e.Box.Lower[j]) / 2
				middle.Lower = append(middle.Lower, e.Box.Lower[j]-half)
				middle.Upper = append(middle.Upper, e.Box.Upper[j]+half)
			}
			want = quadrature(t, e, middle, 801).LogZ
		}
		if gap := math.Abs(q.LogZ - want); !(gap < 1e-6) || !(q.Change < 1e-6) || !(q.Edge < 1e-6) {
			t.Errorf("%s: log Z is %.9f, off by %.2g; change %.2g, edge %.2g", e.Name, q.LogZ, gap, q.Change, q.Edge)
		}
		found, err := FindBox(e)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		if gap := math.Abs(quadrature(t, e, found, 0).LogZ - want); !(gap < 1e-6) {
			t.Errorf("%s: log Z over the box found, %v, is off by %.2g", e.Name, found, gap)
		}
	}
}

// A kink makes the rule less accurate, and Change shows it.
func TestQuadratureLaplace(t *testing.T) {
	e := function(t, 1, func(x mat.Vector) float64 { return math.Abs(x.AtVec(0)) })
	q := quadrature(t, e, solvers.Box{Lower: []float64{-30}, Upper: []float64{30}}, 0)
	if gap := math.Abs(q.LogZ - math.Log(2)); gap > q.Change || q.Change > 1e-3 {
		t.Errorf("log Z is off by %.2g, bound %.2g", gap, q.Change)
	}
}

// Cells are a third as wide until log Z hardly changes, and not more than allowed: few for a
// normal law, more for a narrow one, and all for a law with an edge.
func TestRefineQuadrature(t *testing.T) {
	box := solvers.Box{Lower: []float64{-10, -10}, Upper: []float64{10, 10}}
	for name, c := range map[string]struct {
		energy func(x mat.Vector) float64
		cells  int
		logZ   float64
		gap    float64
	}{
		"normal": {func(x mat.Vector) float64 { return mat.Dot(x, x) / 2 }, 57, math.Log(2 * math.Pi), 1e-6},
		"narrow": {func(x mat.Vector) float64 { return 50 * mat.Dot(x, x) }, 513, math.Log(2 * math.Pi / 100), 1e-6},
		"edge": {func(x mat.Vector) float64 {
			if mat.Norm(x, math.Inf(1)) > 5 {
				return math.Inf(1)
			}
			return 0
		}, 513, math.Log(100), .02},
	} {
		q, err := RefineQuadrature(function(t, 2, c.energy), box, 1e-5, 57, 513)
		if err != nil {
			t.Fatal(err)
		}
		if q.Cells != c.cells || !(math.Abs(q.LogZ-c.logZ) < c.gap) {
			t.Errorf("%s: %d cells and log Z %.7f; want %d and %.7f", name, q.Cells, q.LogZ, c.cells, c.logZ)
		}
	}
}

func TestQuadratureSamples(t *testing.T) {
	for _, e := range allEnergies(t) {
		if e.Dim() <= 2 && e.Box.Lower != nil {
			checkStein(t, e, quadrature(t, e, e.Box, 0).Sample(20000, random.New(2, "grid", 0)))
		}
	}
}

// KL(N(0, I)‖N(m, I)) = ½|m|².
func TestQuadratureKL(t *testing.T) {
	law := exact.StandardGaussian(2)
	e := GaussianEnergy(law)
	q := quadrature(t, e, e.Box, 153)
	shifted := make([]float64, len(q.LogDensity))
	centres := q.Centres()
	for i := range shifted {
		x := batch.Row(centres, i)
		dx, dy := float64(x[0])-.3, float64(x[1])+.4
		shifted[i] = -(dx*dx+dy*dy)/2 - math.Log(2*math.Pi)
	}
	if kl, err := q.KL(shifted); err != nil || math.Abs(kl-.125) > 1e-6 {
		t.Errorf("KL is %v, %v, want 0.125", kl, err)
	}
	if kl, err := q.KL(q.LogDensity); err != nil || kl != 0 {
		t.Errorf("KL(ρ‖ρ) is %v, %v", kl, err)
	}
	if _, err := q.KL(shifted[1:]); err == nil {
		t.Error("a log density too few gives no error")
	}
}

// On half of the plane the energy is NaN or +Inf: the other half is integrated,
// and the cells of this half are counted.
func TestQuadratureSurvivesHoles(t *testing.T) {
	law := GaussianEnergy(exact.StandardGaussian(2))
	for _, hole := range []float64{math.NaN(), math.Inf(1)} {
		e := function(t, 2, func(x mat.Vector) float64 {
			if x.AtVec(0) < 0 {
				return hole
			}
			return mat.Dot(x, x) / 2
		})
		// The middle cells straddle 0: their centres are at 0, where E is finite.
		q := quadrature(t, e, solvers.Box{Lower: []float64{-6, -6}, Upper: []float64{6, 6}}, 513)
		half := q.LogZ - math.Log(math.Pi)
		if cells := 256 * 513; q.NaNs+q.Infs != cells || (q.NaNs == cells) != math.IsNaN(hole) {
			t.Errorf("%v: %d NaNs and %d infinities, want %d", hole, q.NaNs, q.Infs, cells)
		}
		if math.Abs(half) > .01 {
			t.Errorf("%v: log Z is off by %g", hole, half)
		}
		for i, v := range q.Sample(1000, random.New(1, "half", 0)).Data {
			if i%2 == 0 && v < -6./513 {
				t.Fatalf("%v: a point in the hole, x₁ = %g", hole, v)
			}
		}
	}
	for name, f := range map[string]func(x mat.Vector) float64{
		"energy is −Inf at":                     func(x mat.Vector) float64 { return math.Log(max(0, x.AtVec(0))) },
		"NaN (81) or +Inf (0) at all 81 points": func(mat.Vector) float64 { return math.NaN() },
		"NaN (0) or +Inf (81) at all 81 points": func(mat.Vector) float64 { return math.Inf(1) },
	} {
		if _, err := NewQuadrature(function(t, 2, f), law.Box, 9); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want %q", err, name)
		}
	}
	for _, box := range []solvers.Box{{}, {Lower: []float64{0, 0}, Upper: []float64{1, 0}}, {Lower: []float64{0, math.Inf(-1)}, Upper: []float64{1, 0}}} {
		if _, err := NewQuadrature(law, box, 9); err == nil {
			t.Errorf("the box %v gives no error", box)
		}
	}
	for _, cells := range []int{-3, 10, 12} {
		if _, err := NewQuadrature(law, law.Box, cells); err == nil {
			t.Errorf("%d cells give no error", cells)
		}
	}
	if _, err := NewQuadrature(GaussianEnergy(exact.StandardGaussian(3)), solvers.Box{}, 9); err == nil {
		t.Error("three dimensions give no error")
	}
}

func TestCheckIntegrable(t *testing.T) {
	size := func(x mat.Vector) float64 { return mat.Norm(x, 2) }
	turned := func(x mat.Vector) float64 { return .6*x.AtVec(0) + .8*x.AtVec(1) }
	for _, c := range []struct {
		name string
		dim  int
		f    func(x mat.Vector) float64
		want string // part of the error; empty for none
	}{
		{"|x|", 1, size, ""}, {"|x|", 2, size, ""}, {"|x|", 8, size, ""},
		{"√|x|", 2, func(x mat.Vector) float64 { return math.Sqrt(size(x)) }, ""},
		{"3·log(1+|x|)", 2, func(x mat.Vector) float64 { return 3 * math.Log1p(size(x)) }, ""},
		{"a ball", 3, func(x mat.Vector) float64 { return math.Log(min(1, math.Floor(1/size(x)))) * -1 }, ""},
		{"narrow", 3, func(x mat.Vector) float64 { return mat.Dot(x, x) * 1e6 }, ""},
		{"long", 2, func(x mat.Vector) float64 { return math.Pow(turned(x), 2) + 1e-6*mat.Dot(x, x) }, ""},
		{"log(1+|x|)", 1, func(x mat.Vector) float64 { return math.Log1p(size(x)) }, "not integrable on ℝ^1"},
		{"log(1+|x|)", 2, func(x mat.Vector) float64 { return math.Log1p(size(x)) }, "not integrable on ℝ^2"},
		{"0", 2, func(mat.Vector) float64 { return 0 }, "not integrable"},
		{"0", 8, func(mat.Vector) float64 { return 0 }, "not integrable"},
		{"x₁²", 2, func(x mat.Vector) float64 { return math.Pow(x.AtVec(0), 2) }, "not integrable"},
		{"a turned valley", 2, func(x mat.Vector) float64 { return math.Pow(turned(x), 2) }, "not integrable"},
		{"a turned valley", 5, func(x mat.Vector) float64 { return math.Pow(turned(x), 2) + math.Pow(x.AtVec(3), 2) }, "not integrable"},
		{"−|x|²", 2, func(x mat.Vector) float64 { return -mat.Dot(x, x) }, "not integrable"},
		{"x₁", 2, func(x mat.Vector) float64 { return x.AtVec(0) }, "not integrable"},
		{"−|x|⁸", 2, func(x mat.Vector) float64 { return -math.Pow(mat.Dot(x, x), 4) }, "is −Inf at"},
		{"NaN", 2, func(mat.Vector) float64 { return math.NaN() }, "+Inf or not a number wherever"},
	} {
		err := CheckIntegrable(function(t, c.dim, c.f))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s on ℝ^%d: %v", c.name, c.dim, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s on ℝ^%d: error %v, want %q", c.name, c.dim, err, c.want)
		}
	}
	for _, e := range allEnergies(t) {
		if err := CheckIntegrable(e); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
	}
}

// In more than two dimensions the box is a cube that holds all of the mass.
func TestFindBoxInSpace(t *testing.T) {
	for _, e := range allEnergies(t) {
		if e.Dim() < 3 {
			continue
		}
		box, err := FindBox(e)
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		for j := range e.Dim() {
			if box.Lower[j] > e.Box.Lower[j]*.8 || box.Upper[j] < e.Box.Upper[j]*.8 || box.Upper[j] > 64 {
				t.Errorf("%s: the box %v, known %v", e.Name, box, e.Box)
			}
		}
	}
}
