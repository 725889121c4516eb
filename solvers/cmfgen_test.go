package solvers

import (
	"math"
	"os/exec"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/exact"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

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
		for k, v := range batch.Row(x, i) {
			d := v - b.c[k]
			sum += b.s[k] * d * d / 2
			if grad.Data != nil {
				batch.Row(grad, i)[k] = b.s[k] * d
			}
		}
		if value != nil {
			value[i] = sum
		}
	}
	return nil
}

func (b *bowl) Inputs() []*Kind {
	return []*Kind{BatchData, BatchGibbs, BatchConjugate, BatchMask}
}

func (b *bowl) Weights() []optim.Weight {
	return []optim.Weight{{Name: "s", Value: b.s, Grad: b.gs, NonNegative: true}, {Name: "c", Value: b.c, Grad: b.gc}}
}

func (b *bowl) Gradient(in map[*Kind]blas32.General) (loss float64, terms map[string]float64, err error) {
	clear(b.gs)
	clear(b.gc)
	add := func(x blas32.General, weight func(i int) float32) {
		for i := range x.Rows {
			for k, v := range batch.Row(x, i) {
				d := v - b.c[k]
				b.gs[k] += weight(i) * d * d / 2
				b.gc[k] -= weight(i) * b.s[k] * d
				loss += float64(weight(i) * b.s[k] * d * d / 2)
			}
		}
	}
	x, mask := in[BatchData], in[BatchMask]
	add(x, func(int) float32 { return 1 / float32(x.Rows) })
	add(in[BatchConjugate], func(i int) float32 { return -mask.Data[i] })
	return loss, nil, nil
}

// law draws minibatches of a Gaussian.
type law struct {
	g   *exact.Gaussian
	rng *random.Stream
}

func (l law) Next(dst blas32.General) error {
	batch.Copy(dst, l.g.Sample(dst.Rows, l.rng))
	return nil
}

// fit learns a bowl on ℝ³ from a Gaussian by CMFGen. Its noise is the given potential,
// or the bowl itself where that is nil.
func (b *bowl) fit(t *testing.T, g *exact.Gaussian, noise potential.Potential, seed uint64) *CMFGenState {
	t.Helper()
	rng := random.New(seed, "test", 0)
	start := exact.StandardGaussian(3).Sample(512, rng)
	state, err := NewCMFGenState(start, start, 128, rng)
	if err != nil {
		t.Fatal(err)
	}
	schedule, err := optim.NewSchedule("cosine", .01, 1500, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &CMFGen{
		Potential: b, Noise: noise, Objective: b, Data: law{g, random.New(seed, "data", 0)},
		Sampler: sampling.Langevin{Adjusted: true, Step: .5}, Conjugate: &conjugate.BarzilaiBorwein{},
		Adam: optim.Adam{LR: .01, Schedule: schedule}, State: state,
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
	return state
}

// CMFGen finds the conjugate moment potential of a Gaussian, even where the plain fixed
// point diverges (variances 4 and 9) and where ρ is off centre.
func TestCMFGenOnGaussian(t *testing.T) {
	g, err := exact.NewGaussian([]float64{2, 0, -1}, mat.NewSymDense(3, []float64{4, 0, 0, 0, .25, 0, 0, 0, 9}))
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(3) {
		b := newBowl(3)
		state := b.fit(t, g, nil, seed)
		// The bank keeps each particle with its conjugate, which was solved a step ago.
		for i := range 512 {
			for k, x := range batch.Row(state.Partners, i) {
				if y := state.Bank.Y.Data[3*i+k]; math.Abs(float64(b.s[k]*(x-b.c[k])-y)) > .05 {
					t.Fatalf("seed %d: particle %d has ∇w = %v at its partner along axis %d, not %v", seed, i, b.s[k]*(x-b.c[k]), k, y)
				}
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
	y := batch.New(10, 2)
	for refresh, other := range map[int]blas32.General{3: y, 0: y, 20: y, 5: batch.New(10, 3)} {
		if _, err := NewCMFGenState(y, other, refresh, random.New(1, "", 0)); err == nil {
			t.Errorf("refresh %d with partners of %d columns gives no error", refresh, other.Cols)
		}
	}
}

// The algorithms work without expression graphs.
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

// If each transport problem is solved to convergence before y is renewed, this is the
// plain fixed point: for N(m, 4I) the mean of 𝔓_w alternates about the truth and runs
// away, as c ← m − c/s does when 1/s > 1. A single weight step between renewals damps
// it.
func TestRareRenewalOscillates(t *testing.T) {
	g, err := exact.NewGaussian([]float64{1}, mat.NewSymDense(1, []float64{4}))
	if err != nil {
		t.Fatal(err)
	}
	truth := g.Center()[0]
	means := func(inner, renewals int) []float64 {
		b := newBowl(1)
		rng := random.New(1, "renewal", 0)
		x := g.Sample(4096, rng)
		y, xhat, mask := batch.New(4096, 1), batch.New(4096, 1), batch.New(4096, 1)
		for i := range mask.Data {
			mask.Data[i] = 1. / 4096
		}
		var state optim.AdamState
		var c []float64
		for range renewals {
			rng.Normals(y.Data) // the Gibbs factor of a bowl is N(c, 1/s)
			for i, z := range y.Data {
				y.Data[i] = b.c[0] + z/float32(math.Sqrt(float64(b.s[0])))
			}
			for range inner {
				for i, v := range y.Data {
					xhat.Data[i] = b.c[0] + v/b.s[0]
				}
				if _, _, err := b.Gradient(map[*Kind]blas32.General{BatchData: x, BatchConjugate: xhat, BatchMask: mask}); err != nil {
					t.Fatal(err)
				}
				if _, err := (optim.Adam{LR: .02}).Step(&state, b.Weights()); err != nil {
					t.Fatal(err)
				}
			}
			c = append(c, float64(b.c[0]))
		}
		return c
	}
	damped := means(1, 1200)
	for _, c := range damped[600:] {
		if math.Abs(c-truth) > .15 {
			t.Errorf("renewed at every step: the mean is %.3f, the truth %.3f", c, truth)
			break
		}
	}
	rare := means(400, 8)
	t.Logf("truth %.3f; renewed every 400 steps: %.3f; at every step, last: %.3f", truth, rare, damped[len(damped)-1])
	for k := 1; k < len(rare); k++ {
		if (rare[k]-truth)*(rare[k-1]-truth) > 0 {
			t.Errorf("renewed every 400 steps the mean does not alternate: %.3f", rare)
			break
		}
	}
	if last := len(rare) - 1; math.Abs(rare[last]-truth) < 3*math.Abs(rare[0]-truth) {
		t.Errorf("renewed every 400 steps the mean does not run away: %.3f", rare)
	}
}
