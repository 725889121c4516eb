package experiments

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cmf/experiments/inference"
	"cmf/experiments/monge"
	"cmf/experiments/picture/inpaint"
	"cmf/experiments/playground/site"
	"cmf/experiments/run"
)

// readText reads a file of the repository.
func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pages are those that users read.
var pages = []string{"README.md", "CONTRIBUTING.md", "experiments/README.md", "experiments/CHOOSING.md", "graph/README.md"}

// The commands and files that the pages name exist.
func TestPagesNameWhatExists(t *testing.T) {
	for _, page := range pages {
		text := readText(t, page)
		for _, m := range regexp.MustCompile(`go run \./(\S+?)[\s`+"`"+`]`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1], "main.go")); err != nil {
				t.Errorf("%s: go run ./%s: %v", page, m[1], err)
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: link: %v", page, err)
			}
		}
	}
	if m := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(readText(t, "go.mod")); !strings.Contains(readText(t, "README.md"), "Go "+m[1]) {
		t.Errorf("README does not say that Go %s is needed", m[1])
	}
}

// Every variable in README belongs to an experiment.
func TestREADMEVariables(t *testing.T) {
	var help strings.Builder
	for _, usage := range []func(){
		usageOf(t, &help, Cartoon), usageOf(t, &help, Energy), usageOf(t, &help, Gaussian), usageOf(t, &help, Generate),
		usageOf(t, &help, inpaint.Inpaint), usageOf(t, &help, MNIST), usageOf(t, &help, Mixture1D), usageOf(t, &help, Samples), usageOf(t, &help, Toy2D),
		usageOf(t, &help, monge.Transport), usageOf(t, &help, inference.Posterior),
		func() { ToyAblation.Execute(t.Context(), nil, []string{"-h"}, &help) },
		func() { _ = site.Execute(t.Context(), nil, []string{"-h"}, &help) }, // its error is that help was asked for
	} {
		usage()
	}
	variable := regexp.MustCompile(`CMF_[A-Z0-9_]+`)
	known := variable.FindAllString(help.String(), -1)
	if len(known) < 60 {
		t.Fatalf("the experiments tell of %d variables", len(known))
	}
	for _, name := range variable.FindAllString(readText(t, "README.md")+readText(t, "experiments/README.md")+readText(t, "experiments/CHOOSING.md"), -1) {
		if !slices.Contains(known, name) {
			t.Errorf("README names %s, which no experiment reads", name)
		}
	}
}

func usageOf[T any](t *testing.T, out io.Writer, d run.Definition[T]) func() {
	return func() { run.Execute(t.Context(), d, nil, []string{"-h"}, out) }
}

// The commands in README are those that the project's checks run, the main one with its quick
// preset, and recipes name no others.
func TestREADMECommandsAreThoseOfCI(t *testing.T) {
	_, block, _ := strings.Cut(readText(t, "README.md"), "## Two commands\n")
	block, _, _ = strings.Cut(block, "\n## ")
	commands := regexp.MustCompile(`(?m)^    (go .*?)(?:\s+#.*)?$`).FindAllStringSubmatch(block, -1)
	if len(commands) != 2 {
		t.Fatalf("README has %d commands where it promises two", len(commands))
	}
	ci, recipes := readText(t, filepath.Join(".ci", "run")), readText(t, "Justfile")
	for _, c := range commands {
		line := regexp.MustCompile(`(?m)^\s*(CMF_\S+\s+)*` + regexp.QuoteMeta(c[1]) + `$`)
		if !line.MatchString(ci) {
			t.Errorf(".ci/run does not run %s", c[1])
		}
		if !line.MatchString(recipes) {
			t.Errorf("Justfile does not run %s", c[1])
		}
	}
	for _, m := range regexp.MustCompile(`go run \./(\S+)`).FindAllStringSubmatch(ci+recipes, -1) {
		if _, err := os.Stat(filepath.Join("..", m[1], "main.go")); err != nil {
			t.Errorf("go run ./%s: %v", m[1], err)
		}
	}
}
