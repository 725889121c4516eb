package layers

import (
	"errors"
	"fmt"

	"cmf/graph"
	"cmf/layers/internal/pieces"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// gatedOff is the gate of a piece for a class that is not its own, far below any difference
// of the pieces where points lie.
const gatedOff = -1e6

// initClasses divides the pieces among the classes by their shares of the data, one or more
// each, and sets those of a class as initQuadratics does, on the data of the class and from
// the closed form of its Gaussian.
func (o Start) initClasses(q *Quadratics, data blas32.General, rng *random.Stream) error {
	d := q.Dim()
	if len(o.Classes) != q.Context || o.Contexts.Rows != data.Rows || o.Contexts.Cols != q.Context {
		return fmt.Errorf("layers: initialisation with %d Gaussians and contexts of shape (%d, %d), for %d points of %d classes", len(o.Classes), o.Contexts.Rows, o.Contexts.Cols, data.Rows, q.Context)
	}
	members, err := exact.ClassRows(o.Contexts)
	if err != nil {
		return fmt.Errorf("layers: %w", err)
	}
	forms, floor := make([]closedForm, len(members)), 0.
	for k, law := range o.Classes {
		if law.Dim() != d {
			return fmt.Errorf("layers: initialisation on ℝ^%d with a Gaussian on ℝ^%d", d, law.Dim())
		}
		o.Law = law
		forms[k] = o.conjugateMoment()
		if s := forms[k].floor(); k == 0 || s < floor {
			floor = s
		}
	}
	q.Floor.Set(0, floor)
	q.context.Gates.Fill(func(int) float64 { return gatedOff })
	rates := make(map[*graph.Param]float64)
	at := 0
	for k, share := range pieces.Divided(q.Pieces, members) {
		if share > len(members[k]) {
			return fmt.Errorf("layers: %d quadratics for the %d points of class %d; there must be a point for each", share, len(members[k]), k)
		}
		part, err := NewQuadratics(Architecture{Dim: d, Pieces: share, Rank: q.Rank, Tau: q.Tau})
		if err != nil {
			return err
		}
		o.Law = o.Classes[k]
		if err := o.initAbove(part, forms[k], floor, batch.Gathered(data, members[k]), rng); err != nil {
			return fmt.Errorf("%w: class %d", err, k)
		}
		for _, p := range part.params.Trained() {
			to := q.params.ByName(p.Name)
			copy(to.Float32s()[at*p.Len()/share:], p.Float32s())
			rates[to] += p.Rate / float64(len(members))
		}
		for i := range share {
			q.context.Gates.Set(k*q.Pieces+at+i, 0)
		}
		at += share
	}
	for p, rate := range rates {
		p.Rate = rate
	}
	return nil
}

// particlesOfClasses is ParticlesGiven where contexts are classes.
func (o Start) particlesOfClasses(contexts blas32.General, rng *random.Stream) (y, conjugates blas32.General, err error) {
	if contexts.Cols != len(o.Classes) {
		return y, conjugates, errors.New("layers: particles of classes that the start does not have")
	}
	members := make([][]int, len(o.Classes))
	for i := range contexts.Rows {
		k := exact.Class(batch.Row(contexts, i))
		if k < 0 {
			return y, conjugates, fmt.Errorf("layers: row %d of the contexts is no class", i)
		}
		members[k] = append(members[k], i)
	}
	d := o.Classes[0].Dim()
	y, conjugates = batch.New(contexts.Rows, d), batch.New(contexts.Rows, d)
	for k, rows := range members {
		if len(rows) == 0 {
			continue
		}
		o.Law = o.Classes[k]
		at, to := o.Particles(len(rows), rng)
		batch.Scatter(y, at, rows)
		batch.Scatter(conjugates, to, rows)
	}
	return y, conjugates, nil
}
