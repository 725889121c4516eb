package solvers

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// slopedBowl is w(x; c) = ½s(x − m − k·c)² + a·c on the line, with its dual loss. For x = 2 +
// 3c + N(0, 8) the truth is s = ½, m = 2/3, k = 1; a cancels in the loss.
type slopedBowl struct {
	theta, grad [4]float32 // s, m, k, a
	context     *Kind
	given       blas32.General
}

func newSlopedBowl() *slopedBowl {
	return &slopedBowl{theta: [4]float32{1, 0, 0, 0}, context: ContextsOf(1)}
}

func (b *slopedBowl) Dim() int      { return 1 }
func (b *slopedBowl) Contexts() int { return 1 }

func (b *slopedBowl) Given(c blas32.General) (potential.Rowwise, error) {
	return &slopedBowl{theta: b.theta, given: c}, nil
}

func (b *slopedBowl) Of(rows []int) potential.Rowwise {
	return &slopedBowl{theta: b.theta, given: batch.Gathered(b.given, rows)}
}

func (b *slopedBowl) at(x, c float32) (value, delta float32) {
	delta = x - b.theta[1] - b.theta[2]*c
	return b.theta[0]*delta*delta/2 + b.theta[3]*c, delta
}

func (b *slopedBowl) Eval(x blas32.General, value []float32, grad blas32.General) error {
	if x.Rows != b.given.Rows {
		return fmt.Errorf("%d points with %d contexts", x.Rows, b.given.Rows)
	}
	for i := range x.Rows {
		v, delta := b.at(batch.Row(x, i)[0], batch.Row(b.given, i)[0])
		if value != nil {
			value[i] = v
		}
		if grad.Data != nil {
			batch.Row(grad, i)[0] = b.theta[0] * delta
		}
	}
	return nil
}

func (b *slopedBowl) HessVec(_, v, hv blas32.General) error {
	for i := range v.Rows {
		batch.Row(hv, i)[0] = max(b.theta[0], .01) * batch.Row(v, i)[0]
	}
	return nil
}

func (b *slopedBowl) Inputs() []*Kind {
	return []*Kind{BatchData, BatchConjugate, BatchMask, b.context}
}

func (b *slopedBowl) Weights() []optim.Weight {
	return []optim.Weight{{Name: "s", Value: b.theta[:1], Grad: b.grad[:1], NonNegative: true}, {Name: "rest", Value: b.theta[1:], Grad: b.grad[1:]}}
}

func (b *slopedBowl) Gradient(in map[*Kind]blas32.General) (loss float64, terms map[string]float64, err error) {
	clear(b.grad[:])
	x, xhat, mask, c := in[BatchData], in[BatchConjugate], in[BatchMask], in[b.context]
	add := func(x, c, weight float32) {
		value, delta := b.at(x, c)
		loss += float64(weight * value)
		for i, v := range []float32{delta * delta / 2, -b.theta[0] * delta, -b.theta[0] * delta * c, c} {
			b.grad[i] += weight * v
		}
	}
	for i := range x.Rows {
		add(x.Data[i], c.Data[i], 1/float32(x.Rows))
		add(xhat.Data[i], c.Data[i], -mask.Data[i])
	}
	return loss, nil, nil
}

// sloped draws rows (x, c).
type sloped struct{ rng *random.Stream }

func (l sloped) Next(dst blas32.General) error {
	for i := range dst.Rows {
		c := l.rng.NormFloat64()
		batch.Row(dst, i)[0], batch.Row(dst, i)[1] = float32(2+3*c+math.Sqrt(8)*l.rng.NormFloat64()), float32(c)
	}
	return nil
}

// CMFGen finds the potential of every context, wherever particles take fresh rows, and what
// depends on the context alone stays where it is.
func TestCMFGenWithContexts(t *testing.T) {
	for _, visits := range []int{1, 2, 7, 1000} {
		rng := random.New(1, "test", 0)
		data := sloped{random.New(1, "data", 0)}
		rows := batch.New(2048, 2)
		if err := data.Next(rows); err != nil {
			t.Fatal(err)
		}
		points, contexts, y := columns(rows, 0, 1), columns(rows, 1, 2), batch.New(2048, 1)
		rng.Normals(y.Data)
		state, err := NewConditionalState(points, contexts, y, y, 128, rng)
		if err != nil {
			t.Fatal(err)
		}
		schedule, err := optim.NewSchedule("cosine", .01, 1500, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := newSlopedBowl()
		c := &CMFGen{
			Conditional: b, Objective: b, Data: data, Visits: visits,
			Sampler: sampling.Langevin{Adjusted: true, Step: .5}, Conjugate: &conjugate.NewtonCG{},
			Adam: optim.Adam{LR: .01, Schedule: schedule}, State: state,
		}
		for range 1500 {
			if _, err := c.Step(); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range []float64{.5, 2. / 3, 1, 0} {
			if got := float64(b.theta[i]); math.Abs(got-want) > .08 {
				t.Errorf("%d visits: weight %d is %.3f; want %.3f", visits, i, got, want)
			}
		}
		if math.Abs(float64(b.theta[3])) > 1e-2 {
			t.Errorf("%d visits: the part of the context alone moved to %g", visits, b.theta[3])
		}
	}
}

func TestConditionalStateRefuses(t *testing.T) {
	x, rng := batch.New(8, 1), random.New(1, "test", 0)
	for want, err := range map[string]error{
		"shape (4, 1), their particles has (8, 1)": errorOf(NewConditionalState(batch.New(4, 1), x, x, x, 4, rng)),
		"contexts of shape (4, 2)":                 errorOf(NewConditionalState(x, batch.New(4, 2), x, x, 4, rng)),
		"one column or more":                       errorOf(NewConditionalState(x, batch.New(8, 0), x, x, 4, rng)),
		"minibatches of 3":                         errorOf(NewConditionalState(x, x, x, x, 3, rng)),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
	state, err := NewCMFGenState(x, x, 4, rng)
	if err != nil {
		t.Fatal(err)
	}
	b := newSlopedBowl()
	c := &CMFGen{Conditional: b, Objective: b, Data: sloped{rng}, Conjugate: &conjugate.BarzilaiBorwein{}, State: state}
	if _, err := c.Step(); err == nil || errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "NewConditionalState") {
		t.Errorf("a state without contexts: error %v", err)
	}
	for name, columns := range map[string]int{"two contexts for one": 2, "particles that stay": 1} {
		if state, err = NewConditionalState(x, batch.New(8, columns), x, x, 4, rng); err != nil {
			t.Fatal(err)
		}
		c.State, c.Still = state, columns == 1
		if _, err := c.Step(); err == nil || !strings.Contains(err.Error(), "contexts of its size, and particles that move") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }
