package units

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

// Points come back from the units of learning, and the volume agrees with
// finite differences of the change of units.
func TestUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.IntRange(1, 4).Draw(t, "d")
		x := batch.New(3, d)
		var u Units = Affine{}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 1:
			u = Affine{
				Center: rapid.SliceOfN(rapid.Float64Range(-10, 10), d, d).Draw(t, "center"),
				Scale:  rapid.SliceOfN(rapid.Float64Range(.1, 10), d, d).Draw(t, "scale"),
			}
		case 2:
			p := Pixels{Alpha: rapid.Float64Range(.01, .4).Draw(t, "alpha")}
			if rapid.Bool().Draw(t, "centred") {
				p.Center = rapid.SliceOfN(rapid.Float64Range(-3, 3), d, d).Draw(t, "center")
			}
			u = p
		case 3:
			u = Box{
				Lower:  rapid.SliceOfN(rapid.Float64Range(-1, 0), d, d).Draw(t, "lower"),
				Upper:  rapid.SliceOfN(rapid.Float64Range(1, 3), d, d).Draw(t, "upper"),
				Center: rapid.SliceOfN(rapid.Float64Range(-1, 1), d, d).Draw(t, "center"),
				Scale:  rapid.SliceOfN(rapid.Float64Range(.1, 2), d, d).Draw(t, "scale"),
			}
		}
		if err := u.Check(d); err != nil {
			t.Fatal(err)
		}
		for i := range x.Data {
			x.Data[i] = rapid.Float32Range(.05, .95).Draw(t, "x")
		}
		z, err := u.Learning(x)
		if err != nil {
			t.Fatal(err)
		}
		back, err := u.Data(z, nil)
		if err != nil {
			t.Fatal(err)
		}
		volume, err := u.LogVolume(z, blas32.General{})
		if err != nil {
			t.Fatal(err)
		}
		const step = .01
		high, low := batch.Shifted(x, slices.Repeat([]float64{-step}, d)), batch.Shifted(x, slices.Repeat([]float64{step}, d))
		zh, _ := u.Learning(high)
		zl, _ := u.Learning(low)
		for i := range x.Rows {
			var want float64
			for j := range d {
				if math.Abs(float64(batch.Row(back, i)[j]-batch.Row(x, i)[j])) > 1e-5 {
					t.Fatalf("%g comes back as %g", batch.Row(x, i)[j], batch.Row(back, i)[j])
				}
				want += math.Log(float64(batch.Row(zh, i)[j]-batch.Row(zl, i)[j]) / (2 * step))
			}
			if math.Abs(volume[i]-want) > .02*float64(d) {
				t.Fatalf("log volume %g, by differences %g", volume[i], want)
			}
		}
	})
}

// What a checkpoint holds of units is a contract: it reads back as it was, and the
// text does not change.
func TestStoredUnits(t *testing.T) {
	directions := func() *Principal {
		return &Principal{Mean: []float64{0, 0, 0}, Vectors: batch.New(3, 2), Values: []float64{2, 1}, Rest: .5, Learned: 1}
	}
	principal := directions()
	principal.Alpha = .25
	for text, c := range map[string]struct {
		u Units
		f Form
	}{
		"null":                                {},
		"{}":                                  {u: Affine{}},
		`{"Center":[1],"Scale":[2]}`:          {u: Affine{Center: []float64{1}, Scale: []float64{2}}},
		`{"Alpha":0.25,"Height":1,"Width":3}`: {principal, Form{Height: 1, Width: 3}},
		`{"Center":[0.5],"Alpha":0.125,"Height":1,"Width":1}`:             {Pixels{Alpha: .125, Center: []float64{.5}}, Form{Height: 1, Width: 1}},
		`{"Center":[0.5],"Scale":[2],"Lower":[-1],"Upper":[1]}`:           {u: Box{Lower: []float64{-1}, Upper: []float64{1}, Center: []float64{.5}, Scale: []float64{2}}},
		`{"Center":[1,2],"Scale":[3,4],"Columns":["a","b"],"Table":true}`: {Affine{[]float64{1, 2}, []float64{3, 4}}, Form{Columns: []string{"a", "b"}, Table: true}},
	} {
		got, err := Marshal(c.u, c.f)
		if err != nil || string(got) != text {
			t.Errorf("%+v is stored as %s, error %v; want %s", c, got, err, text)
		}
		var p *Principal
		if _, ok := c.u.(*Principal); ok {
			p = directions()
		}
		u, f, err := Unmarshal([]byte(text), p)
		if diff := cmp.Diff([]any{c.u, c.f}, []any{u, f}); err != nil || diff != "" {
			t.Errorf("%s reads back, error %v (−want +got):\n%s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		`{"Alpha":0.1,"Scale":[1]}`: "units of pixels with 1 scales",
		`{"Alpha":0.1,"Lower":[1]}`: "units of a box with other units",
		`{"Colour":1}`:              `unknown field "Colour"`,
	} {
		if _, _, err := Unmarshal([]byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	if _, _, err := Unmarshal([]byte("null"), directions()); err == nil {
		t.Error("directions without units gave no error")
	}
	if _, _, err := Unmarshal([]byte(`{"Alpha":0.1,"Center":[1]}`), directions()); err == nil {
		t.Error("directions with other centres gave no error")
	}
	if _, err := Marshal(struct{ Affine }{}, Form{}); err == nil {
		t.Error("units of an unknown type were stored")
	}
}

func TestUnitsSayWhatIsWrong(t *testing.T) {
	good := &Principal{Alpha: .1, Mean: []float64{0, 0, 0}, Vectors: batch.New(3, 2), Values: []float64{2, 1}, Rest: .5, Learned: 1}
	if err := good.Check(1); err != nil {
		t.Error(err)
	}
	if good.Dim(1) != 3 || (Affine{}).Dim(2) != 2 || (Pixels{}).Dim(2) != 2 {
		t.Error("units change the dimension wrongly")
	}
	for want, err := range map[string]error{
		"1 centres and 0 scales":       Affine{Center: []float64{1}}.Check(1),
		"they must be finite":          Affine{Center: []float64{math.NaN()}, Scale: []float64{1}}.Check(1),
		"the scale -1 of coordinate 2": Affine{Center: []float64{0, 0}, Scale: []float64{1, -1}}.Check(2),
		"0 lower and 1 upper bounds":   Box{Upper: []float64{1}, Center: []float64{0}}.Check(1),
		"coordinate 1 between 2 and 1": Box{Lower: []float64{2}, Upper: []float64{1}, Center: []float64{0}, Scale: []float64{1}}.Check(1),
		"the scale 0 of coordinate 1":  Box{Lower: []float64{0}, Upper: []float64{1}, Center: []float64{0}, Scale: []float64{0}}.Check(1),
		"α = 0.5":                      Pixels{Alpha: .5}.Check(1),
		"with 1 centres":               Pixels{Alpha: .1, Center: []float64{1}}.Check(2),
		"centres [NaN]":                Pixels{Alpha: .1, Center: []float64{math.NaN()}}.Check(1),
		"for points of 2 coordinates":  good.Check(2),
		"α = 0;":                       (&Principal{}).Check(1),
		"names of 1 columns":           Form{Columns: []string{"a"}}.Check(2),
		"2×3 pixels":                   Form{Height: 2, Width: 3}.Check(5),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if _, err := good.Data(batch.New(1, 2), nil); err == nil {
		t.Error("points of another dimension are not refused")
	}
	if _, err := good.LogVolume(batch.New(1, 1), blas32.General{}); err == nil || !strings.Contains(err.Error(), "takes the pictures themselves") {
		t.Errorf("a density of pictures without them: error %v", err)
	}
	box := Box{Lower: []float64{-1}, Upper: []float64{1}, Center: []float64{0}, Scale: []float64{1}}
	if _, err := box.Learning(blas32.General{Rows: 1, Cols: 1, Stride: 1, Data: []float32{1.01}}); err == nil || !strings.Contains(err.Error(), "it must be in [-1, 1]") {
		t.Errorf("a point beyond the side of a box: error %v", err)
	}
	if z, err := box.Learning(blas32.General{Rows: 2, Cols: 1, Stride: 1, Data: []float32{-1, 1}}); err != nil || !batch.AllFinite(z.Data) {
		t.Errorf("points on the sides of a box: %v, error %v", z.Data, err)
	}
	if name := (Form{}).Name(1); name != "x2" {
		t.Errorf("a nameless coordinate is called %s", name)
	}
}
