// Package losses declares the terms by which a potential is fitted, as graph
// nodes over batches, and sums of them read from a text such as
// "dual+0.1*pairs".
//
// Parse reads a sum, and NewObjective compiles it for a potential and a batch
// size. Parse also takes your own terms: any type that satisfies Term. See the
// example of Term.
package losses

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"gorgonia.org/gorgonia"
)

// Term is one summand of a loss.
type Term interface {
	// Name is its name in a specification.
	Name() string

	// Inputs are the kinds of batches that it reads, such as solvers.BatchData or kinds
	// declared beside the term.
	Inputs() []*solvers.Kind

	// Declare declares its value, shape (1, 1), for the potential w. batch gives
	// the node of each of Inputs, which is held fixed. Errors stay in the scope.
	Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node
}

// Known lists the terms that Parse understands.
func Known() []Term {
	return []Term{
		Dual{}, Pairs{}, Sinkhorn{}, Likelihood{}, LikelihoodCG{}, Moments{},
		ENOT{}, Growth{}, Penalty{}, Amortised{},
		MongeAmpere{}, MongeAmpereConstant{}, MongeAmpereGradient{},
	}
}

// Weighted is a term times a factor.
type Weighted struct {
	Factor float64
	Term   Term
}

// Sum is a loss: the sum of its weighted terms.
type Sum []Weighted

// Parse reads a sum of terms, each with an optional factor: "dual",
// "dual+0.1*pairs". It also knows the terms in extra; their names must differ
// from those of Known.
func Parse(spec string, extra ...Term) (Sum, error) {
	terms := Known()
	for _, t := range extra {
		if slices.ContainsFunc(terms, func(known Term) bool { return known.Name() == t.Name() }) {
			return nil, fmt.Errorf("losses: a further term is called %q, which is the name of another; give it a different name", t.Name())
		}
		terms = append(terms, t)
	}
	var sum Sum
	for part := range strings.SplitSeq(spec, "+") {
		name, factor := strings.TrimSpace(part), 1.0
		if head, tail, ok := strings.Cut(name, "*"); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(head), 64)
			if err != nil || !(f > 0) || f > 1e12 {
				return nil, fmt.Errorf("losses: factor %q in %q; give a positive number, as in dual+0.1*pairs", strings.TrimSpace(head), spec)
			}
			name, factor = strings.TrimSpace(tail), f
		}
		k := slices.IndexFunc(terms, func(t Term) bool { return t.Name() == name })
		if k < 0 {
			var known []string
			for _, t := range terms {
				known = append(known, t.Name())
			}
			return nil, fmt.Errorf("losses: unknown term %q in %q; known terms are %s", name, spec, strings.Join(known, ", "))
		}
		if slices.ContainsFunc(sum, func(w Weighted) bool { return w.Term.Name() == name }) {
			return nil, fmt.Errorf("losses: term %q appears twice in %q; name each once", name, spec)
		}
		sum = append(sum, Weighted{factor, terms[k]})
	}
	return sum, nil
}

// String is the specification that Parse reads.
func (l Sum) String() string {
	parts := make([]string, len(l))
	for i, w := range l {
		parts[i] = w.Term.Name()
		if w.Factor != 1 {
			// 1e+06 would read as a sum.
			factor := strings.ReplaceAll(fmt.Sprint(w.Factor), "+", "")
			parts[i] = factor + "*" + w.Term.Name()
		}
	}
	return strings.Join(parts, "+")
}

// Inputs are the kinds of batches that any term reads, sorted by name.
func (l Sum) Inputs() []*solvers.Kind {
	var kinds []*solvers.Kind
	for _, w := range l {
		kinds = append(kinds, w.Term.Inputs()...)
	}
	slices.SortFunc(kinds, func(a, b *solvers.Kind) int { return strings.Compare(a.Name, b.Name) })
	return slices.Compact(kinds)
}

// checkInputs makes sure that every kind has a unique name and an allowed shape.
func (l Sum) checkInputs() error {
	named := make(map[string]*solvers.Kind)
	for _, w := range l {
		for _, k := range w.Term.Inputs() {
			switch {
			case k == nil:
				return fmt.Errorf("term %q reads a nil kind of batch; give a declaration such as solvers.BatchData", w.Term.Name())
			case k.Name == "" || k.Columns < 0:
				return fmt.Errorf("term %q reads a batch %q of %d columns; it must have a name, and 1 column or more, or 0 for as many as the points", w.Term.Name(), k.Name, k.Columns)
			case named[k.Name] != nil && named[k.Name] != k:
				return fmt.Errorf("term %q reads a batch %q, which another term declares differently; give one of them another name", w.Term.Name(), k.Name)
			}
			named[k.Name] = k
		}
	}
	return nil
}
