package fit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/report"
	"cmf/experiments/run"
)

// What is wrong with a model stands at the head of the page and first in the notes of the
// report, with what to change; what is right with it does not.
func TestPoorModelsAreSaid(t *testing.T) {
	type mixing struct {
		config.Command
		config.Generation
	}
	for name, c := range map[string]struct {
		rHat, converged, likelihood float64
		want                        []string
	}{
		"good":                   {1.05, 1, -1.2, nil},
		"chains":                 {1.3, 1, -1, []string{"R̂ of the chains", "Raise CMF_MIXING, here 200"}},
		"chains that stand":      {math.NaN(), 1, -1, []string{"do not move", "(CMF_LR)"}},
		"conjugates":             {1, .9, -1, []string{"share of generated points whose conjugates converged is 0.9", "(CMF_LR)"}},
		"less than the Gaussian": {1, 1, -1.4, []string{"worse than the -1 of the Gaussian fit", "from more points"}},
	} {
		out := t.TempDir()
		d := run.Definition[mixing]{
			Name: "judged", Presets: map[string]func(*mixing){"default": func(*mixing) {}},
			Do: func(_ context.Context, r *run.Run, _ *mixing) error {
				(&fit.Draw{Checks: report.Numbers{"r_hat": c.rHat, "conjugate_converged": c.converged}}).Report(r)
				r.Report.Metrics["log_likelihood"], r.Report.Metrics["log_likelihood_se"], r.Report.Baseline["log_likelihood"] = c.likelihood, .1, -1
				r.JudgeLikelihood("the Gaussian fit")
				return nil
			},
		}
		if _, err := run.Execute(t.Context(), d, config.Variables("CMF_OUT="+out), nil, new(bytes.Buffer)); err != nil {
			t.Fatal(err)
		}
		var left report.Report
		text, err := os.ReadFile(out + "/report.json")
		if err == nil {
			err = json.Unmarshal(text, &left)
		}
		page, failed := os.ReadFile(out + "/index.html")
		if err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		if left.Metrics["r_hat"] != c.rHat && !math.IsNaN(c.rHat) {
			t.Errorf("%s: metrics %v", name, left.Metrics)
		}
		if len(left.Warnings) != min(1, len(c.want)) {
			t.Errorf("%s: warnings %q", name, left.Warnings)
			continue
		}
		head, _, _ := strings.Cut(string(page), "</header>")
		for _, want := range c.want {
			if !strings.Contains(left.Notes[0], want) || !strings.Contains(head, want) {
				t.Errorf("%s: notes %q and the head of the page; want %q", name, left.Notes, want)
			}
		}
	}
}
