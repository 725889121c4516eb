package experiments

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cmf/graph"
	"cmf/graph/kernel"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// benchSize is a potential's architecture and the size of its batches.
type benchSize struct {
	n, d   int
	hidden []int
}

// benchSizes are the sizes that a case may name, in order.
var benchSizes = []struct {
	name string
	benchSize
}{
	{"big", benchSize{256, 784, []int{512, 512, 512}}},
	{"small", benchSize{1024, 2, []int{64, 64, 64, 64}}},
	{"tiny", benchSize{16, 2, []int{16, 16}}},
}

// benchWork is one step of fitting, set up by bind and then run many times.
type benchWork struct {
	name  string
	plane bool // for d = 2 only
	bind  func(b *bench) (func() error, error)

	// products is the number of multiply–adds in matrix products, of a forward
	// pass f, of which skip from the inputs and deep between hidden layers.
	products func(f, skip, deep float64) float64
}

var benchWorks = []benchWork{
	{
		name:     "grad",
		bind:     (*bench).grad,
		products: func(f, _, _ float64) float64 { return 2 * f },
	},
	{
		name:     "dual",
		bind:     (*bench).dual,
		products: func(f, _, deep float64) float64 { return 4*f + 2*deep },
	},
	{
		name:     "pairs",
		bind:     (*bench).pairs,
		products: func(f, skip, _ float64) float64 { return 6*f - skip },
	},
	{
		name: "logdet", plane: true,
		bind:     (*bench).logdet,
		products: func(f, skip, _ float64) float64 { return 21*f - 3*skip },
	},
	{
		name:     "outer",
		bind:     (*bench).outer,
		products: func(f, _, deep float64) float64 { return 46*f + 2*deep },
	},
}

// caseList is a list of cases, written big/grad,small.
type caseList []string

// Decode reads cases, for envconfig: SIZE/WORK, SIZE for all its works, or all.
func (c *caseList) Decode(list string) error {
	*c = nil
	known := knownCases()
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		found := false
		for _, name := range known {
			if item == "all" || item == name || strings.HasPrefix(name, item+"/") {
				*c, found = append(*c, name), true
			}
		}
		if !found {
			return fmt.Errorf("unknown case %q; known are all, the sizes big, small and tiny, and %s", item, strings.Join(known, ", "))
		}
	}
	return nil
}

// String writes cases as Decode reads them.
func (c caseList) String() string {
	if slices.Equal(c, knownCases()) {
		return "all"
	}
	return strings.Join(c, ",")
}

func knownCases() []string {
	var names []string
	for _, s := range benchSizes {
		for _, w := range benchWorks {
			if !w.plane || s.d == 2 {
				names = append(names, s.name+"/"+w.name)
			}
		}
	}
	return names
}

// newCase is the step that a case names and its multiply–adds.
func newCase(name string) (step func() error, products float64, err error) {
	size, work, _ := strings.Cut(name, "/")
	for _, s := range benchSizes {
		for _, w := range benchWorks {
			if s.name == size && w.name == work {
				return s.newStep(w)
			}
		}
	}
	return nil, 0, fmt.Errorf("unknown case %q; known are %s", name, strings.Join(knownCases(), ", "))
}

func (s benchSize) newStep(w benchWork) (step func() error, products float64, err error) {
	b, err := newBench(s)
	if err != nil {
		return nil, 0, err
	}
	if step, err = w.bind(b); err != nil {
		return nil, 0, err
	}
	var skip, deep float64
	for l, h := range s.hidden {
		skip += float64(s.n * s.d * h)
		if l > 0 {
			deep += float64(s.n * s.hidden[l-1] * h)
		}
	}
	last := float64(s.n * s.hidden[len(s.hidden)-1])
	return step, w.products(skip+deep+last, skip, deep), nil
}

// bench is a potential with random weights and two batches of normal points.
type bench struct {
	w         *layers.ICNN
	evaluator *layers.Evaluator
	x, y      blas32.General
	stream    *solvers.Stream
	adam      solvers.Adam
	state     solvers.AdamState
}

func newBench(s benchSize) (*bench, error) {
	w, err := layers.NewICNN(layers.Architecture{Dim: s.d, Hidden: s.hidden})
	if err != nil {
		return nil, err
	}
	b := &bench{w: w, stream: solvers.NewStream(1, "bench", 0), adam: solvers.Adam{LR: 1e-4}}
	random := func(p *graph.Param, scale float64, positive bool) {
		p.Fill(func(int) float64 {
			v := scale * b.stream.NormFloat64()
			if positive {
				v = math.Abs(v)
			}
			return v
		})
	}
	for _, l := range w.Layers {
		random(l.Skip, 1/math.Sqrt(float64(s.d)), false)
		random(l.Bias, .1, false)
		if l.Weigh != nil {
			random(l.Weigh, 1/float64(l.Weigh.Rows), true)
		}
	}
	random(w.Out, 1/float64(w.Out.Rows), true)
	random(w.Linear, .01, false)
	w.Floor.Fill(func(int) float64 { return .5 })
	w.Share.Frozen = true // ¼|x|² is all of the quadratic
	if b.evaluator, err = layers.NewEvaluator(w); err != nil {
		return nil, err
	}
	b.x, b.y = newBatch(s.n, s.d), newBatch(s.n, s.d)
	b.stream.Normals(b.x.Data)
	b.stream.Normals(b.y.Data)
	return b, nil
}

// grad is ∇w at the whole batch.
func (b *bench) grad() (func() error, error) {
	g := newBatch(b.x.Rows, b.x.Cols)
	return func() error { return b.evaluator.Eval(b.x, nil, g) }, nil
}

// dual is a step of Adam on mean w(x) − mean w(x̂), with y for x̂.
func (b *bench) dual() (func() error, error) {
	return b.train(losses.Dual{}, map[string]blas32.General{
		losses.Data: b.x, losses.Gibbs: b.y, losses.Conjugate: b.y, losses.Mask: b.mask(),
	})
}

// pairs is a step of Adam on mean |∇w(x) − y|².
func (b *bench) pairs() (func() error, error) {
	return b.train(losses.Pairs{}, map[string]blas32.General{losses.Data: b.x, losses.Paired: b.y})
}

// logdet is a step of Adam on Var[½|x|² − w(∇w(x)) + log det ∇²w(x)].
func (b *bench) logdet() (func() error, error) {
	return b.train(logDetVariance{}, map[string]blas32.General{losses.Data: b.x})
}

// outer has the work of an iteration of CMFGen: ten Langevin steps, ten plain
// gradient steps of the conjugate solve, for every row, and a dual step.
func (b *bench) outer() (func() error, error) {
	chains, err := solvers.NewChains(b.y)
	if err != nil {
		return nil, err
	}
	langevin := solvers.Langevin{Step: 1e-3, MaxCurvature: 1}
	xhat, g := newBatch(b.x.Rows, b.x.Cols), newBatch(b.x.Rows, b.x.Cols)
	batches := map[string]blas32.General{losses.Data: b.x, losses.Conjugate: xhat, losses.Mask: b.mask()}
	dual, err := b.train(losses.Dual{}, batches)
	return func() error {
		chains.Fresh = false
		if _, err := langevin.Run(b.evaluator, chains, 10, b.stream.Rand); err != nil {
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
		batches[losses.Gibbs] = chains.Y
		return dual()
	}, err
}

// train is a step of Adam on a term at the given batches, read at every step.
func (b *bench) train(term losses.Term, batches map[string]blas32.General) (func() error, error) {
	program, trained, err := losses.Compile(b.w, losses.Sum{{Factor: 1, Term: term}}, b.x.Rows)
	if err != nil {
		return nil, err
	}
	var weights []solvers.Weight
	for _, p := range trained {
		weights = append(weights, solvers.Weight{
			Name: p.Name, Value: p.Float32s(), Grad: program.Out("gradient " + p.Name).F32, NonNegative: p.NonNegative,
		})
	}
	return func() error {
		for name, batch := range batches {
			copy(program.In(name).F32, batch.Data)
		}
		if err := program.Run(); err != nil {
			return err
		}
		_, err := b.adam.Step(&b.state, weights)
		return err
	}, nil
}

// mask weighs all rows of a batch equally.
func (b *bench) mask() blas32.General {
	m := newBatch(b.x.Rows, 1)
	for i := range m.Data {
		m.Data[i] = 1 / float32(m.Rows)
	}
	return m
}

// logDetVariance is Var_i[E(x_i) − w(∇w(x_i)) + log det ∇²w(x_i)], E = ½|x|²,
// zero where the image of 𝔓_w under ∇w* is proportional to e^{−E}.
type logDetVariance struct{}

func (logDetVariance) Name() string     { return "logdet" }
func (logDetVariance) Inputs() []string { return []string{losses.Data} }

func (logDetVariance) Declare(s *graph.Scope, w layers.Potential, batch func(string) *gorgonia.Node) *gorgonia.Node {
	x := batch(losses.Data)
	n := x.Shape()[0]
	r := s.Scale(.5, s.SumCols(s.Square(x)))
	r = s.Sub(r, w.Value(s, w.Gradient(s, x)))
	r = s.Add(r, s.LogDet(w.Dim(), layers.Hessian(s, w, x)))
	return s.Scale(1/float64(n-1), s.Sum(s.Square(s.Sub(r, s.Mean(r)))))
}
