package fit

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"cmf/experiments/config"
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
	case k > 0 && (p.Energy != nil || p.From.Rows > 0 || p.Carry != nil || p.Validation.X.Rows > 0):
		return errors.New("contexts beside an energy, a given source, noise that is carried or a validation; only one is possible")
	}
	return batch.Check("the contexts", n)
}

// startGiven is the regression from which a potential with contexts starts.
func (p Problem) startGiven(init config.Init) (*exact.Regression, error) {
	if init == config.InitIdentity {
		d := p.Potential.Dim()
		return &exact.Regression{Context: batch.Means(p.Contexts), Gain: mat.NewDense(d, p.Contexts.Cols, nil), Law: exact.StandardGaussian(d)}, nil
	}
	if p.Start.Given != nil {
		return p.Start.Given, nil
	}
	return exact.Regress(p.Train, p.Contexts, 0)
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
// densities are those of LogPDFGiven. The end of ctx is an error.
func (m *Model) Given(ctx context.Context, contexts blas32.General, rng *random.Stream) (*Model, error) {
	return m.given(ctx, contexts, givenParticles, rng)
}

// given is Given with the number of particles if there is one context.
func (m *Model) given(ctx context.Context, contexts blas32.General, particles int, rng *random.Stream) (*Model, error) {
	w, err := m.Evaluator.Given(contexts)
	if err != nil {
		return nil, err
	}
	given := *m
	given.Evaluator, given.Curvature, given.average, given.objective, given.step = w.(*layers.Evaluator), nil, nil, nil, nil
	rows, d := contexts.Rows, w.Dim()
	if rows == 1 {
		rows = particles
	}
	y := batch.New(rows, d)
	if m.Noise != potential.Potential(m.Evaluator) {
		rng.Normals(y.Data) // N(0, I), whatever the context
		return given.withParticles(ctx, y, m.State.Preconditioner(), 0)
	}
	given.Noise = given.Evaluator
	p, err := given.placeAtModes(ctx, y, contexts.Rows == 1)
	if err != nil {
		return nil, fmt.Errorf("particles given contexts: %w", err)
	}
	xi, around := batch.New(rows, d), batch.New(rows, d)
	rng.Normals(xi.Data)
	p.Root(around, xi)
	for i, v := range around.Data {
		y.Data[i] += v
	}
	chains, err := sampling.NewChains(y)
	if err != nil {
		return nil, err
	}
	if _, err := (sampling.Langevin{Adjusted: true, Preconditioner: p, Step: .5}).Run(ctx, given.Noise, chains, givenSteps, rng); err != nil {
		return nil, fmt.Errorf("particles given contexts: %w", err)
	}
	return given.withParticles(ctx, chains.Y, p, chains.Step)
}

// placeAtModes writes the least point of w(·; c_i) into row i of y, and returns the inverse
// of the mean Hessian there. one says that all rows have the same context.
func (m *Model) placeAtModes(ctx context.Context, y blas32.General, one bool) (*potential.Preconditioner, error) {
	modes := y
	if one {
		modes = batch.First(y, 1)
	}
	if err := findModes(ctx, m.Evaluator, modes, m.State.Preconditioner()); err != nil {
		return nil, err
	}
	h, err := potential.MeanHessian(m.Evaluator, modes)
	if err != nil {
		return nil, err
	}
	for i := modes.Rows; i < y.Rows; i++ {
		copy(batch.Row(y, i), batch.Row(modes, 0))
	}
	return potential.PreconditionerFromHessian(h)
}

// findModes writes the least points ∇w*(0), roughly.
func findModes(ctx context.Context, w potential.Potential, modes blas32.General, p *potential.Preconditioner) error {
	solver := &conjugate.LBFGS{Tolerance: .1, MaxIterations: 200} // of .01·√d
	_, err := solver.Solve(ctx, w, batch.New(modes.Rows, modes.Cols), modes, p)
	return err
}

// withParticles is m with the particles y, solved conjugates, and the preconditioner p.
func (m *Model) withParticles(ctx context.Context, y blas32.General, p *potential.Preconditioner, step float64) (*Model, error) {
	state, err := solvers.NewCMFGenState(y, y, y.Rows, random.New(0, "none", 0))
	if err != nil {
		return nil, err
	}
	state.Step, state.Bank.Step = m.State.Step, step
	state.SetPreconditioner(p)
	m.State = state
	_, err = m.solve(ctx, state.Bank.Y, state.Partners)
	return m, err
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
// with a standard error of some .02 nats. The end of ctx is an error.
func (m *Model) LogPDFGiven(ctx context.Context, x, contexts blas32.General, particles int, rng *random.Stream) (*DensityGiven, error) {
	if x.Rows != contexts.Rows {
		return nil, fmt.Errorf("the density of %d points given %d contexts; there must be one for each", x.Rows, contexts.Rows)
	}
	l := &DensityGiven{make([]float64, x.Rows), make([]density.AnnealingInfo, x.Rows)}
	groups := equalRows(contexts)
	logZ, err := m.logZGiven(ctx, contexts, groups, cmp.Or(particles, 256), rng)
	if err != nil {
		return nil, err
	}
	w, err := m.Evaluator.Given(contexts)
	if err != nil {
		return nil, err
	}
	q := density.Pushforward{Potential: w}
	if m.Noise != potential.Potential(m.Evaluator) {
		q.Noise = m.Noise
	}
	if l.LogPDF, _, err = q.LogPDF(ctx, x); err != nil {
		return nil, fmt.Errorf("density given contexts: %w", err)
	}
	for k, rows := range groups {
		for _, i := range rows {
			l.LogPDF[i] -= logZ[k].LogZ
			l.LogZ[i] = logZ[k]
		}
	}
	return l, nil
}

// logZGiven is log Z(c) for the context of each group of rows.
func (m *Model) logZGiven(ctx context.Context, contexts blas32.General, groups [][]int, particles int, rng *random.Stream) ([]density.AnnealingInfo, error) {
	infos, d := make([]density.AnnealingInfo, len(groups)), m.Evaluator.Dim()
	if m.Noise != potential.Potential(m.Evaluator) { // N(0, I) for every context
		info, err := m.GibbsLogZ(ctx, 1, rng)
		for k := range infos {
			infos[k] = info
		}
		return infos, err
	}
	first := make([]int, len(groups))
	for k, rows := range groups {
		first[k] = rows[0]
	}
	at := batch.Gathered(contexts, first)
	if d <= 2 && len(groups) > 0 {
		w, err := m.Evaluator.Given(at)
		if err != nil {
			return nil, err
		}
		if at.Rows == 1 {
			at = batch.Stacked(at, at) // so that every row has a context of its own
			if w, err = m.Evaluator.Given(at); err != nil {
				return nil, err
			}
		}
		modes := batch.New(at.Rows, d)
		if err := findModes(ctx, w, modes, m.State.Preconditioner()); err != nil {
			return nil, err
		}
		logZ, change, err := density.Rays{}.LogZ(ctx, w, modes)
		if err != nil {
			return nil, err
		}
		for k := range infos {
			infos[k] = density.AnnealingInfo{LogZ: logZ[k], Error: change, Size: 1}
		}
		return infos, nil
	}
	for k := range infos {
		var err error
		if infos[k], err = m.annealGiven(ctx, batch.Rows(at, k, k+1), particles, rng); err != nil {
			return nil, fmt.Errorf("given the context of row %d: %w", first[k], err)
		}
	}
	return infos, nil
}

// annealGiven is log Z(c) of one context by annealing from a Gaussian near its Gibbs factor.
func (m *Model) annealGiven(ctx context.Context, context blas32.General, particles int, rng *random.Stream) (density.AnnealingInfo, error) {
	given, err := m.given(ctx, context, max(256, 20*m.Evaluator.Dim()), rng)
	if err != nil {
		return density.AnnealingInfo{}, err
	}
	reference, err := given.gibbsReference()
	if err != nil {
		return density.AnnealingInfo{}, err
	}
	return density.Annealing{Particles: particles}.LogZ(ctx, given.Evaluator, reference, rng)
}

// equalRows lists the rows of b in groups of equal rows, in the order of their first.
func equalRows(b blas32.General) (groups [][]int) {
	group := make(map[string]int)
	for i := range b.Rows {
		key := fmt.Sprintf("%x", batch.Row(b, i))
		g, ok := group[key]
		if !ok {
			g = len(groups)
			group[key], groups = g, append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
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
