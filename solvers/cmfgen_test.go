package solvers

import (
	"math"
	"os/exec"
	"strings"
	"testing"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// bowl is w(x) = ½Σ s_k(x_k − c_k)² with trained s and c, and its dual loss: the
// smallest case of the whole loop, with the truth s = λ^{-1/3}, c = m/(1+λ^{1/3}).
type bowl struct {
	s, c   []float32
	gs, gc []float32
}

func newBowl(d int) *bowl {
	b := &bowl{make([]float32, d), make([]float32, d), make([]float32, d), make([]float32, d)}
	for i := range b.s {
		b.s[i] = 1
	}
	return b
}

func (b *bowl) Dim() int { return len(b.s) }

func (b *bowl) Eval(x blas32.General, value []float32, grad blas32.General) error {
	for i := range x.Rows {
		var sum float32
		for k, v := range row(x, i) {
			d := v - b.c[k]
			sum += b.s[k] * d * d / 2
			if grad.Data != nil {
				row(grad, i)[k] = b.s[k] * d
			}
		}
		if value != nil {
			value[i] = sum
		}
	}
	return nil
}

func (b *bowl) Inputs() []string {
	return []string{batchData, batchGibbs, batchConjugate, batchMask}
}

func (b *bowl) Weights() []Weight {
	return []Weight{{Name: "s", Value: b.s, Grad: b.gs, NonNegative: true}, {Name: "c", Value: b.c, Grad: b.gc}}
}

func (b *bowl) Gradient(in map[string]blas32.General) (loss float64, terms map[string]float64, err error) {
	clear(b.gs)
	clear(b.gc)
	add := func(x blas32.General, weight func(i int) float32) {
		for i := range x.Rows {
			for k, v := range row(x, i) {
				d := v - b.c[k]
				b.gs[k] += weight(i) * d * d / 2
				b.gc[k] -= weight(i) * b.s[k] * d
				loss += float64(weight(i) * b.s[k] * d * d / 2)
			}
		}
	}
	x, mask := in[batchData], in[batchMask]
	add(x, func(int) float32 { return 1 / float32(x.Rows) })
	add(in[batchConjugate], func(i int) float32 { return -mask.Data[i] })
	return loss, nil, nil
}

// law draws minibatches of a Gaussian.
type law struct {
	g   *Gaussian
	rng *Stream
}

func (l law) Next(dst blas32.General) error {
	copyInto(dst, l.g.Sample(dst.Rows, l.rng))
	return nil
}

// CMFGen finds the conjugate moment potential of a Gaussian, also where the
// plain fixed point diverges (variance 4 and 9) and where ρ is off centre.
func TestCMFGenOnGaussian(t *testing.T) {
	g, err := NewGaussian([]float64{2, 0, -1}, mat.NewSymDense(3, []float64{4, 0, 0, 0, .25, 0, 0, 0, 9}))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(3) {
		b := newBowl(3)
		rng := NewStream(seed, "test", 0)
		start := StandardGaussian(3).Sample(512, rng)
		state, err := NewCMFGenState(start, start, 128, rng)
		if err != nil {
			t.Fatal(err)
		}
		schedule, err := NewSchedule("cosine", .01, 1500, 0)
		if err != nil {
			t.Fatal(err)
		}
		c := &CMFGen{
			Potential: b, Objective: b, Data: law{g, NewStream(seed, "data", 0)},
			Sampler: Langevin{Adjusted: true, Step: .5}, Conjugate: &BarzilaiBorwein{},
			Adam: Adam{LR: .01, Schedule: schedule}, State: state,
			MeanHessian: func(blas32.General) (*mat.SymDense, error) {
				h := mat.NewSymDense(3, nil)
				for k, v := range b.s {
					h.SetSym(k, k, math.Max(float64(v), .01))
				}
				return h, nil
			},
		}
		for range 1500 {
			if _, err := c.Step(); err != nil {
				t.Fatal(err)
			}
		}
		var uvp, variance float64
		center := g.Center()
		for k := range 3 {
			v := g.Power(1).At(k, k)
			truth := math.Pow(v, -1./3)
			slope := float64(b.s[k])
			offset := slope*(g.Mean[k]-float64(b.c[k])) - truth*(g.Mean[k]-center[k])
			uvp += (slope-truth)*(slope-truth)*v + offset*offset
			variance += math.Cbrt(v)
		}
		if uvp = 100 * uvp / variance; uvp > .5 {
			t.Errorf("seed %d: UVP %.3f %%; s = %v, c = %v (truth %v)", seed, uvp, b.s, b.c, center)
		}
	}
}

func TestCMFGenRefusesBadState(t *testing.T) {
	y := newBatch(10, 2)
	for refresh, other := range map[int]blas32.General{3: y, 0: y, 20: y, 5: newBatch(10, 3)} {
		if _, err := NewCMFGenState(y, other, refresh, NewStream(1, "", 0)); err == nil {
			t.Errorf("refresh %d with partners of %d columns gives no error", refresh, other.Cols)
		}
	}
}

// The numerics stand without expression graphs.
func TestImportsNoGraph(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "cmf/solvers", "cmf/data").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		if strings.HasPrefix(dep, "gorgonia.org/") || dep == "cmf/graph" || dep == "cmf/layers" || dep == "cmf/losses" {
			t.Errorf("solvers or data depend on %s", dep)
		}
	}
}
