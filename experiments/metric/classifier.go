package metric

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/optim"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// ClassifierAccuracy is the classifier two-sample test (C2ST): the accuracy at which a network
// that learned to tell rows of x from rows of y, both (n, d), does so on rows that it has not
// seen, over five folds. It is near 0.5 where both follow one law, and 1 where they are far
// apart. It is NaN where a row is not finite.
//
// Coordinates are standardised by x. The network has two hidden layers of 10·d rectified units,
// and learns by Adam at the rate 1e-3, in batches of 200, until its loss over a pass no longer
// falls by 1e-4 for ten passes: the definition of Lueckmann et al., "Benchmarking
// Simulation-Based Inference", AISTATS 2021, but for their penalty on weights of 1e-4/200.
//
// D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017.
//
// It needs 250 rows of each. The end of ctx is an error.
func ClassifierAccuracy(ctx context.Context, x, y blas32.General, rng *random.Stream) (accuracy float64, err error) {
	const folds, name = 5, "the classifier's accuracy"
	if err := checkPair(x, y, 250); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if x.Rows != y.Rows {
		return 0, fmt.Errorf("%s: x has %d rows and y %d; it needs as many of each", name, x.Rows, y.Rows)
	}
	if !batch.AllFinite(batch.Means(x)) || !batch.AllFinite(batch.Means(y)) {
		return math.NaN(), nil
	}
	z, order := standardised(x, y), rng.Perm(x.Rows+y.Rows)
	right := 0
	for k := range folds {
		lo, hi := k*len(order)/folds, (k+1)*len(order)/folds
		c, err := newClassifier(z.Cols, rng)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		seen := append(append([]int(nil), order[:lo]...), order[hi:]...)
		if err := c.learn(ctx, z, x.Rows, seen, rng); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		n, err := c.count(z, x.Rows, order[lo:hi])
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		right += n
	}
	return float64(right) / float64(len(order)), nil
}

// standardised are the rows of x and then those of y, with the means and deviations of x as
// origin and units. A coordinate that is constant in x keeps its unit.
func standardised(x, y blas32.General) blas32.General {
	mean, cov := batch.Moments(x)
	z := batch.Shifted(batch.Stacked(x, y), mean)
	for j := range mean {
		sd := float32(math.Sqrt(cov.At(j, j)))
		if sd == 0 {
			continue
		}
		for i := range z.Rows {
			batch.Row(z, i)[j] /= sd
		}
	}
	return z
}

// classifier is the logit of a row being of y, from two hidden layers of rectified units, with
// a batch of rows as the input x.
type classifier struct {
	params  *graph.Params
	loss    *graph.Program // the input y has the labels, 1 for y
	logits  *graph.Program
	weights []optim.Weight
}

const classified = 200 // rows in a batch

func newClassifier(d int, rng *random.Stream) (*classifier, error) {
	ps, err := graph.NewParams(tensor.Float32)
	if err != nil {
		return nil, err
	}
	c := &classifier{params: ps}
	sizes := []int{d, 10 * d, 10 * d, 1}
	for l, n := range sizes[1:] {
		bound := math.Sqrt(6 / float64(sizes[l]+n)) // Glorot's
		uniform := func(int) float64 { return bound * (2*rng.Float64() - 1) }
		ps.New(fmt.Sprintf("layer%d.weight", l), sizes[l], n).Fill(uniform)
		ps.New(fmt.Sprintf("layer%d.bias", l), 1, n).Fill(uniform)
	}
	s := graph.NewScope(tensor.Float32)
	if c.logits, err = s.Compile(map[string]*gorgonia.Node{"logits": c.declare(s, d)}); err != nil {
		return nil, err
	}
	s = graph.NewScope(tensor.Float32)
	a := c.declare(s, d)
	loss := s.Mean(s.Sub(s.Softplus(a), s.Mul(s.Input("y", classified, 1), a)))
	out := map[string]*gorgonia.Node{"loss": loss}
	for _, p := range ps.All() {
		out[p.Name] = s.Grad(loss, s.Param(p))[0]
	}
	if c.loss, err = s.Compile(out); err != nil {
		return nil, err
	}
	for _, p := range ps.All() {
		c.weights = append(c.weights, optim.Weight{Name: p.Name, Value: p.Float32s(), Grad: c.loss.Out(p.Name).F32})
	}
	return c, nil
}

// declare declares the logits of a batch of rows of d columns.
func (c *classifier) declare(s *graph.Scope, d int) *gorgonia.Node {
	h := s.Input("x", classified, d)
	for l := range 3 {
		if l > 0 {
			h = s.Relu(h)
		}
		weight, bias := c.params.ByName(fmt.Sprintf("layer%d.weight", l)), c.params.ByName(fmt.Sprintf("layer%d.bias", l))
		h = s.Add(s.Param(bias), s.MatMul(h, false, s.Param(weight), false))
	}
	return h
}

// learn trains on the given rows of z, of which those from first on are of y.
func (c *classifier) learn(ctx context.Context, z blas32.General, first int, rows []int, rng *random.Stream) error {
	const most, patience, least = 10_000, 10, 1e-4 // passes, passes without progress, progress
	var state optim.AdamState
	in, labels := c.loss.In("x").General(), c.loss.In("y").F32
	best, idle := math.Inf(1), 0
	for range most {
		if err := ctx.Err(); err != nil {
			return err
		}
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		var sum float64
		steps := len(rows) / classified
		for k := range steps {
			part := rows[k*classified:][:classified]
			batch.Gather(in, z, part)
			for i, r := range part {
				labels[i] = 0
				if r >= first {
					labels[i] = 1
				}
			}
			if err := c.loss.Run(); err != nil {
				return err
			}
			sum += c.loss.Out("loss").At(0, 0)
			if _, err := (optim.Adam{LR: 1e-3}).Step(&state, c.weights); err != nil {
				return err
			}
		}
		loss := sum / float64(steps)
		if idle++; loss <= best-least {
			idle = 0
		}
		if best = min(best, loss); idle > patience {
			return nil
		}
	}
	return errors.New("learning did not come to an end")
}

// count counts the given rows of z that are told rightly.
func (c *classifier) count(z blas32.General, first int, rows []int) (right int, err error) {
	in := c.logits.In("x").General()
	for lo := 0; lo < len(rows); lo += classified {
		part := rows[lo:min(lo+classified, len(rows))]
		batch.Gather(batch.First(in, len(part)), z, part)
		if err := c.logits.Run(); err != nil {
			return 0, err
		}
		for i, r := range part {
			if (c.logits.Out("logits").At(i, 0) > 0) == (r >= first) {
				right++
			}
		}
	}
	return right, nil
}
