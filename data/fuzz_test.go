package data

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"
)

// FuzzMixture reads a mixture's text. An accepted one has a proper box, finite
// points and a finite energy at them.
func FuzzMixture(f *testing.F) {
	for _, text := range []string{"0.5,-1,0,0.6;0.5,1,0,0.6", "1,0,1", "1,NaN,1", "1e308,0,1;1e308,1,1", "1,1e308,1e308", "1,0,1e-300", "0,0,1", ";", "1,2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseMixture(text)
		if err != nil {
			return
		}
		for k, lower := range e.Box.Lower {
			if !(lower < e.Box.Upper[k]) || math.IsInf(e.Box.Upper[k]-lower, 0) {
				t.Errorf("coordinate %d in a box from %g to %g", k, lower, e.Box.Upper[k])
			}
		}
		x := e.Draw(3, random.New(1, "fuzz", 0))
		value, slope := make([]float32, 3), batch.New(3, e.Dim())
		if err := e.Eval(x, value, slope); err != nil {
			t.Fatal(err)
		}
		for _, v := range slices.Concat(x.Data, value, slope.Data) {
			if v-v != 0 {
				t.Errorf("points %v of energy %v and slope %v", x.Data, value, slope.Data)
				break
			}
		}
	})
}

// FuzzNames looks up sets and energies: either one has the name, or the error
// lists all names.
func FuzzNames(f *testing.F) {
	for _, name := range append(ToyNames(), EnergyNames()...) {
		f.Add(name)
	}
	f.Add("\x00moons")
	f.Fuzz(func(t *testing.T, name string) {
		e, err := NewEnergy(name)
		if err == nil && e.Name != name || err != nil && !strings.Contains(err.Error(), strings.Join(EnergyNames(), ", ")) {
			t.Errorf("energy %q: %v", name, err)
		}
		s, err := Toy(name)
		if err == nil && s.Name() != name || err != nil && !strings.Contains(err.Error(), strings.Join(ToyNames(), ", ")) {
			t.Errorf("set %q: %v", name, err)
		}
	})
}
