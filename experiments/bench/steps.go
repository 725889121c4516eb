package main

import (
	"context"
	"math"

	"cmf/graph"
	"cmf/graph/kernel"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/optim"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// bench is a potential and two batches of points at which steps are timed.
type bench struct {
	w         layers.Network
	evaluator *layers.Evaluator
	x, y      blas32.General
	stream    *random.Stream
	adam      optim.Adam
	state     optim.AdamState
}

// benchCurvature is the curvature of the quadratic of all cases, ¼|x|².
const benchCurvature = .5

func (s benchSize) architecture() layers.Architecture {
	if s.pieces > 0 {
		return layers.Architecture{Family: layers.NetworkQuadratics, Dim: s.d, Pieces: s.pieces, Rank: s.rank, Tau: s.tau}
	}
	a := layers.Architecture{Dim: s.d, Hidden: s.hidden, Unit: s.unit}
	side := int(math.Sqrt(float64(s.d)))
	for _, filters := range s.filters {
		a.Picture = [3]int{side, side, 1}
		a.Convolutions = append(a.Convolutions, layers.Convolution{Filters: filters, Size: 4, Stride: 2, Padding: 1})
	}
	return a
}

// network is an ICNN of the size; all weights except its quadratic are zero.
func (s benchSize) network() (*layers.ICNN, error) {
	w, err := layers.NewICNN(s.architecture())
	if err != nil {
		return nil, err
	}
	w.Floor.Fill(func(int) float64 { return benchCurvature })
	w.Share.Frozen = true // at 0
	return w, nil
}

// random has random weights, and points of N(0, I).
func (s benchSize) random() (*bench, error) {
	w, err := s.network()
	if err != nil {
		return nil, err
	}
	stream := random.New(1, "bench", 0)
	random := func(p *graph.Param, scale float64, positive bool) {
		p.Fill(func(int) float64 {
			v := scale * stream.NormFloat64()
			if positive {
				v = math.Abs(v)
			}
			return v
		})
	}
	for _, l := range w.Layers {
		for _, p := range l {
			random(p.Skip, 1/math.Sqrt(float64(p.Skip.Rows)), false)
			random(p.Bias, .1, false)
			if p.Weigh != nil {
				random(p.Weigh, 1/float64(p.Weigh.Rows), true)
			}
		}
	}
	random(w.Out, 1/float64(w.Out.Rows), true)
	random(w.Linear, .01, false)
	x, y := batch.New(s.n, s.d), batch.New(s.n, s.d)
	stream.Normals(x.Data)
	stream.Normals(y.Data)
	return newBenchAt(w, x, y)
}

// newBenchAt has the potential w at points x and y, (n, d) each.
func newBenchAt(w layers.Network, x, y blas32.General) (*bench, error) {
	evaluator, err := layers.NewEvaluator(w)
	return &bench{w: w, evaluator: evaluator, x: x, y: y, stream: random.New(1, "bench", 1), adam: optim.Adam{LR: 1e-4}}, err
}

// grad is ∇w at the whole batch.
func (b *bench) grad() (func() error, error) {
	g := batch.New(b.x.Rows, b.x.Cols)
	return func() error { return b.evaluator.Eval(b.x, nil, g) }, nil
}

// values are w and ∇w at the whole batch, or φ and ∇φ where the network is φ = w*.
func (b *bench) values() (func() error, error) {
	v, g := make([]float32, b.x.Rows), batch.New(b.x.Rows, b.x.Cols)
	if b.evaluator.Explicit() {
		return func() error { return b.evaluator.EvalConjugate(b.y, v, g) }, nil
	}
	return func() error { return b.evaluator.Eval(b.x, v, g) }, nil
}

// dual is a step of Adam on mean w(x) − mean w(x̂), with y in place of x̂. Where the
// network is φ = w*, it is one on mean w(x) + mean φ(y).
func (b *bench) dual() (func() error, error) {
	return b.train(losses.Dual{}, map[*solvers.Kind]blas32.General{
		solvers.BatchData: b.x, solvers.BatchGibbs: b.y, solvers.BatchConjugate: b.y, solvers.BatchMask: b.mask(),
	})
}

// pairs is a step of Adam on mean |∇w(x) − y|².
func (b *bench) pairs() (func() error, error) {
	return b.train(losses.Pairs{}, map[*solvers.Kind]blas32.General{solvers.BatchData: b.x, solvers.BatchPaired: b.y})
}

// logdet is a step of Adam on Var[½|x|² − w(∇w(x)) + log det ∇²w(x)].
func (b *bench) logdet() (func() error, error) {
	return b.train(logDetVariance{}, map[*solvers.Kind]blas32.General{solvers.BatchData: b.x})
}

// outer has the work of an iteration of CMFGen: ten Langevin steps, ten plain
// gradient steps of the conjugate solve, for every row, and a dual step.
func (b *bench) outer() (func() error, error) {
	chains, err := sampling.NewChains(b.y)
	if err != nil {
		return nil, err
	}
	langevin := sampling.Langevin{Step: 1e-3, MaxCurvature: 1}
	xhat, g := batch.New(b.x.Rows, b.x.Cols), batch.New(b.x.Rows, b.x.Cols)
	batches := map[*solvers.Kind]blas32.General{solvers.BatchData: b.x, solvers.BatchConjugate: xhat, solvers.BatchMask: b.mask()}
	dual, err := b.train(losses.Dual{}, batches)
	return func() error {
		chains.Fresh = false
		if _, err := langevin.Run(context.Background(), b.evaluator, chains, 10, b.stream); err != nil {
			return err
		}
		copy(xhat.Data, b.x.Data)
		for range 10 {
			if err := b.evaluator.Eval(xhat, nil, g); err != nil {
				return err
			}
			kernel.Sub(g.Data, chains.Y.Data, g.Data)
			kernel.Axpy(xhat.Data, .1, g.Data)
		}
		batches[solvers.BatchGibbs] = chains.Y
		return dual()
	}, err
}

// train is a step of Adam on a term; the given batches are read at every step.
func (b *bench) train(term losses.Term, batches map[*solvers.Kind]blas32.General) (func() error, error) {
	program, trained, err := losses.Compile(b.w, losses.Sum{{Factor: 1, Term: term}}, b.x.Rows)
	if err != nil {
		return nil, err
	}
	var weights []optim.Weight
	for _, p := range trained {
		weights = append(weights, optim.Weight{
			Name: p.Name, Value: p.Float32s(), Grad: program.Out("gradient " + p.Name).F32, NonNegative: p.NonNegative,
		})
	}
	return func() error {
		for kind, batch := range batches {
			copy(program.In(kind.Name).F32, batch.Data)
		}
		if err := program.Run(); err != nil {
			return err
		}
		_, err := b.adam.Step(&b.state, weights)
		return err
	}, nil
}

// mask gives all rows of a batch equal weights.
func (b *bench) mask() blas32.General {
	m := batch.New(b.x.Rows, 1)
	for i := range m.Data {
		m.Data[i] = 1 / float32(m.Rows)
	}
	return m
}

// logDetVariance is Var_i[E(x_i) − w(∇w(x_i)) + log det ∇²w(x_i)] with E = ½|x|². It is zero if
// the image of 𝔓_w under ∇w* is proportional to e^{−E}.
type logDetVariance struct{}

func (logDetVariance) Name() string { return "logdet" }

func (logDetVariance) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData} }

func (logDetVariance) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	x := batch(solvers.BatchData)
	n := x.Shape()[0]
	r := s.Scale(.5, s.SumCols(s.Square(x)))
	r = s.Sub(r, w.Value(s, w.Gradient(s, x)))
	r = s.Add(r, s.LogDet(w.Dim(), layers.Hessian(s, w, x)))
	return s.Scale(1/float64(n-1), s.Sum(s.Square(s.Sub(r, s.Mean(r)))))
}
