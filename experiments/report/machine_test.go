package report

import (
	"strings"
	"testing"
)

func TestReadProcessor(t *testing.T) {
	for text, want := range map[string]Machine{
		"":                                    {CPU: "unknown"},
		"processor\t: 0\nBogoMIPS\t: 50.00\n": {CPU: "unknown"},
		"processor\t: 0\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: A processor\nsiblings\t: 16\ncpu cores\t: 8\n\nprocessor\t: 1\nmodel name\t: B\n": {
			CPU: "A processor (family 6, model 143)", ThreadsPerCore: 2,
		},
		"model name\t: A virtual one\nsiblings\t: 2\ncpu cores\t: 0\n": {CPU: "A virtual one"},
	} {
		got := Machine{CPU: "unknown"}
		got.readProcessor(strings.NewReader(text))
		if got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
