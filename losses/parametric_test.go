package losses

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/solvers"
	"cmf/solvers/optim"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/tensor"
)

// h starts as the identity and is trained together with the potential; the guesses follow
// h.
func TestAmortised(t *testing.T) {
	const n, d = 16, 3
	m := potential(t, false)
	o, err := NewObjective(m, sum(t, "dual+amortised"), n)
	if err != nil {
		t.Fatal(err)
	}
	in := batches(sum(t, "dual+amortised"), n, d)
	y, x := in[solvers.BatchGibbs], blas32.General{Rows: n, Cols: d, Stride: d + 1, Data: make([]float32, n*(d+1))}
	guess := func() (distance float64) {
		if err := o.Guess()(y, x); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for j := range d {
				r := float64(x.Data[i*x.Stride+j] - in[solvers.BatchConjugate].Data[i*in[solvers.BatchConjugate].Stride+j])
				distance += r * r / n
			}
		}
		return distance
	}
	first := guess()
	for i := range n {
		for j := range d {
			if x.Data[i*x.Stride+j] != y.Data[i*y.Stride+j] {
				t.Fatalf("the first guess of the conjugate of row %d is not y", i)
			}
		}
	}
	var state optim.AdamState
	for range 150 {
		if _, _, err := o.Gradient(in); err != nil {
			t.Fatal(err)
		}
		if _, err := (optim.Adam{LR: 1e-2}).Step(&state, o.Weights()); err != nil {
			t.Fatal(err)
		}
	}
	_, terms, err := o.Gradient(in)
	if err != nil {
		t.Fatal(err)
	}
	last := guess()
	if math.Abs(last-terms["amortised"]) > 1e-5*first || last > .05*first {
		t.Errorf("the guesses are off by %g, then %g; the term says %g", first, last, terms["amortised"])
	}
	short := y
	short.Rows--
	if err := o.Guess()(short, x); err == nil || !strings.Contains(err.Error(), "(16, 3)") {
		t.Errorf("a batch of another shape: %v", err)
	}
	if o, err := NewObjective(m, sum(t, "dual"), n); err != nil || o.Guess() != nil {
		t.Errorf("dual predicts conjugates, error %v", err)
	}
	if _, err := NewObjective(m, sum(t, "amortised"), n); err == nil || !strings.Contains(err.Error(), "no weight of the potential") {
		t.Errorf("amortised alone: %v", err)
	}
}

// Two objectives of one sum have separate weights for its terms.
func TestTermsAreBoundOnce(t *testing.T) {
	sum := sum(t, "dual+amortised")
	var first []float32
	for k := range 2 {
		o, err := NewObjective(potential(t, false), sum, 4)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(o.Weights(), func(w optim.Weight) bool { return w.Name == "amortised.linear" })
		w := o.Weights()[i].Value
		if k == 0 {
			first = w
		} else if &first[0] == &w[0] || !slices.Equal(first, w) {
			t.Error("the weights of a term are shared, or start differently")
		}
	}
}

// A term without bound weights reports it.
func TestUnboundTerm(t *testing.T) {
	s := graph.NewScope(tensor.Float64)
	y := s.Input("y", 2, 3)
	if h := (Amortised{}).Predict(s, y); h != nil || s.Err == nil || !strings.Contains(s.Err.Error(), "Bind") {
		t.Errorf("a prediction without weights: error %v", s.Err)
	}
}
