package fit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"cmf/experiments/config"
	"cmf/experiments/ranks"
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/density"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// checkContexts makes sure that contexts are for every row of the data, fit the network, and
// stand beside nothing that they cannot be combined with.
func (p Problem) checkContexts() error {
	k := 0
	if c, ok := p.Potential.(layers.Conditional); ok {
		k = c.Contexts()
	}
	n := p.Contexts
	switch {
	case k != n.Cols || k > 0 && n.Rows != p.Train.Rows:
		return fmt.Errorf("contexts of shape (%d, %d) for %d points and a potential with contexts of %d columns; there must be one for each point", n.Rows, n.Cols, p.Train.Rows, k)
	case p.EnergyGiven != nil && (p.EnergyGiven.Contexts() != k || p.EnergyGiven.Dim() != p.Potential.Dim()):
		return fmt.Errorf("an energy on ℝ^%d with contexts of %d columns for a potential on ℝ^%d with contexts of %d; they must agree", p.EnergyGiven.Dim(), p.EnergyGiven.Contexts(), p.Potential.Dim(), k)
	case k > 0 && (p.Energy != nil || p.From.Rows > 0 || p.Carry != nil):
		return errors.New("contexts beside an energy without contexts, a given source or noise that is carried; only one is possible")
	}
	if v := p.Validation; v.X.Rows > 0 && (v.Contexts.Cols != k || k > 0 && v.Contexts.Rows != v.X.Rows) {
		return fmt.Errorf("contexts of shape (%d, %d) for %d points to choose by; there must be one of %d columns for each", v.Contexts.Rows, v.Contexts.Cols, v.X.Rows, k)
	}
	return batch.Check("the contexts", n)
}

// startGiven is the start of a potential with contexts: from a regression, or from a Gaussian
// of each class.
func (p Problem) startGiven(init config.Init) (o layers.Start, err error) {
	o, d := p.Start, p.Potential.Dim()
	o.Contexts = someRows(p.Contexts)
	classes, identity := p.Potential.Describe().Classes, init == config.InitIdentity
	switch {
	case classes && identity:
		o.Classes = slices.Repeat([]*exact.Gaussian{exact.StandardGaussian(d)}, p.Contexts.Cols)
	case classes && o.Classes == nil:
		o.Classes, err = exact.FitClasses(p.Train, p.Contexts)
	case identity:
		o.Given = &exact.Regression{Context: batch.Means(p.Contexts), Gain: mat.NewDense(d, p.Contexts.Cols, nil), Law: exact.StandardGaussian(d)}
	case !classes && o.Given == nil:
		o.Given, err = exact.Regress(p.Train, p.Contexts, 0)
	}
	return o, err
}

// pairs are the points with their contexts if they have any, (n, d + k).
func (p Problem) pairs() blas32.General {
	if p.Contexts.Cols == 0 {
		return p.Train
	}
	d := p.Train.Cols
	pairs := batch.New(p.Train.Rows, d+p.Contexts.Cols)
	for i := range pairs.Rows {
		copy(batch.Row(pairs, i), batch.Row(p.Train, i))
		copy(batch.Row(pairs, i)[d:], batch.Row(p.Contexts, i))
	}
	return pairs
}

// particlesGiven is a bank for minibatches of n beside rows of the data, with draws of the
// closed form's noise.
func (p Problem) particlesGiven(core *config.Core, n int, m *Model) (*solvers.CMFGenState, error) {
	d, count := p.Train.Cols, (max(p.Particles, n)+n-1)/n*n
	rows := batch.New(count, d+p.Contexts.Cols)
	if err := m.epochs.Next(rows); err != nil {
		return nil, err
	}
	points := blas32.General{Rows: count, Cols: d, Stride: rows.Stride, Data: rows.Data}
	contexts := blas32.General{Rows: count, Cols: p.Contexts.Cols, Stride: rows.Stride, Data: rows.Data[d:]}
	y, partners, err := p.Start.ParticlesGiven(contexts, random.New(core.Seed, "particles", m.ranks.Rank()))
	if err != nil {
		return nil, err
	}
	return solvers.NewConditionalState(points, contexts, y, partners, n, random.New(core.Seed, "Langevin", m.ranks.Rank()))
}

// storeGiven writes the rows of the data beside particles into a checkpoint.
func (m *Model) storeGiven(c *graph.Checkpoint) {
	if g := m.State.Given; g != nil {
		c.Put("bank.points", g.Points.Data, g.Points.Rows, g.Points.Cols)
		c.Put("bank.contexts", g.Contexts.Data, g.Contexts.Rows, g.Contexts.Cols)
	}
}

// loadGiven restores what storeGiven wrote.
func (m *Model) loadGiven(c *graph.Checkpoint) error {
	g := m.State.Given
	if g == nil {
		return nil
	}
	if err := c.Get("bank.points", g.Points.Data); err != nil {
		return err
	}
	return c.Get("bank.contexts", g.Contexts.Data)
}

// stateOf is a state for the particles of a checkpoint, that is not to be trained further.
func stateOf(c *graph.Checkpoint, w *layers.Evaluator) (*solvers.CMFGenState, error) {
	y, partners := c.Tensors["bank.y"].General(), c.Tensors["bank.partners"].General()
	if y.Rows < 1 || y.Cols != w.Dim() || partners.Rows != y.Rows || partners.Cols != y.Cols {
		return nil, fmt.Errorf("its %q and %q have shapes (%d, %d) and (%d, %d); they must be (n, %d)",
			"bank.y", "bank.partners", y.Rows, y.Cols, partners.Rows, partners.Cols, w.Dim())
	}
	if k := w.Contexts(); k > 0 {
		points, contexts := c.Tensors["bank.points"].General(), c.Tensors["bank.contexts"].General()
		if contexts.Cols != k {
			return nil, fmt.Errorf("its %q have %d columns; its architecture needs %d", "bank.contexts", contexts.Cols, k)
		}
		return solvers.NewConditionalState(points, contexts, y, partners, 1, random.New(0, "none", 0))
	}
	return solvers.NewCMFGenState(y, partners, 1, random.New(0, "none", 0))
}

const (
	givenParticles = 1024 // of a model given one context
	givenSteps     = 60   // of MALA, from a Gaussian at the mode of the noise
)

// Given is the model of x given contexts, (n, k), in the units of learning. Given one
// context c it is a model of p(x | c) = ∇w*(·; c)♯𝔓_{w(·; c)}, with its own particles: its
// draws and densities are those given c, with its own Z(c). Given several, row i of a Draw
// of n points is given c_i; its R̂ says nothing there, as chains differ in their laws, and
// densities are those of LogPDFGiven. The end of ctx is an error. Ranks share the particles as
// those of Draw do.
func (m *Model) Given(ctx context.Context, contexts blas32.General, rng *random.Stream) (*Model, error) {
	w, err := m.Evaluator.Given(contexts)
	if err != nil {
		return nil, err
	}
	given := *m
	given.Evaluator, given.Curvature, given.average, given.objective, given.step = w.(*layers.Evaluator), nil, nil, nil, nil
	given.contexts = contexts
	rows, d := contexts.Rows, w.Dim()
	if rows == 1 {
		rows, given.contexts = givenParticles, blas32.General{}
	}
	y, p := batch.New(rows, d), m.State.Preconditioner()
	normal := m.Noise != potential.Potential(m.Evaluator) // N(0, I), whatever the context
	if !normal {
		given.Noise = given.Evaluator
		h, err := m.placeAtModes(ctx, contexts, y)
		if err == nil {
			p, err = potential.PreconditionerFromHessian(h)
		}
		if err != nil {
			return nil, fmt.Errorf("particles given contexts: %w", err)
		}
	}
	var own *Model
	var step float64
	err = m.ranks.Spread(rows, rng, func(from, to int, rng *random.Stream) (err error) {
		if own, err = given.of(rows, from, to); err != nil {
			return err
		}
		part := batch.Rows(y, from, to)
		if normal {
			rng.Normals(part.Data)
		} else if part, step, err = own.aroundModes(ctx, part, p, rng); err != nil {
			return fmt.Errorf("particles given contexts: %w", err)
		}
		own, err = own.withParticles(ctx, part, p, step)
		return err
	})
	if err != nil {
		return nil, err
	}
	bank := own.State
	return &given, given.takeParticles(m.ranks.Joined(rows, bank.Bank.Y), m.ranks.Joined(rows, bank.Partners), p, m.ranks.Mean(rows, step))
}

// of is m for the rows from..to of n alone, if these have contexts of their own.
func (m *Model) of(n, from, to int) (*Model, error) {
	if m.contexts.Rows != n || from == 0 && to == n {
		return m, nil
	}
	w, err := m.Evaluator.Given(batch.Rows(m.contexts, from, to))
	if err != nil {
		return nil, err
	}
	part := *m
	part.Evaluator, part.contexts = w.(*layers.Evaluator), batch.Rows(m.contexts, from, to)
	if m.Noise == potential.Potential(m.Evaluator) {
		part.Noise = part.Evaluator
	}
	return &part, nil
}

// aroundModes are particles, from a Gaussian about each mode, and the step of their chains.
func (m *Model) aroundModes(ctx context.Context, modes blas32.General, p *potential.Preconditioner, rng *random.Stream) (y blas32.General, step float64, err error) {
	xi, around := batch.New(modes.Rows, modes.Cols), batch.New(modes.Rows, modes.Cols)
	rng.Normals(xi.Data)
	p.Root(around, xi)
	for i, v := range modes.Data {
		around.Data[i] += v
	}
	chains, err := sampling.NewChains(around)
	if err != nil {
		return y, 0, err
	}
	_, err = sampling.Langevin{Adjusted: true, Preconditioner: p, Step: .5}.Run(ctx, m.Noise, chains, givenSteps, rng)
	return chains.Y, chains.Step, err
}

// placeAtModes writes the least point of w(·; c_i), roughly ∇w*(0; c_i), into row i of y, and
// returns the mean Hessian there. One context stands for all rows.
func (m *Model) placeAtModes(ctx context.Context, contexts, y blas32.General) (*mat.SymDense, error) {
	groups := batch.EqualRows(contexts)
	first := make([]int, len(groups))
	for k, rows := range groups {
		first[k] = rows[0]
	}
	w, err := m.Evaluator.Given(batch.Gathered(contexts, first))
	if err != nil {
		return nil, err
	}
	modes := batch.New(len(groups), y.Cols)
	solver := &conjugate.LBFGS{Tolerance: .1, MaxIterations: 200} // of .01·√d
	if _, err := solver.Solve(ctx, w, batch.New(modes.Rows, modes.Cols), modes, m.State.Preconditioner()); err != nil {
		return nil, err
	}
	if contexts.Rows == 1 {
		groups[0] = rowsTo(y.Rows)
	}
	for k, rows := range groups {
		for _, i := range rows {
			copy(batch.Row(y, i), batch.Row(modes, k))
		}
	}
	return potential.MeanHessian(w, modes)
}

// withParticles is m with the particles y, solved conjugates, and the preconditioner p.
func (m *Model) withParticles(ctx context.Context, y blas32.General, p *potential.Preconditioner, step float64) (*Model, error) {
	with := *m
	if err := with.takeParticles(y, y, p, step); err != nil {
		return nil, err
	}
	_, err := with.solve(ctx, with.State.Bank.Y, with.State.Partners)
	return &with, err
}

// takeParticles gives m the particles y with their conjugates x.
func (m *Model) takeParticles(y, x blas32.General, p *potential.Preconditioner, step float64) error {
	state, err := solvers.NewCMFGenState(y, x, y.Rows, random.New(0, "none", 0))
	if err != nil {
		return err
	}
	state.Step, state.Bank.Step = m.State.Step, step
	state.SetPreconditioner(p)
	m.State = state
	return nil
}

// rowsTo lists the rows below n.
func rowsTo(n int) []int {
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// DensityGiven is the log density of points given contexts.
type DensityGiven struct {
	LogPDF []float64               // log q_w(x_i | c_i), in nats; NaN where ∇²w is not positive definite
	LogZ   []density.AnnealingInfo // of log Z(c_i), the same for rows with the same context
}

// LogPDFGiven evaluates log q_w(x_i | c_i) for the rows of x, (n, d), and of contexts, (n, k),
// both in the units of learning:
//
//	log q_w(x | c) = −w(∇w(x; c); c) + log det ∇²w(x; c) − log Z(c)
//
// Every context has its own log Z(c), by quadrature on rays in one or two dimensions and by
// annealing of the given number of particles in more, once for all of its rows; 0 means 256,
// with a standard error of some .02 nats. The end of ctx is an error. Ranks share contexts and
// rows as those of Draw do.
func (m *Model) LogPDFGiven(ctx context.Context, x, contexts blas32.General, particles int, rng *random.Stream) (*DensityGiven, error) {
	return m.logPDFGiven(ctx, x, contexts, normalising{particles: cmp.Or(particles, 256)}, rng)
}

// normalising is how closely log Z(c) is found.
type normalising struct {
	particles int          // of each context
	rays      density.Rays // in one or two dimensions
}

func (m *Model) logPDFGiven(ctx context.Context, x, contexts blas32.General, by normalising, rng *random.Stream) (*DensityGiven, error) {
	if x.Rows != contexts.Rows {
		return nil, fmt.Errorf("the density of %d points given %d contexts; there must be one for each", x.Rows, contexts.Rows)
	}
	l := &DensityGiven{make([]float64, x.Rows), make([]density.AnnealingInfo, x.Rows)}
	groups := batch.EqualRows(contexts)
	logZ, err := m.logZGiven(ctx, contexts, groups, by, rng)
	if err != nil {
		return nil, err
	}
	err = m.ranks.Spread(x.Rows, rng, func(from, to int, _ *random.Stream) error {
		w, err := m.Evaluator.Given(batch.Rows(contexts, from, to))
		if err != nil {
			return err
		}
		q := density.Pushforward{Potential: w}
		if m.Noise != potential.Potential(m.Evaluator) {
			q.Noise = m.Noise
		}
		l.LogPDF, _, err = q.LogPDF(ctx, batch.Rows(x, from, to))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("density given contexts: %w", err)
	}
	l.LogPDF = m.ranks.Joined64(x.Rows, l.LogPDF)
	for k, rows := range groups {
		for _, i := range rows {
			l.LogPDF[i] -= logZ[k].LogZ
			l.LogZ[i] = logZ[k]
		}
	}
	return l, nil
}

// logZGiven is log Z(c) for the context of each group of rows.
func (m *Model) logZGiven(ctx context.Context, contexts blas32.General, groups [][]int, by normalising, rng *random.Stream) ([]density.AnnealingInfo, error) {
	if m.Noise != potential.Potential(m.Evaluator) { // N(0, I) for every context
		info, err := m.GibbsLogZ(ctx, 1, rng)
		return slices.Repeat([]density.AnnealingInfo{info}, len(groups)), err
	}
	most := len(groups) // contexts at once
	if m.Evaluator.Dim() > 2 {
		const rows = 1 << 14
		most = max(1, rows/by.particles)
	}
	var own []density.AnnealingInfo
	err := m.ranks.Spread(len(groups), rng, func(from, to int, rng *random.Stream) error {
		for lo := from; lo < to; lo += most {
			hi := min(lo+most, to)
			at := make([]int, 0, most)
			for _, rows := range groups[lo:hi] {
				at = append(at, rows[0])
			}
			if len(at) == 1 {
				at = append(at, at[0]) // so that every row has a context of its own
			}
			part, err := m.logZAt(ctx, batch.Gathered(contexts, at), by, rng)
			if err != nil {
				return fmt.Errorf("log Z given the context of row %d and those after it: %w", at[0]+1, err)
			}
			own = append(own, part[:hi-lo]...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ranks.JoinedOf(m.ranks, len(groups), own)
}

// logZAt is log Z(c) for each row of contexts, two or more that are not all the same.
func (m *Model) logZAt(ctx context.Context, contexts blas32.General, by normalising, rng *random.Stream) ([]density.AnnealingInfo, error) {
	w, err := m.Evaluator.Given(contexts)
	if err != nil {
		return nil, err
	}
	modes := batch.New(contexts.Rows, m.Evaluator.Dim())
	h, err := m.placeAtModes(ctx, contexts, modes)
	if err != nil {
		return nil, err
	}
	if modes.Cols > 2 {
		shape, err := inverse(h, make([]float64, modes.Cols))
		if err != nil {
			return nil, err
		}
		return density.Annealing{Particles: by.particles}.LogZs(ctx, w, modes, shape, rng)
	}
	logZ, change, err := by.rays.LogZ(ctx, w, modes)
	infos := make([]density.AnnealingInfo, len(logZ))
	for k, v := range logZ {
		infos[k] = density.AnnealingInfo{LogZ: v, Error: change, Size: 1}
	}
	return infos, err
}

// meanHessian is the mean of ∇²w over the rows of y.
func (m *Model) meanHessian(y blas32.General) (*mat.SymDense, error) {
	if m.Curvature != nil {
		return m.Curvature.MeanHessian(y)
	}
	return potential.MeanHessian(m.Evaluator, y)
}

// CheckGivenContexts is CheckLoss for a fit with contexts.
func CheckGivenContexts(c *config.Core) error {
	sum, err := ParseLoss(c.Loss, false)
	if err != nil {
		return err
	}
	if err := sum.CheckContexts(); err != nil {
		return fmt.Errorf("CMF_LOSS=%s: %w", c.Loss, err)
	}
	return nil
}
