package layers

import (
	"errors"
	"fmt"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Evaluator evaluates a float32 potential on batches of any size: it satisfies
// potential.Curved. A batch is cut into chunks, and the last chunk is padded to
// the next size, so that few sizes occur. A program is compiled when its size
// first occurs.
type Evaluator struct {
	w         Potential
	conjugate *Evaluator // of the network w*; nil if the network is w
	programs  map[programKey]*graph.Program
	given     blas32.General // what depends on contexts, for each row or for all; no rows if nothing does
	of        *Evaluator     // the last of Of
}

type programKey struct {
	work work
	rows int
}

// work is what a program computes.
type work string

const (
	value    work = "value"
	gradient work = "gradient"
	both     work = "value and gradient"
	hessVec  work = "Hessian-vector product"
	contexts work = "contexts"
	hessian  work = "Hessian"
)

// chunk is the largest number of rows evaluated at once; sizes are multiples of
// chunk/16.
const chunk = 512

// NewEvaluator returns an evaluator of w, which must hold float32 weights.
func NewEvaluator(w Potential) (*Evaluator, error) {
	if w.Params().Dtype() != tensor.Float32 {
		return nil, errors.New("layers: an evaluator needs a float32 potential")
	}
	e := &Evaluator{w: w, programs: make(map[programKey]*graph.Program)}
	if c, ok := w.(*Conjugate); ok {
		e.conjugate = &Evaluator{w: c.phi, programs: make(map[programKey]*graph.Program)}
	}
	return e, nil
}

// Explicit reports whether EvalConjugate is available: the network is w*.
func (e *Evaluator) Explicit() bool { return e.conjugate != nil }

// EvalConjugate writes w*(y_i) to val and ∇w*(y_i) to grad, each unless it is
// empty; see potential.Explicit.
func (e *Evaluator) EvalConjugate(y blas32.General, val []float32, grad blas32.General) error {
	if e.conjugate == nil {
		return errors.New("layers: the conjugate of this potential has no network; solve for it")
	}
	return e.conjugate.Eval(y, val, grad)
}

// Contexts is the number of columns of a context, 0 if the potential has none.
func (e *Evaluator) Contexts() int {
	if c, ok := e.w.(Conditional); ok {
		return c.Contexts()
	}
	return 0
}

// Given is the evaluator of w(·; c_i) for row i; see potential.Conditional. What depends on
// the contexts alone is evaluated here, once: the weights must not change while it is in use.
// It shares its programs with e, so that the two are not safe for concurrent use.
func (e *Evaluator) Given(c blas32.General) (potential.Rowwise, error) {
	if err := batch.Check("contexts", c); err != nil {
		return nil, fmt.Errorf("layers: %w", err)
	}
	m, ok := e.w.(bindable)
	if k := e.Contexts(); !ok || k == 0 || c.Cols != k || c.Rows < 1 {
		return nil, fmt.Errorf("layers: contexts of shape (%d, %d) for a potential with contexts of %d columns; there must be one or more", c.Rows, c.Cols, k)
	}
	parts, columns := m.parts(), 0
	for _, p := range parts {
		columns += p.columns
	}
	given := batch.New(c.Rows, columns)
	for lo := 0; lo < c.Rows; lo += chunk {
		hi := min(lo+chunk, c.Rows)
		p, err := e.program(contexts, hi-lo)
		if err != nil {
			return nil, err
		}
		batch.Copy(p.In("context").General(), batch.Rows(c, lo, hi))
		if err := p.Run(); err != nil {
			return nil, fmt.Errorf("layers: contexts: %w", err)
		}
		at := 0
		for _, part := range parts {
			to := blas32.General{Rows: hi - lo, Cols: part.columns, Stride: given.Stride, Data: given.Data[lo*given.Stride+at:]}
			batch.Copy(to, p.Out(part.name).General())
			at += part.columns
		}
	}
	w := e.sharing()
	w.take(given)
	return w, nil
}

// sharing is an evaluator of the same potential with the same programs.
func (e *Evaluator) sharing() *Evaluator {
	w := &Evaluator{w: e.w, programs: e.programs}
	if e.conjugate != nil {
		w.conjugate = e.conjugate.sharing()
	}
	return w
}

// take sets what depends on contexts.
func (e *Evaluator) take(given blas32.General) {
	e.given = given
	if e.conjugate != nil {
		e.conjugate.given = given
	}
}

// Of is the evaluator for a batch of the listed rows; see potential.Rowwise.
func (e *Evaluator) Of(rows []int) potential.Rowwise {
	if e.given.Rows < 2 {
		return e
	}
	if e.of == nil {
		e.of = e.sharing()
	}
	given := batch.Reshaped(e.of.given, len(rows), e.given.Cols)
	batch.Gather(given, e.given, rows)
	e.of.take(given)
	return e.of
}

// Dim is d.
func (e *Evaluator) Dim() int { return e.w.Dim() }

// Eval writes w(x_i) to val and ∇w(x_i) to grad, each unless it is empty.
func (e *Evaluator) Eval(x blas32.General, val []float32, grad blas32.General) error {
	return e.EvalFrom(x, blas32.General{}, val, grad)
}

// Solves reports whether an evaluation is a solve, which a guess shortens.
func (e *Evaluator) Solves() bool { return e.conjugate != nil }

// EvalFrom is Eval with guesses of ∇w(x_i), used if an evaluation is a solve; see
// potential.Solved.
func (e *Evaluator) EvalFrom(x, guess blas32.General, val []float32, grad blas32.General) error {
	what := both
	switch {
	case val == nil && grad.Data == nil:
		return nil
	case grad.Data == nil:
		what = value
	case val == nil:
		what = gradient
	}
	if val != nil && len(val) != x.Rows {
		return fmt.Errorf("layers: %d values for %d points", len(val), x.Rows)
	}
	if grad.Data != nil && (grad.Rows != x.Rows || grad.Cols != x.Cols) {
		return fmt.Errorf("layers: gradient of shape (%d, %d) for points of shape (%d, %d)", grad.Rows, grad.Cols, x.Rows, x.Cols)
	}
	if guess.Data != nil && (guess.Rows != x.Rows || guess.Cols != x.Cols) {
		return fmt.Errorf("layers: guesses of shape (%d, %d) for points of shape (%d, %d)", guess.Rows, guess.Cols, x.Rows, x.Cols)
	}
	return e.each(what, x, func(p *graph.Program, lo, hi int) {
		e.guess(p, guess, lo, hi)
	}, func(p *graph.Program, lo, hi int) {
		if val != nil {
			copy(val[lo:hi], p.Out("value").F32)
		}
		if grad.Data != nil {
			batch.Copy(batch.Rows(grad, lo, hi), p.Out("gradient").General())
		}
	})
}

// HessVec writes ∇²w(x_i)·v_i.
func (e *Evaluator) HessVec(x, v, hv blas32.General) error {
	if v.Rows != x.Rows || v.Cols != x.Cols || hv.Rows != x.Rows || hv.Cols != x.Cols {
		return fmt.Errorf("layers: directions (%d, %d) and products (%d, %d) for points of shape (%d, %d)", v.Rows, v.Cols, hv.Rows, hv.Cols, x.Rows, x.Cols)
	}
	return e.each(hessVec, x, func(p *graph.Program, lo, hi int) {
		e.guess(p, blas32.General{}, lo, hi)
		batch.Copy(p.In("v").General(), batch.Rows(v, lo, hi))
	}, func(p *graph.Program, lo, hi int) {
		batch.Copy(batch.Rows(hv, lo, hi), p.Out("product").General())
	})
}

// MeanHessian is the mean of ∇²w(x_i) over the rows of x, where evaluations are solves: one
// for each row then serves all axes. ok is false where products along axes are to be taken;
// see potential.MeanHessian.
func (e *Evaluator) MeanHessian(x blas32.General) (h *mat.SymDense, ok bool, err error) {
	const most = 64 // dimensions in which the Hessians of a chunk are held at once
	d := e.Dim()
	if !e.Solves() || d > most {
		return nil, false, nil
	}
	sum := mat.NewDense(d, d, nil)
	err = e.each(hessian, x, func(p *graph.Program, lo, hi int) {
		e.guess(p, blas32.General{}, lo, hi)
	}, func(p *graph.Program, lo, hi int) {
		out := p.Out("hessian").General()
		for i := range hi - lo {
			for j, v := range batch.Row(out, i) {
				sum.Set(j/d, j%d, sum.At(j/d, j%d)+float64(v)/float64(x.Rows))
			}
		}
	})
	return batch.Symmetrised(sum), true, err
}

// guess fills the guesses of a program that takes any; rows without one are 0.
func (e *Evaluator) guess(p *graph.Program, guess blas32.General, lo, hi int) {
	if !e.Solves() {
		return
	}
	in := p.In("guess").General()
	clear(in.Data)
	if guess.Data != nil {
		batch.Copy(in, batch.Rows(guess, lo, hi))
	}
}

// each runs a program on every chunk of x. fill sets further inputs, and done takes
// the outputs.
func (e *Evaluator) each(what work, x blas32.General, fill, done func(p *graph.Program, lo, hi int)) error {
	if x.Cols != e.Dim() {
		return fmt.Errorf("layers: points of %d coordinates for a potential on ℝ^%d", x.Cols, e.Dim())
	}
	switch n := e.given.Rows; {
	case n == 0 && e.Contexts() > 0:
		return errNoContext
	case n > 1 && n != x.Rows:
		return fmt.Errorf("layers: %d points with %d contexts", x.Rows, n)
	}
	for lo := 0; lo < x.Rows; lo += chunk {
		hi := min(lo+chunk, x.Rows)
		p, err := e.program(what, hi-lo)
		if err != nil {
			return err
		}
		batch.Copy(p.In("x").General(), batch.Rows(x, lo, hi))
		e.fillGiven(p, lo, hi)
		fill(p, lo, hi)
		if err := p.Run(); err != nil {
			return fmt.Errorf("layers: %s: %w", what, err)
		}
		done(p, lo, hi)
	}
	return nil
}

// fillGiven fills what depends on contexts.
func (e *Evaluator) fillGiven(p *graph.Program, lo, hi int) {
	if e.given.Rows == 0 {
		return
	}
	at := 0
	for _, part := range e.w.(bindable).parts() {
		in := p.In(part.name).General()
		for i := range hi - lo {
			from := 0
			if e.given.Rows > 1 {
				from = lo + i
			}
			copy(batch.Row(in, i), e.given.Data[from*e.given.Stride+at:][:part.columns])
		}
		at += part.columns
	}
}

func (e *Evaluator) program(what work, n int) (*graph.Program, error) {
	const step = chunk / 16
	n = (n + step - 1) / step * step
	key := programKey{what, n}
	if p, ok := e.programs[key]; ok {
		return p, nil
	}
	s := graph.NewScope(tensor.Float32)
	if what == contexts {
		return e.compile(s, key, e.contextParts(s, n))
	}
	x := s.Input("x", n, e.Dim())
	w := e.w
	if e.given.Rows > 0 {
		m := e.w.(bindable)
		var nodes []*gorgonia.Node
		for _, part := range m.parts() {
			nodes = append(nodes, s.Input(part.name, n, part.columns))
		}
		w = m.givenParts(s, nodes)
	}
	if c, ok := w.(*Conjugate); ok {
		w = c.from(s.Input("guess", n, e.Dim()))
	}
	out := make(map[string]*gorgonia.Node)
	switch what {
	case hessian:
		out["hessian"] = Hessian(s, w, x)
	case hessVec:
		out["product"] = w.HessVec(s, x, s.Input("v", n, e.Dim()), 1)
	default:
		if what != gradient {
			out["value"] = w.Value(s, x)
		}
		if what != value {
			out["gradient"] = w.Gradient(s, x)
		}
	}
	return e.compile(s, key, out)
}

// contextParts declares what depends on contexts.
func (e *Evaluator) contextParts(s *graph.Scope, n int) map[string]*gorgonia.Node {
	m, out := e.w.(bindable), make(map[string]*gorgonia.Node)
	for i, node := range m.declareParts(s, s.Input("context", n, m.Contexts())) {
		out[m.parts()[i].name] = node
	}
	return out
}

func (e *Evaluator) compile(s *graph.Scope, key programKey, out map[string]*gorgonia.Node) (*graph.Program, error) {
	p, err := s.Compile(out)
	if err != nil {
		return nil, fmt.Errorf("layers: %s of %d points: %w", key.work, key.rows, err)
	}
	e.programs[key] = p
	return p, nil
}

// Potential is w.
func (e *Evaluator) Potential() Potential { return e.w }
