// Package losses declares the terms by which a potential is fitted, as graph
// nodes over named batches, and sums of them read from a text such as
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

// The batches that terms may read. All have shape (n, d) but Mask and
// Energy, (n, 1).
const (
	Data       = solvers.BatchData       // x_i ~ ρ
	Gibbs      = solvers.BatchGibbs      // y_j ~ 𝔓_w, held fixed
	Conjugate  = solvers.BatchConjugate  // x̂_j = ∇w*(y_j), held fixed
	Paired     = solvers.BatchPaired     // y_σ(i), the partner of x_i in a discrete optimal transport
	Mask       = solvers.BatchMask       // weight of row j of Gibbs and Conjugate: 1/(usable rows), or 0
	Barycentre = solvers.BatchBarycentre // ȳ_i, the mean partner of x_i in an entropic optimal transport
	Probe      = solvers.BatchProbe      // v_i, independent signs
	Solved     = solvers.BatchSolved     // u_i = ∇²w(x_i)⁻¹v_i, held fixed
	Points     = solvers.BatchPoints     // x_i from anywhere, for a regression on an energy
	Energy     = solvers.BatchEnergy     // E(x_i), clipped, at Points
	Slope      = solvers.BatchSlope      // ∇E(x_i), clipped alike
)

// Term is one summand of a loss.
type Term interface {
	// Name is what a specification calls it.
	Name() string

	// Inputs are the batches that it reads.
	Inputs() []string

	// Declare declares its value, shape (1, 1), for the potential w. batch gives
	// the node of each of Inputs. Errors stay in the scope.
	Declare(s *graph.Scope, w layers.Potential, batch func(name string) *gorgonia.Node) *gorgonia.Node
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
			return nil, fmt.Errorf("losses: a further term is called %q, the name of another; give it one of its own", t.Name())
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

// Inputs are the batches that any term reads, sorted.
func (l Sum) Inputs() []string {
	var names []string
	for _, w := range l {
		names = append(names, w.Term.Inputs()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
