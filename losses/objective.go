package losses

import (
	"cmp"
	"fmt"
	"slices"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/optim"

	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Objective is a loss with its gradient in the weights of a potential, compiled
// for one batch size. It satisfies solvers.Objective.
type Objective struct {
	inputs  []*solvers.Kind
	program *graph.Program
	weights []optim.Weight
	guess   *graph.Program // the program of a Predictor; nil if there is none

	outputs []termOutput
	terms   map[string]float64 // the map that Gradient returns
}

// termOutput is the program's output for a term and the term's name in the log.
type termOutput struct{ logged, output string }

// NewObjective compiles the loss of the float32 potential w for n rows a batch.
func NewObjective(w layers.Potential, sum Sum, n int) (*Objective, error) {
	if w.Params().Dtype() != tensor.Float32 {
		return nil, fmt.Errorf("losses: training needs a float32 potential, not %v", w.Params().Dtype())
	}
	given, err := contexts(w, sum)
	if err != nil {
		return nil, err
	}
	bound, err := sum.bind(w)
	if err != nil {
		return nil, fmt.Errorf("losses: %w", err)
	}
	program, trained, err := compile(w, bound, n)
	if err != nil {
		return nil, fmt.Errorf("losses: %s for batches of %d: %w", sum, n, err)
	}
	if !slices.ContainsFunc(trained, func(p *graph.Param) bool { return w.Params().ByName(p.Name) == p }) {
		return nil, fmt.Errorf("losses: %s trains no weight of the potential; add a term that does, such as dual", sum)
	}
	o := &Objective{inputs: append(bound.Inputs(), given...), program: program, terms: make(map[string]float64, len(bound))}
	for _, t := range bound {
		o.outputs = append(o.outputs, termOutput{logged(t.Term), termValue(t.Term)})
	}
	if o.guess, err = bound.predictor(w, n); err != nil {
		return nil, fmt.Errorf("losses: predicting conjugates: %w", err)
	}
	relaxed := bound.relaxes(w)
	for _, p := range trained {
		o.weights = append(o.weights, optim.Weight{
			Name:        p.Name,
			Value:       p.Float32s(),
			Grad:        program.Out(gradient(p)).F32,
			NonNegative: p.NonNegative && !slices.Contains(relaxed, p),
			Rate:        p.Rate,
		})
	}
	return o, nil
}

// contexts is the kind of the contexts of w, if it is a Conditional: these are an input of
// every loss.
func contexts(w layers.Potential, sum Sum) ([]*solvers.Kind, error) {
	c, ok := w.(layers.Conditional)
	if !ok || c.Contexts() == 0 {
		return nil, nil
	}
	return []*solvers.Kind{solvers.ContextsOf(c.Contexts())}, sum.CheckContexts()
}

// Compile declares the loss of w, of any element type, for n rows a batch. The program's
// outputs are "loss", "term NAME" for each term, and "gradient NAME" for each of the
// returned weights. These are the weights on which the loss depends: those of the
// potential, and new ones of the terms. A Conditional has the further input "context".
func Compile(w layers.Potential, sum Sum, n int) (*graph.Program, []*graph.Param, error) {
	bound, err := sum.bind(w)
	if err != nil {
		return nil, nil, err
	}
	return compile(w, bound, n)
}

func compile(w layers.Potential, sum Sum, n int) (*graph.Program, []*graph.Param, error) {
	if err := sum.checkInputs(); err != nil {
		return nil, nil, err
	}
	s := graph.NewScope(w.Params().Dtype())
	inputs := make(map[*solvers.Kind]*gorgonia.Node)
	for _, k := range sum.Inputs() {
		inputs[k] = s.Input(k.Name, n, cmp.Or(k.Columns, w.Dim()))
	}
	at := layers.OfContexts(s, w, n)
	outputs := make(map[string]*gorgonia.Node)
	var loss *gorgonia.Node
	for _, t := range sum {
		v := t.Term.Declare(s, at, func(k *solvers.Kind) *gorgonia.Node { return inputs[k] })
		if s.Err != nil {
			return nil, nil, fmt.Errorf("term %q: %w", t.Term.Name(), s.Err)
		}
		if v == nil || !v.Shape().Eq(tensor.Shape{1, 1}) {
			return nil, nil, fmt.Errorf("term %q is declared as %v; a node of shape (1, 1) is needed", t.Term.Name(), v)
		}
		outputs[termValue(t.Term)] = v
		v = s.Scale(t.Factor, v)
		if loss == nil {
			loss = v
		} else {
			loss = s.Add(loss, v)
		}
	}
	outputs["loss"] = loss
	all := append(w.Params().Trained(), sum.params()...)
	nodes := make([]*gorgonia.Node, len(all))
	for i, p := range all {
		nodes[i] = s.Param(p)
	}
	var trained []*graph.Param
	for i, g := range s.Grad(loss, nodes...) {
		if g != nil {
			outputs[gradient(all[i])] = g
			trained = append(trained, all[i])
		}
	}
	program, err := s.Compile(outputs)
	return program, trained, err
}

func gradient(p *graph.Param) string { return "gradient " + p.Name }
func termValue(t Term) string        { return "term " + t.Name() }

// Inputs are the kinds of batches that Gradient needs.
func (o *Objective) Inputs() []*solvers.Kind { return o.inputs }

// Weights are the trained weights; Gradient leaves their gradients in them.
func (o *Objective) Weights() []optim.Weight { return o.weights }

// Gradient computes the loss of the given batches, and its gradient in every weight. terms
// holds the value of each term by name, before its factor, until the next Gradient. The
// value of LikelihoodCG has the name likelihood-cg-surrogate.
func (o *Objective) Gradient(batches map[*solvers.Kind]blas32.General) (loss float64, terms map[string]float64, err error) {
	for _, k := range o.inputs {
		in, b := o.program.In(k.Name), batches[k]
		if b.Rows != in.Rows || b.Cols != in.Cols {
			return 0, nil, fmt.Errorf("losses: batch %q has shape (%d, %d); the loss is compiled for (%d, %d)", k.Name, b.Rows, b.Cols, in.Rows, in.Cols)
		}
		for i := range b.Rows {
			copy(in.F32[i*in.Cols:(i+1)*in.Cols], b.Data[i*b.Stride:])
		}
	}
	if err := o.program.Run(); err != nil {
		return 0, nil, fmt.Errorf("losses: %w", err)
	}
	for _, t := range o.outputs {
		o.terms[t.logged] = o.program.Out(t.output).At(0, 0)
	}
	return o.program.Out("loss").At(0, 0), o.terms, nil
}
