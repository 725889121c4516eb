package data

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// A family gives each row the energy of its context, with the slope of it, and has the laws that
// it says.
func TestEnergyFamilies(t *testing.T) {
	for _, name := range EnergyFamilyNames() {
		f := NewEnergyFamily(name)
		if f == nil || f.Name != name || f.Contexts() != len(f.Range.Upper) {
			t.Fatalf("the family %s is %+v", name, f)
		}
		const n = 6
		rng := random.New(1, name, 0)
		c, x := batch.New(n, f.Contexts()), batch.New(n, f.Dim())
		rng.Normals(x.Data)
		for i := range n {
			for k := range f.Contexts() {
				batch.Row(c, i)[k] = float32(math.Sin(float64(i/2 + k))) // two rows of each
			}
		}
		given, err := f.Given(c)
		if err != nil {
			t.Fatal(err)
		}
		value, slope := make([]float32, n), batch.New(n, f.Dim())
		if err := given.Eval(x, value, slope); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			at := make([]float64, f.Contexts())
			batch.Widen(at, batch.Row(c, i))
			e, err := f.At(at)
			if err != nil {
				t.Fatal(err)
			}
			one, grad := make([]float32, 1), batch.New(1, f.Dim())
			if err := e.Eval(batch.Rows(x, i, i+1), one, grad); err != nil || one[0] != value[i] || !slices.Equal(grad.Data, batch.Row(slope, i)) {
				t.Errorf("%s: row %d has the energy %g and slope %v, alone %g and %v (%v)", name, i, value[i], batch.Row(slope, i), one[0], grad.Data, err)
			}
			checkStein(t, e, e.Draw(20000, rng))
			if f.Law == nil {
				continue
			}
			law, err := f.Law(at)
			if err != nil {
				t.Fatal(err)
			}
			want, err := law.LogPDF(batch.Rows(x, i, i+1))
			if err != nil || math.Abs(want[0]+float64(one[0])+e.LogZ) > 1e-4 {
				t.Errorf("%s: −E − log Z is %g, the log density %g (%v)", name, -float64(one[0])-e.LogZ, want[0], err)
			}
		}
		if err := given.Eval(batch.Rows(x, 1, n), nil, blas32.General{}); err == nil || !strings.Contains(err.Error(), "5 points for an energy given 6 contexts") {
			t.Errorf("%s: too few points: %v", name, err)
		}
		if _, err := f.Given(batch.New(2, 7)); err == nil || !strings.Contains(err.Error(), "(2, 7)") {
			t.Errorf("%s: contexts of another width: %v", name, err)
		}
	}
	if NewEnergyFamily("banana") != nil {
		t.Error("an energy is a family")
	}
}
