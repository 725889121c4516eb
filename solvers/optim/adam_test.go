package optim

import (
	std "cmp"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The bias correction gives the first step the length η, whatever the gradient.
func TestAdamFirstStep(t *testing.T) {
	w := Weight{Name: "w", Value: []float32{1, 1, 1}, Grad: []float32{1e-3, -7, 0}}
	info, err := Adam{LR: .25}.Step(&AdamState{}, []Weight{w})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{.75, 1.25, 1} {
		if math.Abs(float64(w.Value[i])-want) > 1e-5 {
			t.Errorf("entry %d is %g after one step, want %g", i, w.Value[i], want)
		}
	}
	if want := math.Hypot(1e-3, 7); math.Abs(info.GradNorm-want) > 1e-6 || info.LR != .25 || info.Clipped {
		t.Errorf("info is %+v, want the norm %g", info, want)
	}
}

// A hundred steps are compared with Algorithm 1 in float64.
func TestAdamAgainstFloat64(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		const n, steps = 5, 100
		opt := Adam{
			LR:       rapid.SampledFrom([]float64{0, .01, .1}).Draw(r, "lr"),
			Beta1:    rapid.SampledFrom([]float64{0, .5, .95}).Draw(r, "beta1"),
			Beta2:    rapid.SampledFrom([]float64{0, .9}).Draw(r, "beta2"),
			Eps:      rapid.SampledFrom([]float64{0, 1e-3}).Draw(r, "eps"),
			Clip:     rapid.SampledFrom([]float64{0, 1}).Draw(r, "clip"),
			Schedule: func(step int) float64 { return float64(steps-step) / steps },
		}
		rate := rapid.SampledFrom([]float64{0, .3}).Draw(r, "rate")
		projected := rapid.Bool().Draw(r, "projected")
		rng := random.New(rapid.Uint64().Draw(r, "seed"), "gradients", 0)

		w := Weight{Name: "w", Value: make([]float32, n), Grad: make([]float32, n), NonNegative: projected, Rate: rate}
		rng.Normals(w.Value)
		value, m, v := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range value {
			value[i] = float64(w.Value[i])
		}
		state := &AdamState{}
		for step := range steps {
			rng.Normals(w.Grad)
			g := make([]float64, n)
			var norm float64
			for i := range g {
				g[i] = float64(w.Grad[i])
				norm = math.Hypot(norm, g[i])
			}
			scale := 1.0
			if opt.Clip > 0 && norm > opt.Clip {
				scale = opt.Clip / norm
			}
			info, err := opt.Step(state, []Weight{w})
			if err != nil {
				r.Fatal(err)
			}
			if info.Clipped != (scale < 1) {
				r.Fatalf("step %d of norm %g: clipped is %t", step, norm, info.Clipped)
			}
			eta := std.Or(opt.LR, 1e-3) * opt.Schedule(step) * std.Or(rate, 1)
			b1, b2 := std.Or(opt.Beta1, .9), std.Or(opt.Beta2, .999)
			for i := range value {
				gi := g[i] * scale
				m[i] = b1*m[i] + (1-b1)*gi
				v[i] = b2*v[i] + (1-b2)*gi*gi
				mHat := m[i] / (1 - math.Pow(b1, float64(step+1)))
				vHat := v[i] / (1 - math.Pow(b2, float64(step+1)))
				value[i] -= eta * mHat / (math.Sqrt(vHat) + std.Or(opt.Eps, 1e-8))
				if projected {
					value[i] = max(value[i], 0)
				}
			}
		}
		for i := range value {
			if math.Abs(float64(w.Value[i])-value[i]) > 2e-4 {
				r.Fatalf("entry %d is %g after %d steps, in float64 %g", i, w.Value[i], steps, value[i])
			}
		}
	})
}

// Adam minimises ½Σ h_i(θ_i − a_i)² from 0; the projection is active where a_i < 0.
func TestAdamMinimisesAQuadratic(t *testing.T) {
	curvature, at := []float32{1, 10, 100, 1}, []float32{1, -2, .5, -3}
	w := Weight{Name: "w", Value: make([]float32, 4), Grad: make([]float32, 4), NonNegative: true}
	schedule, err := NewSchedule("cosine", 0, 1000, 0)
	if err != nil {
		t.Fatal(err)
	}
	opt, state := Adam{LR: .1, Schedule: schedule}, &AdamState{}
	for range 1000 {
		for i := range w.Grad {
			w.Grad[i] = curvature[i] * (w.Value[i] - at[i])
		}
		if _, err := opt.Step(state, []Weight{w}); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range at {
		if want := max(a, 0); math.Abs(float64(w.Value[i]-want)) > 1e-4 {
			t.Errorf("entry %d ends at %g, want %g", i, w.Value[i], want)
		}
	}
}

func TestAdamChangesNothingOnAnError(t *testing.T) {
	fresh := func() []Weight {
		return []Weight{
			{Name: "a", Value: []float32{1, 2}, Grad: []float32{3, 4}},
			{Name: "b", Value: []float32{5}, Grad: []float32{6}},
		}
	}
	state := &AdamState{}
	if _, err := (Adam{}).Step(state, fresh()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(o *Adam, w []Weight){
		"not finite":      func(_ *Adam, w []Weight) { w[1].Grad[0] = float32(math.NaN()) },
		"infinite":        func(_ *Adam, w []Weight) { w[1].Grad[0] = float32(math.Inf(-1)) },
		"name twice":      func(_ *Adam, w []Weight) { w[1].Name = "a" },
		"short gradient":  func(_ *Adam, w []Weight) { w[0].Grad = w[0].Grad[:1] },
		"other length":    func(_ *Adam, w []Weight) { w[1].Value, w[1].Grad = make([]float32, 3), make([]float32, 3) },
		"negative rate":   func(_ *Adam, w []Weight) { w[0].Rate = -1 },
		"beta out of 0–1": func(o *Adam, _ []Weight) { o.Beta2 = 1 },
	} {
		w, opt := fresh(), Adam{Clip: 1}
		spoil(&opt, w)
		want := AdamState{Steps: state.Steps, M: map[string][]float32{}, V: map[string][]float32{}}
		for _, name := range []string{"a", "b"} {
			want.M[name], want.V[name] = slices.Clone(state.M[name]), slices.Clone(state.V[name])
		}
		_, err := opt.Step(state, w)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if strings.Contains(name, "finite") != errors.Is(err, ErrNonFiniteGradient) || strings.Contains(name, "finite") && !strings.Contains(err.Error(), `"b"`) {
			t.Errorf("%s: the error is %v", name, err)
		}
		if diff := cmp.Diff(want, *state); diff != "" || !slices.Equal(w[0].Value, fresh()[0].Value) || w[0].Grad[0] != 3 {
			t.Errorf("%s: weights or state changed: %s", name, diff)
		}
	}
}

func TestSchedules(t *testing.T) {
	cosine, err := NewSchedule("cosine", .1, 110, 10)
	if err != nil {
		t.Fatal(err)
	}
	for step, want := range map[int]float64{0: 1. / 11, 9: 10. / 11, 10: 1, 60: .55, 110: .1, 5000: .1} {
		if got := cosine(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("cosine at step %d is %g, want %g", step, got, want)
		}
	}
	constant, err := NewSchedule("constant", 0, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if constant(0) != .5 || constant(12) != 1 {
		t.Errorf("the constant schedule is %g, then %g", constant(0), constant(12))
	}
	for _, c := range []struct {
		name          string
		fraction      float64
		total, warmUp int
		say           string
	}{
		{"cosin", .1, 10, 0, "constant and cosine"},
		{"cosine", 2, 10, 0, "fraction"},
		{"cosine", .1, 10, 10, "warm up"},
		{"constant", .1, 10, -1, "warm up"},
	} {
		if _, err := NewSchedule(c.name, c.fraction, c.total, c.warmUp); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%+v gave the error %v", c, err)
		}
	}
}

func TestAverage(t *testing.T) {
	w := []Weight{{Name: "w", Value: []float32{4, 8}}}
	a := &Average{Decay: .75}
	if err := a.Swap(w); err == nil {
		t.Error("swapped without an average")
	}
	for _, v := range []float32{4, 0, 0} {
		w[0].Value[0] = v
		if err := a.Update(w); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := a.Swap(w); err != nil {
			t.Fatal(err)
		}
		w[0].Value, a.Mean["w"] = a.Mean["w"], w[0].Value // the second swap must undo the first
	}
	if w[0].Value[0] != 0 || w[0].Value[1] != 8 || a.Mean["w"][0] != 2.25 || a.Mean["w"][1] != 8 {
		t.Errorf("weights %v and average %v, want [0 8] and [2.25 8]", w[0].Value, a.Mean["w"])
	}
}
