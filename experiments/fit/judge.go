package fit

import (
	"fmt"
	"maps"
	"math"

	"cmf/experiments/report"
	"cmf/experiments/run"
)

// Report puts the checks of the draw into the report, and warns of chains that have not mixed
// and of conjugates that did not converge.
func (d *Draw) Report(r *run.Run) {
	maps.Copy(r.Report.Metrics, d.Checks)
	longer := "The chains have not mixed."
	for _, variable := range []string{"CMF_MIXING", "CMF_CHAIN"} {
		if steps, ok := r.Report.Config[variable]; ok {
			longer = fmt.Sprintf("Raise %s, here %s, for chains that mix.", variable, steps)
		}
	}
	const slower = "Learn again at a lower rate (CMF_LR)."
	if math.IsNaN(d.Checks["r_hat"]) {
		r.Warn("The chains from which points are generated do not move: do not rely on them. %s", slower)
	} else {
		r.Judge(run.Bound{Metric: "r_hat", Label: "R̂ of the chains from which points are generated", Goal: report.Lower, Poor: 1.1, Remedy: longer})
	}
	r.Judge(run.Bound{Metric: "conjugate_converged", Label: "share of generated points whose conjugates converged", Goal: report.Higher, Poor: .99, Remedy: slower})
}
