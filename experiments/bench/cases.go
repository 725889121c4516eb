package main

import (
	"fmt"
	"slices"
	"strings"
)

// benchSize is a potential's architecture and the size of its batches.
type benchSize struct {
	name   string
	n, d   int
	hidden []int

	// filters are those of convolutions below the hidden layers, of 4×4 pixels at
	// stride 2, over points that are square pictures.
	filters []int
}

// benchSizes are the sizes that a case may name, in order.
var benchSizes = []benchSize{
	{name: "big", n: 256, d: 784, hidden: []int{512, 512, 512}},
	{name: "small", n: 1024, d: 2, hidden: []int{64, 64, 64, 64}},
	{name: "tiny", n: 16, d: 2, hidden: []int{16, 16}},
	{name: "pictures", n: 256, d: 784, filters: []int{32, 64}}, // the arithmetic of big
}

// benchWork is one step of fitting, set up by bind and then run many times.
type benchWork struct {
	name  string
	plane bool // only for d = 2
	bind  func(b *bench) (func() error, error)

	// products is the number of multiply–adds in matrix products, given those of a forward
	// pass: f in all, skip from the inputs and deep between hidden layers.
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

// benchCases are all cases; a trained one follows the same with random weights, where there are
// no convolutions.
func benchCases() []benchCase {
	var cases []benchCase
	for _, s := range benchSizes {
		for _, w := range benchWorks {
			if w.plane && s.d != 2 {
				continue
			}
			cases = append(cases, benchCase{s, w, false})
			if s.filters == nil {
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
	return fmt.Errorf("unknown case %q; known are all, the sizes big, small, tiny and pictures, %s, and those of the first three with -trained after the size, such as tiny-trained/grad", name, strings.Join(random, ", "))
}

// multiplyAdds is the number of multiply–adds in the matrix products of one run, those of
// convolutions among them.
func (c benchCase) multiplyAdds() float64 {
	shapes, err := c.size.architecture().Shapes()
	if err != nil {
		return 0
	}
	n := float64(c.size.n)
	var skip, deep float64
	for _, s := range shapes {
		skip += n * float64(s.Skip[0]*s.Bias[1])
		deep += n * float64(s.Weigh[0]*s.Bias[1])
	}
	last := n * float64(shapes[len(shapes)-1].Bias[1])
	return c.work.products(skip+deep+last, skip, deep)
}
