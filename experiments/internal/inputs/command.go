// Package inputs tests what users give to commands: variables, with and without files.
package inputs

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/run"
)

// Command is a command with variables to test.
type Command struct {
	run.Experiment
	Needed config.Environment // variables that it needs
	Plans  bool               // it makes the folder CMF_OUT when it reads its variables
}

// settings are the settings with some variables in addition to the needed ones.
func (c Command) settings(variables ...string) ([]config.Setting, error) {
	return c.Settings(c.Needed.With(variables...), nil, io.Discard)
}

// TestNames checks that the variables of a command are these, without CMF_, in order.
func TestNames(t *testing.T, c Command, want string) {
	t.Helper()
	settings, err := c.settings()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range settings {
		names = append(names, strings.TrimPrefix(s.Name, "CMF_"))
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("variables %s, want %s", got, want)
	}
}

// TestVariables checks that a command does what it says is allowed: -h shows it, the edges
// of ranges and all values of a choice are accepted, and values outside are refused with a
// message that says what is allowed.
func TestVariables(t *testing.T, c Command) {
	t.Helper()
	settings, err := c.settings()
	if err != nil {
		t.Fatal(err)
	}
	var help strings.Builder
	c.Settings(nil, []string{"-h"}, &help)
	tried := 0
	for _, s := range settings {
		told := func(line string) bool {
			return strings.HasPrefix(line, s.Name+" ") && strings.Contains(line, s.Allowed)
		}
		if !slices.ContainsFunc(strings.Split(help.String(), "\n"), told) {
			t.Errorf("%s: -h does not tell that %s takes %q", c.Command(), s.Name, s.Allowed)
		}
		allowed, beyond := edges(s.Allowed)
		for _, value := range allowed {
			// Another rule may refuse the value: a batch may be too large for the layers.
			if _, err := c.settings(s.Name + "=" + value); refuses(err, s) {
				t.Errorf("%s: %s=%s: %v", c.Command(), s.Name, value, err)
			}
		}
		for _, value := range beyond {
			if s.Name == "CMF_PRESET" && value == "" {
				continue // no preset is the default one
			}
			if _, err := c.settings(s.Name + "=" + value); !refuses(err, s) {
				t.Errorf("%s: %s=%s is not refused by what is allowed, %s: %v", c.Command(), s.Name, value, s.Allowed, err)
			}
		}
		tried += len(allowed) + len(beyond)
	}
	if tried < 10 {
		t.Errorf("%s: %d values were tried", c.Command(), tried)
	}
}

// refuses says whether err states what is allowed for a variable.
func refuses(err error, s config.Setting) bool {
	return err != nil && strings.HasPrefix(err.Error(), s.Name+"=") && strings.HasSuffix(err.Error(), ": allowed are "+s.Allowed)
}

// edges returns values that the text of what is allowed includes, and neighbouring ones
// that it excludes. It returns none if the text has neither ranges nor choices.
func edges(text string) (allowed, beyond []string) {
	type span struct{ low, high float64 }
	var spans []span
	var open []float64
	number := func(s string) (float64, bool) {
		v, err := strconv.ParseFloat(s, 64)
		return v, err == nil
	}
	words := strings.Fields(strings.ReplaceAll(text, ",", " "))
	if len(words) == 0 {
		return nil, nil
	}
	if words[0] == "numbers" { // between A and B; above A, up to B; from A, below B
		low, ok := number(words[2])
		high, good := number(words[len(words)-1])
		if !ok || !good {
			return nil, nil
		}
		spans = append(spans, span{low, high})
		if words[1] != "from" {
			open = append(open, low)
		}
		if words[len(words)-2] != "to" {
			open = append(open, high)
		}
	} else if _, ok := number(words[0]); ok {
		for part := range strings.SplitSeq(text, " and ") {
			first, last, both := strings.Cut(part, " to ")
			if !both {
				last = first
			}
			low, ok := number(first)
			high, good := number(last)
			if !ok || !good {
				return nil, nil
			}
			spans = append(spans, span{low, high})
		}
	} else if strings.Contains(text, ", ") && !strings.Contains(strings.ReplaceAll(text, ", ", ""), " ") {
		return strings.Split(text, ", "), []string{"", "none of them"}
	}
	format := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	for _, s := range spans {
		for _, v := range []float64{s.low - 1, s.low, s.high, s.high + 1} {
			within := slices.ContainsFunc(spans, func(s span) bool { return s.low <= v && v <= s.high })
			if within && !slices.Contains(open, v) {
				allowed = append(allowed, format(v))
			} else {
				beyond = append(beyond, format(v))
			}
		}
	}
	return allowed, beyond
}
