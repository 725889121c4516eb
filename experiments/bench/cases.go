package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cmf/layers"
)

// benchSize is a potential's architecture and the size of its batches.
type benchSize struct {
	name   string
	n, d   int
	hidden []int

	// filters are those of convolutions below the hidden layers, of 4×4 pixels at
	// stride 2, over points that are square pictures.
	filters []int

	unit layers.Unit // of the hidden layers; "" for softplus

	// pieces, rank and tau are those of quadratics; no pieces for an ICNN.
	pieces, rank int
	tau          float64
}

// learns reports whether there are trained cases.
func (s benchSize) learns() bool { return s.filters == nil && s.unit == "" && s.pieces == 0 }

// benchSizes are the sizes that a case may name, in order.
var benchSizes = []benchSize{
	{name: "big", n: 256, d: 784, hidden: []int{512, 512, 512}},
	{name: "small", n: 1024, d: 2, hidden: []int{64, 64, 64, 64}},
	{name: "tiny", n: 16, d: 2, hidden: []int{16, 16}},
	{name: "pictures", n: 256, d: 784, filters: []int{32, 64}}, // the arithmetic of big
	{name: "big-maximum", n: 256, d: 784, hidden: []int{512, 512, 512}, unit: layers.Maximum},
	{name: "small-maximum", n: 1024, d: 2, hidden: []int{64, 64, 64, 64}, unit: layers.Maximum},
	{name: "quadratics2", n: 512, d: 2, pieces: 64, tau: .02},
	{name: "quadratics16", n: 256, d: 16, pieces: 50, tau: .15},
	{name: "quadratics784", n: 128, d: 784, pieces: 50, rank: 12, tau: 2},
}

// benchWork is one step of fitting, set up by bind and then run many times.
type benchWork struct {
	name  string
	plane bool // only for d = 2
	bind  func(b *bench) (func() error, error)

	// products is the number of multiply–adds in matrix products, given those of a forward
	// pass: f in all, skip from the inputs and deep between hidden layers. nil if the
	// work is not one for an ICNN.
	products func(f, skip, deep float64) float64

	// quadratics says that the work is one for quadratics too, and passes is the number
	// of their forward passes that its products amount to, without those of a solve.
	quadratics bool
	passes     float64
}

// suits reports whether the work is one for the size.
func (w benchWork) suits(s benchSize) bool {
	if s.pieces > 0 {
		return w.quadratics
	}
	return w.products != nil && (!w.plane || s.d == 2)
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

		quadratics: true, passes: 4,
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
	{
		name:     "values",
		bind:     (*bench).values,
		products: func(f, _, _ float64) float64 { return 2 * f },

		quadratics: true, passes: 2,
	},
	{
		name: "solve",
		bind: (*bench).grad, // ∇w is the solution

		quadratics: true,
	},
}

// caseList is a list of cases, written big/grad,small.
type caseList []string

// Decode reads cases, for envconfig: SIZE/WORK, SIZE for all works at that size, or all.
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
			return unknownCase(item)
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

// benchCase is a work at a size, with random or trained weights.
type benchCase struct {
	size    benchSize
	work    benchWork
	trained bool
}

// String is SIZE/WORK, or SIZE-trained/WORK.
func (c benchCase) String() string {
	if c.trained {
		return c.size.name + "-trained/" + c.work.name
	}
	return c.size.name + "/" + c.work.name
}

// untrained is the name of the same case with random weights.
func (c benchCase) untrained() string { return benchCase{size: c.size, work: c.work}.String() }

// benchCases are all cases; a trained one follows the same with random weights, where a size
// learns.
func benchCases() []benchCase {
	var cases []benchCase
	for _, s := range benchSizes {
		for _, w := range benchWorks {
			if !w.suits(s) {
				continue
			}
			cases = append(cases, benchCase{s, w, false})
			if s.learns() {
				cases = append(cases, benchCase{s, w, true})
			}
		}
	}
	return cases
}

func knownCases() []string {
	var names []string
	for _, c := range benchCases() {
		names = append(names, c.String())
	}
	return names
}

func findCase(name string) (benchCase, error) {
	for _, c := range benchCases() {
		if c.String() == name {
			return c, nil
		}
	}
	return benchCase{}, unknownCase(name)
}

func unknownCase(name string) error {
	random := slices.DeleteFunc(knownCases(), func(s string) bool { return strings.Contains(s, "-trained") })
	var sizes []string
	for _, s := range benchSizes {
		sizes = append(sizes, s.name)
	}
	return fmt.Errorf("unknown case %q; known are all, the sizes %s, %s, and those of big, small and tiny with -trained after the size, such as tiny-trained/grad", name, strings.Join(sizes, ", "), strings.Join(random, ", "))
}

// multiplyAdds is the number of multiply–adds in the matrix products of one run, those of
// convolutions among them. Those of a solve, which depend on the points, do not count.
func (c benchCase) multiplyAdds() float64 {
	n := float64(c.size.n)
	if s := c.size; s.pieces > 0 {
		// F·y, and the diagonals and centers of the pieces.
		return c.work.passes * n * float64(s.d*s.pieces*(cmp.Or(s.rank, s.d)+2))
	}
	shapes, err := c.size.architecture().Shapes()
	if err != nil {
		return 0
	}
	pieces := float64(len(c.size.architecture().Prefixes(0)))
	var skip, deep float64
	for _, s := range shapes {
		skip += n * pieces * float64(s.Skip[0]*s.Bias[1])
		deep += n * pieces * float64(s.Weigh[0]*s.Bias[1])
	}
	last := n * float64(shapes[len(shapes)-1].Bias[1])
	return c.work.products(skip+deep+last, skip, deep)
}

// onData reports whether the weights and points of the case come from data.
func (c benchCase) onData() bool { return c.trained || c.size.pieces > 0 }
