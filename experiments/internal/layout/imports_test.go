package layout

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// order lists the packages from the lowest: a package imports only those of earlier lines.
// A line with a folder and "/..." stands for all packages below that folder that no other
// line names; these may import each other.
var order = []string{
	"data/file data/memory graph/wire graph/kernel graph/kernel/simd128 graph/onnxtest",
	"graph/blas",
	"graph/op",
	"graph",
	"solvers/batch solvers/order solvers/random solvers/mpi",
	"solvers/potential",
	"solvers/...",
	"solvers",
	"experiments/internal/exptest",
	"data/table/claims data/table/numpy data/table/text",
	"data/table",
	"data/margins",
	"data/units data/images",
	"data",
	"layers/internal/spectrum",
	"layers/internal/pieces layers/internal/hinges",
	"layers",
	"layers/autoencoder losses",
	"experiments/config experiments/metric",
	"experiments/playground/learner",
	"experiments/figure experiments/metric/tabular",
	"experiments/report",
	"experiments/watch",
	"experiments/playground/site",
	"experiments/run",
	"experiments/train",
	"experiments/ranks",
	"experiments/fit",
	"experiments/sweep experiments/picture experiments/table experiments/latent experiments/target experiments/inference",
	"experiments/picture/inpaint experiments/monge experiments/internal/...",
	"experiments",
	"experiments/study",
}

// rank is the line of order for a package, and whether the package may import others of that
// line; commands are above all.
func rank(t *testing.T, p *listed) (line int, together bool) {
	if p.Name == "main" {
		return len(order), false
	}
	line = -1
	for k, entry := range order {
		if slices.Contains(strings.Fields(entry), p.ImportPath) {
			return k, false
		}
		for _, word := range strings.Fields(entry) {
			if folder, ok := strings.CutSuffix(word, "..."); ok && strings.HasPrefix(p.ImportPath, folder) {
				line = k
			}
		}
	}
	if line < 0 {
		t.Errorf("%s has no place in the order of packages: give it a line", p.ImportPath)
	}
	return line, true
}

func TestImportsRunOneWay(t *testing.T) {
	packages := module(t)
	lines := map[string]int{}
	for _, p := range packages {
		lines[p.ImportPath], _ = rank(t, p)
	}
	for _, p := range packages {
		line, together := rank(t, p)
		for _, imported := range p.Imports {
			of, ours := lines[imported]
			if ours && of >= line && !(together && of == line) {
				t.Errorf("%s imports %s, which is not below it", p.ImportPath, imported)
			}
		}
	}
}

// Solvers and data know points and potentials, but not the graphs that evaluate them;
// kernels are functions of plain slices.
func TestSolversAndDataKnowNoGraphs(t *testing.T) {
	for _, p := range module(t) {
		if !strings.HasPrefix(p.ImportPath, "solvers") && !strings.HasPrefix(p.ImportPath, "data") {
			continue
		}
		for _, reached := range p.Deps {
			if strings.HasPrefix(reached, "gorgonia.org/") || strings.HasPrefix(reached, "graph") && reached != "graph/kernel" {
				t.Errorf("%s reaches %s", p.ImportPath, reached)
			}
		}
	}
}

// Other packages declare nodes; only graph runs and differentiates them.
func TestGraphAloneRunsGraphs(t *testing.T) {
	runs := regexp.MustCompile(`\bgorgonia\.(New\w*Machine|VM|Grad|Backpropagate|UnsafeLet|Let)\b`)
	found := 0
	for _, p := range module(t) {
		for _, path := range p.files() {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			call := runs.Find(text)
			if call == nil {
				continue
			}
			found++
			if p.ImportPath != "graph" {
				t.Errorf("%s uses %s; only graph runs expressions", path, call)
			}
		}
	}
	if found == 0 {
		t.Error("nothing runs expressions, so this test looks for the wrong names")
	}
}
