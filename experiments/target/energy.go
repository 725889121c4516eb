package target

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"cmf/data"
	"cmf/data/units"
	"cmf/experiments/run"
	"cmf/solvers"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Energy is an energy with everything known about its law ρ, in the units of learning.
type Energy struct {
	Boxed
	name   string
	Units  units.Affine                                   // zero for those of the energy
	logZ   float64                                        // log ∫e^{−E} in the units of the energy; NaN if unknown
	grid   *data.Quadrature                               // in up to two dimensions, else nil
	sample func(n int, rng *random.Stream) blas32.General // exact points of ρ; nil if they cannot be drawn
	Placed int                                            // evaluations of E to find its place
}

// NewEnergy refuses an energy that is not integrable, or of too much detail. It finds
// the units in which it is learned, and integrates it if that is possible.
func NewEnergy(ctx context.Context, r *run.Run, e solvers.Energy) (*Energy, error) {
	t := &Energy{Boxed: Boxed{Energy: e}, name: r.Report.Experiment, logZ: math.NaN()}
	known, ok := e.(*data.Energy)
	if ok {
		t.name, t.Box, t.logZ = cmp.Or(known.Name, t.name), known.Box, known.LogZ
	}
	var err error
	if t.Box.Lower != nil {
		err = data.CheckIntegrable(e)
	} else {
		t.Box, err = data.FindBox(e)
	}
	if err != nil {
		return nil, err
	}
	r.Report.Data = fmt.Sprintf("the energy %s on ℝ^%d", t.name, e.Dim())
	box := t.Box
	if err := t.settle(ctx); err != nil {
		return nil, err
	}
	NoteUnits(r, t.Units)
	if known, ok = t.Energy.(*data.Energy); ok {
		t.sample = known.Draw
	}
	if e.Dim() <= 2 {
		if err := t.integrate(r); err != nil {
			return nil, err
		}
	}
	r.Report.Truth = map[string]any{"log_z": t.logZ, "box": [][]float64{box.Lower, box.Upper}}
	return t, nil
}

// mostDetail is the largest detail of a law that is learned.
const mostDetail = 120

// settle finds where the law lies, from points of it, and goes over to units of learning.
func (t *Energy) settle(ctx context.Context) error {
	const points, evaluations = 1024, 100 * 1024
	// Points are found in units of the box, where float32 resolves them.
	about := units.Affine{}
	for k, lower := range t.Box.Lower {
		about.Center, about.Scale = append(about.Center, (lower+t.Box.Upper[k])/2), append(about.Scale, (t.Box.Upper[k]-lower)/2)
	}
	e, err := data.InUnits(t.Energy, about)
	if err != nil {
		return err
	}
	var x blas32.General
	box := data.BoxInUnits(t.Box, about)
	switch known, ok := e.(*data.Energy); {
	case ok && known.Draw != nil:
		x = known.Draw(points, streamOfPlace())
	case e.Dim() <= 2:
		q, _, err := refined(e, box)
		if err != nil {
			return err
		}
		x = q.Sample(points, streamOfPlace())
	default:
		found, err := Boxed{Energy: e, Box: box}.Explore(ctx, points, evaluations, streamOfPlace())
		if err != nil {
			return err
		}
		x, t.Placed = found.Points, found.Evaluations
	}
	mean, sd, times, err := detail(e, x)
	if err != nil {
		return err
	}
	if worst := slices.Max(times); worst > mostDetail {
		k := slices.Index(times, worst)
		return fmt.Errorf("the law of %s has far finer detail than its width along coordinate %d: its standard deviation is %.3g, but its slopes are those of parts %.3g times narrower; allowed is up to %d. "+
			"Learn distant or narrow modes one by one, each with its own log Z, or give them similar sizes and distances", t.name, k+1, about.Scale[k]*sd[k], worst, mostDetail)
	}
	for k, s := range about.Scale {
		mean[k], sd[k] = about.Center[k]+s*mean[k], s*sd[k]
	}
	t.Units = UnitsAbout(mean, sd)
	t.Box = data.BoxInUnits(t.Box, t.Units)
	t.Energy, err = data.InUnits(t.Energy, t.Units)
	return err
}

// integrate integrates the energy over its box.
func (t *Energy) integrate(r *run.Run) error {
	grid, ok, err := refined(t.Energy, t.Box)
	if err != nil {
		return err
	}
	if grid.NaNs > 0 {
		r.Note("The energy is not a number at %d of %d points of its box; they count as points without mass.", grid.NaNs, len(grid.LogDensity))
	}
	if grid.Edge > 1e-3 {
		r.Note("The cells along the edge of the box contain a share %.2g of the mass: the box is too small.", grid.Edge)
	}
	if !ok {
		r.Warn("Quadrature with %d cells along each axis misses parts of the law: with cells three times as wide log Z differs by %.2g. There is no KL by quadrature, and log Z is compared only with a closed form.", grid.Cells, grid.Change)
		return nil
	}
	if grid.Change > .01 {
		r.Note("With cells three times as wide, log Z by quadrature differs by %.2g, as where the energy has jumps: what is compared with it has errors of about a third of that.", grid.Change)
	}
	t.grid, t.logZ, t.sample = grid, grid.LogZ+data.LogScale(t.Units), grid.Sample
	return nil
}
