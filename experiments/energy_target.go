package experiments

import (
	"cmp"
	"fmt"
	"math"

	"cmf/data"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/solvers"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// energyTarget is an energy with everything known about its law ρ.
type energyTarget struct {
	fit.Target
	name   string
	logZ   float64                                        // log ∫e^{−E}; NaN if unknown
	grid   *data.Quadrature                               // in up to two dimensions, else nil
	sample func(n int, rng *random.Stream) blas32.General // exact points of ρ; nil if they cannot be drawn
}

// newEnergyTarget refuses an energy that is not integrable, and integrates it if that is
// possible.
func newEnergyTarget(r *run.Run, e solvers.Energy) (*energyTarget, error) {
	t := &energyTarget{Target: fit.Target{Energy: e}, name: r.Report.Experiment, logZ: math.NaN()}
	var err error
	if known, ok := e.(*data.Energy); ok {
		t.name, t.Box, t.logZ, t.sample = cmp.Or(known.Name, t.name), known.Box, known.LogZ, known.Draw
	}
	if t.Box.Lower != nil {
		err = data.CheckIntegrable(e)
	} else {
		t.Box, err = data.FindBox(e)
	}
	if err != nil {
		return nil, err
	}
	r.Report.Data = fmt.Sprintf("the energy %s on ℝ^%d", t.name, e.Dim())
	if e.Dim() <= 2 {
		if t.grid, err = data.NewQuadrature(e, t.Box, 0); err != nil {
			return nil, err
		}
		t.logZ, t.sample = t.grid.LogZ, t.grid.Sample
		if t.grid.NaNs > 0 {
			r.Note("The energy is not a number at %d of %d points of its box; they count as points without mass.", t.grid.NaNs, len(t.grid.LogDensity))
		}
		if t.grid.Edge > 1e-3 {
			r.Note("The cells along the edge of the box contain a share %.2g of the mass: the box is too small.", t.grid.Edge)
		}
	}
	r.Report.Truth = map[string]any{"log_z": t.logZ, "box": [][]float64{t.Box.Lower, t.Box.Upper}}
	return t, nil
}
