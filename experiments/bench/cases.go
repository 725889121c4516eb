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
}

// benchSizes are the sizes that a case may name, in order.
var benchSizes = []benchSize{
	{"big", 256, 784, []int{512, 512, 512}},
	{"small", 1024, 2, []int{64, 64, 64, 64}},
	{"tiny", 16, 2, []int{16, 16}},
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

// benchCases are all cases; a trained one follows the same with random weights.
func benchCases() []benchCase {
	var cases []benchCase
	for _, s := range benchSizes {
		for _, w := range benchWorks {
			if !w.plane || s.d == 2 {
				cases = append(cases, benchCase{s, w, false}, benchCase{s, w, true})
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
	return fmt.Errorf("unknown case %q; known are all, the sizes big, small and tiny, %s, and each with -trained after its size, such as tiny-trained/grad", name, strings.Join(random, ", "))
}

// multiplyAdds is the number of multiply–adds in the matrix products of one run.
func (c benchCase) multiplyAdds() float64 {
	s := c.size
	var skip, deep float64
	for l, h := range s.hidden {
		skip += float64(s.n * s.d * h)
		if l > 0 {
			deep += float64(s.n * s.hidden[l-1] * h)
		}
	}
	last := float64(s.n * s.hidden[len(s.hidden)-1])
	return c.work.products(skip+deep+last, skip, deep)
}
