package losses

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for spec, want := range map[string]Sum{
		"dual":                     {{1, Dual{}}},
		" dual ":                   {{1, Dual{}}},
		"dual+0.1*pairs":           {{1, Dual{}}, {.1, Pairs{}}},
		" 2 * pairs + dual ":       {{2, Pairs{}}, {1, Dual{}}},
		"1e-3*dual":                {{1e-3, Dual{}}},
		"1e12*dual":                {{1e12, Dual{}}},
		"0.5*curl+dual+0.25*pairs": {{.5, curl{}}, {1, Dual{}}, {.25, Pairs{}}},
	} {
		got, err := Parse(spec, curl{})
		if err != nil {
			t.Errorf("%q: %v", spec, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q:\n%s", spec, diff)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for spec, want := range map[string][]string{
		"":                 {`unknown term ""`, "dual, pairs"},
		"daul":             {`"daul"`, "dual, pairs"},
		"dual+":            {`unknown term ""`},
		"dual+curl":        {`"curl"`, "dual, pairs"}, // curl is not given as a further term
		"dual+dual":        {`"dual"`, "twice"},
		"dual+2*dual":      {`"dual"`, "twice"},
		"x*dual":           {`factor "x"`, "positive number"},
		"*dual":            {`factor ""`, "positive number"},
		"-1*dual":          {`factor "-1"`, "positive number"},
		"0*dual":           {`factor "0"`, "positive number"},
		"NaN*dual":         {`factor "NaN"`, "positive number"},
		"inf*dual":         {`factor "inf"`, "positive number"},
		"1e13*dual":        {`factor "1e13"`},
		"2*3*dual":         {`"3*dual"`},
		"dual*2":           {`factor "dual"`},
		"dual, pairs":      {`"dual, pairs"`},
		"Dual":             {`"Dual"`, "dual, pairs"},
		"dual + 0.1 pairs": {`"0.1 pairs"`},
	} {
		got, err := Parse(spec)
		if err == nil || got != nil {
			t.Errorf("%q: %v, error %v", spec, got, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: error %q does not say %q", spec, err, w)
			}
		}
	}
}

// A further term that has the name of another would never be found.
func TestParseRefusesTakenNames(t *testing.T) {
	for _, extra := range [][]Term{{impostor("pairs")}, {curl{}, curl{}}} {
		if sum, err := Parse("dual", extra...); err == nil || !strings.Contains(err.Error(), extra[0].Name()) {
			t.Errorf("%v: %v, error %v; want one that names the term", extra, sum, err)
		}
	}
}

// impostor is a term that takes any name.
type impostor string

func (i impostor) Name() string          { return string(i) }
func (impostor) Inputs() []*solvers.Kind { return nil }
func (impostor) Declare(*graph.Scope, layers.Potential, func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	return nil
}

// Parse reads what String writes, whatever the factors.
func TestParseReadsString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sum Sum
		for _, term := range rapid.Permutation([]Term{Dual{}, Pairs{}, curl{}}).Draw(t, "terms") {
			factor := math.Exp(rapid.Float64Range(-30, 27).Draw(t, "log factor"))
			if rapid.Bool().Draw(t, "round") {
				factor = math.Pow(10, float64(rapid.IntRange(-12, 12).Draw(t, "exponent")))
			}
			sum = append(sum, Weighted{factor, term})
		}
		sum = sum[:rapid.IntRange(1, len(sum)).Draw(t, "length")]
		got, err := Parse(sum.String(), curl{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sum, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestInputs(t *testing.T) {
	sum, err := Parse("pairs+dual")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sum.Inputs(), []*solvers.Kind{solvers.BatchConjugate, solvers.BatchData, solvers.BatchGibbs, solvers.BatchMask, solvers.BatchPaired}; !slices.Equal(got, want) {
		t.Errorf("inputs %v, want %v", got, want)
	}
}

// A batch without a name, with an impossible shape, or declared twice is refused, each for itself.
func TestCheckInputs(t *testing.T) {
	for want, kind := range map[string]*solvers.Kind{
		"reads a nil kind of batch":                       nil,
		`reads a batch "" of 3 columns`:                   {Columns: 3},
		`reads a batch "few" of -1 columns`:               {Name: "few", Columns: -1},
		`"data", which another term declares differently`: {Name: "data"},
	} {
		if err := (Sum{{1, Dual{}}, {1, reading{kinds: []*solvers.Kind{kind}}}}).checkInputs(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
	if err := (Sum{{1, Dual{}}, {1, reading{kinds: []*solvers.Kind{solvers.BatchData, {Name: "own"}}}}}).checkInputs(); err != nil {
		t.Error(err)
	}
}

// reading is an impostor that reads batches.
type reading struct {
	impostor
	kinds []*solvers.Kind
}

func (r reading) Inputs() []*solvers.Kind { return r.kinds }
