package units

import (
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

var transforms = map[string]Logit{
	"logit":        Logit{},
	"scaled logit": Logit{Alpha: 1e-3, Scale: .3},
}

func TestLogitClosedForm(t *testing.T) {
	pixels := blas32.General{Rows: 1, Cols: 3, Stride: 3, Data: []float32{0, .5, 1}}
	dst := batch.New(1, 3)
	if err := (Logit{Scale: 2}).Forward(dst, pixels, nil); err != nil {
		t.Fatal(err)
	}
	// 2·logit(.95) = 2·log 19.
	for k, want := range []float64{-2 * math.Log(19), 0, 2 * math.Log(19)} {
		if math.Abs(float64(dst.Data[k])-want) > 1e-6 {
			t.Errorf("pixel %v goes to %v, want %v", pixels.Data[k], dst.Data[k], want)
		}
	}
}

func TestTransformRoundTrip(t *testing.T) {
	for name, transform := range transforms {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				pixels := blas32.General{Rows: 2, Cols: 3, Stride: 4, Data: rapid.SliceOfN(rapid.Float32Range(0, 1), 8, 8).Draw(t, "pixels")}
				x := batch.New(2, 3)
				if err := transform.Forward(x, pixels, nil); err != nil {
					t.Fatal(err)
				}
				if err := transform.Inverse(x, x); err != nil {
					t.Fatal(err)
				}
				for i := range 2 {
					for k := range 3 {
						if d := math.Abs(float64(batch.Row(x, i)[k] - batch.Row(pixels, i)[k])); d > 1e-6 {
							t.Fatalf("pixel %v comes back as %v", batch.Row(pixels, i)[k], batch.Row(x, i)[k])
						}
					}
				}
			})
		})
	}
}

func TestInverseClips(t *testing.T) {
	for name, transform := range transforms {
		x := blas32.General{Rows: 1, Cols: 4, Stride: 4, Data: []float32{-1e9, -30, 30, 1e9}}
		if err := transform.Inverse(x, x); err != nil {
			t.Fatal(err)
		}
		for k, want := range []float32{0, 0, 1, 1} {
			if x.Data[k] != want {
				t.Errorf("%s: value %d comes back as %v, want %v", name, k, x.Data[k], want)
			}
		}
	}
}

// Dequantised pixels are uniform within their grey level's 256th.
func TestDequantisation(t *testing.T) {
	pixels := batch.New(1, 2000)
	for k := range pixels.Data {
		pixels.Data[k] = float32(k%256) / 255
	}
	noisy := batch.New(1, 2000)
	err := Logit{}.Forward(noisy, pixels, random.New(1, "levels", 0))
	if err == nil {
		err = Logit{}.Inverse(noisy, noisy)
	}
	if err != nil {
		t.Fatal(err)
	}
	var mean float64
	for k, v := range noisy.Data {
		u := 256*float64(v) - float64(k%256)
		if u < -1e-4 || u > 1+1e-4 {
			t.Fatalf("grey level %d becomes %v/256", k%256, 256*v)
		}
		mean += u / 2000
	}
	if math.Abs(mean-.5) > .03 {
		t.Errorf("the noise has mean %.3f, want ½", mean)
	}
}

func TestLogDetJacobianByFiniteDifferences(t *testing.T) {
	const h = 1. / 1024
	for name, transform := range transforms {
		pixels := blas32.General{Rows: 2, Cols: 3, Stride: 3, Data: []float32{.0625, .5, .75, .25, .25, .9375}}
		x, low, high := batch.New(2, 3), batch.New(2, 3), batch.New(2, 3)
		for k, v := range pixels.Data {
			low.Data[k], high.Data[k] = v-h, v+h
		}
		for _, m := range []struct{ dst, src blas32.General }{{x, pixels}, {low, low}, {high, high}} {
			if err := transform.Forward(m.dst, m.src, nil); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]float64, 2)
		if err := transform.LogDetJacobian(got, x); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			var want float64
			for k := range 3 {
				want += math.Log((float64(batch.Row(high, i)[k]) - float64(batch.Row(low, i)[k])) / (2 * h))
			}
			if math.Abs(got[i]-want) > 1e-3 {
				t.Errorf("%s: row %d has log det %v, differences give %v", name, i, got[i], want)
			}
		}
	}
}

func TestTransformRefuses(t *testing.T) {
	good := batch.New(2, 3)
	bad := batch.New(2, 3)
	bad.Data[4] = 1.5
	nan := batch.New(2, 3)
	nan.Data[0] = float32(math.NaN())
	short := good
	short.Data = short.Data[:4]
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"pixel":      {Logit{}.Forward(good, bad, nil), "row 1, column 1 is 1.5; it must be in [0, 1]"},
		"NaN":        {Logit{}.Forward(good, nan, nil), "row 0, column 0 is NaN"},
		"shape":      {Logit{}.Forward(batch.New(2, 2), good, nil), "dst has shape (2, 2), pixels has (2, 3)"},
		"short data": {Logit{}.Inverse(good, short), "x: 4 values; the shape (2, 3) with stride 3 needs 6"},
		"stride":     {Logit{}.Inverse(blas32.General{Rows: 2, Cols: 3}, good), "dst: the stride is 0"},
		"alpha":      {Logit{Alpha: .5}.Forward(good, good, nil), "Alpha is 0.5; it must be in (0, 0.5)"},
		"scale":      {Logit{Scale: -1}.Inverse(good, good), "Scale is -1; it must be positive"},
		"log det":    {Logit{}.LogDetJacobian(make([]float64, 3), good), "dst has length 3; x has 2 rows"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", name, c.err, c.want)
		}
	}
}
