package solvers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/order"
	"cmf/solvers/potential"
	"cmf/solvers/sampling"

	"gonum.org/v1/gonum/blas/blas32"
)

// CMFMAState is all that changes from step to step.
type CMFMAState struct {
	*CMFGenState                  // particles y with their partners x̂, the step, Adam, the stream
	Walkers      *sampling.Chains // points that MALA moves on E
	Evaluations  int              // points at which E was evaluated so far

	groups                      int              // of points with one context; 1 without contexts
	own, walk                   int              // points of a group from the model and from the walkers
	xhat                        blas32.General   // the conjugates of the minibatch of the bank
	points, energy, slope, mask blas32.General   // the batch
	sloped                      bool             // slope was evaluated at these points
	contexts                    blas32.General   // of the points, (n, k), if they have any
	moving                      *sampling.Chains // the walkers of these contexts, or all

	usable   []int     // rows of the batch
	energies []float32 // some of the energies, for the median in level
}

// Shares say which part of a batch of points comes from each place, in any unit. The
// zero value means half from the model, half from the energy.
type Shares struct {
	Model  float64 // x̂ = ∇w*(y), y ~ 𝔓_w, under the current w
	Energy float64 // MALA on E
	Box    float64 // uniform in a box
}

// Split divides n points.
func (s Shares) Split(n int) (model, energy, box int, err error) {
	if s == (Shares{}) {
		s = Shares{Model: 1, Energy: 1}
	}
	total := s.Model + s.Energy + s.Box
	if !(s.Model >= 0 && s.Energy >= 0 && s.Box >= 0 && total > 0) || math.IsInf(total, 0) {
		return 0, 0, 0, fmt.Errorf("solvers: shares %g, %g and %g of the points; each must be 0 or more, and one of them positive", s.Model, s.Energy, s.Box)
	}
	model = int(math.Round(float64(n) * s.Model / total))
	energy = int(math.Round(float64(n) * s.Energy / total))
	if s.Box == 0 {
		energy = n - model
	}
	energy = min(energy, n-model)
	return model, energy, n - model - energy, nil
}

// Box is the product of the intervals [Lower_k, Upper_k].
type Box struct{ Lower, Upper []float64 }

// NewCMFMAState starts from the particles of model and from walkers, (m, d), with
// batches of n ≥ 2 points. The minibatch of model and the m walkers must each have at
// least as many rows as their share of n.
//
// Particles with contexts, of NewConditionalState, stand in groups of equal contexts, as many
// to a group as its share of ContextRows or more, and the walkers beside them in groups of
// that share. n is a multiple of ContextRows.
func NewCMFMAState(n int, shares Shares, model *CMFGenState, walkers blas32.General) (*CMFMAState, error) {
	d, groups := model.x.Cols, 1
	if model.Given != nil {
		if groups = n / ContextRows; groups < 1 || n%ContextRows != 0 {
			return nil, fmt.Errorf("solvers: batches of %d points with contexts; there must be a multiple of %d, which share a context each", n, ContextRows)
		}
	}
	own, walk, _, err := shares.Split(n / groups)
	if err != nil {
		return nil, err
	}
	if model.Given != nil {
		if err := checkGroups(model, groups, own, walk, walkers); err != nil {
			return nil, err
		}
	}
	switch {
	case n < 2:
		return nil, fmt.Errorf("solvers: batches of %d points; there must be 2 or more", n)
	case model.Given == nil && (own > model.x.Rows || walk > walkers.Rows):
		return nil, fmt.Errorf("solvers: %d points from %d particles and %d from %d walkers; there must be a particle or walker for each", own, model.x.Rows, walk, walkers.Rows)
	case walkers.Rows > 0 && walkers.Cols != d:
		return nil, fmt.Errorf("solvers: walkers of %d coordinates with particles of %d; they must be equal", walkers.Cols, d)
	}
	s := &CMFMAState{
		CMFGenState: model, groups: groups, own: own, walk: walk, xhat: batch.New(model.x.Rows, d),
		points: batch.New(n, d), energy: batch.New(n, 1), slope: batch.New(n, d), mask: batch.New(n, 1),
	}
	if walk > 0 {
		s.Walkers, err = sampling.NewChains(walkers)
		s.moving = s.Walkers
	}
	if model.Given != nil {
		s.contexts, s.moving = batch.New(n, model.Given.Contexts.Cols), &sampling.Chains{}
	}
	return s, err
}

func (c *CMFMA) moveParticles(index []int, info *CMFMAInfo) (err error) {
	s := c.State
	if (c.MeanHessian != nil || c.Conditional != nil) && (s.preconditioner == nil || s.Step%cmp.Or(c.Renew, 20) == 0) {
		batch.Gather(s.x, s.Partners, index)
		h, err := c.Ranks.meanHessian(c.meanHessian(s.x))
		if err != nil {
			return fmt.Errorf("solvers: renewing the preconditioner: %w", err)
		}
		if err := s.precondition(h); err != nil {
			return err
		}
	}
	if err := s.Bank.Gather(&s.moved, index); err != nil {
		return err
	}
	s.moved.Fresh = false
	sampler := c.Sampler
	sampler.Preconditioner = s.preconditioner
	info.Langevin, err = sampler.Run(context.Background(), c.Potential, &s.moved, cmp.Or(c.Langevin, 2), s.Stream)
	if info.RanAway = s.ranAway(info.Langevin, err, 10); info.RanAway {
		s.pointsToRestart(index)
		err = s.restart(c.Potential, index, &info.Langevin)
	}
	if err != nil {
		return err
	}
	if err := s.Bank.Scatter(&s.moved, index); err != nil {
		return err
	}
	batch.Gather(s.xhat, s.Partners, index)
	if info.Conjugate, err = c.Conjugate.Solve(context.Background(), c.Potential, s.moved.Y, s.xhat, s.preconditioner); err != nil {
		return err
	}
	batch.Scatter(s.Partners, s.xhat, index)
	return nil
}

// pointsToRestart fills s.x; any points will do, and walkers are finite.
func (s *CMFMAState) pointsToRestart(index []int) {
	from := s.Partners
	switch {
	case s.Given != nil:
		batch.Gather(s.x, s.Given.Points, index)
		return
	case s.Walkers != nil:
		from = s.Walkers.Y
	}
	for i := range s.x.Rows {
		copy(batch.Row(s.x, i), batch.Row(from, i%from.Rows))
	}
}

func (c *CMFMA) moveWalkers(index []int, info *CMFMAInfo) (err error) {
	s := c.State
	if s.Walkers == nil {
		return nil
	}
	walking, energy, err := c.meetWalkers(index)
	if err != nil {
		return err
	}
	steps := cmp.Or(c.Langevin, 2)
	s.Evaluations += steps * s.moving.Y.Rows
	// The step goes on adapting from that of the chains.
	info.Walkers, err = sampling.Langevin{Adjusted: true, Step: s.moving.Step}.Run(context.Background(), energy, s.moving, steps, s.Stream)
	switch {
	case errors.Is(err, potential.ErrParticles):
		return fmt.Errorf("solvers: %w, and at no walker either", potential.ErrEnergy)
	case err == nil && walking != nil:
		err = s.Walkers.Scatter(s.moving, walking)
	}
	return err
}

// place gathers the points of each group: x̂, walkers, box.
func (c *CMFMA) place() error {
	s := c.State
	d, rows, particles := s.points.Cols, s.points.Rows/s.groups, s.xhat.Rows/s.groups
	if s.own+s.walk < rows && (len(c.Box.Lower) != d || len(c.Box.Upper) != d) {
		return fmt.Errorf("solvers: a box of %d and %d bounds for points of %d coordinates", len(c.Box.Lower), len(c.Box.Upper), d)
	}
	for g := range s.groups {
		points := batch.Rows(s.points, g*rows, (g+1)*rows)
		batch.Copy(batch.Rows(points, 0, s.own), batch.Rows(s.xhat, g*particles, g*particles+s.own))
		if s.walk > 0 {
			batch.Copy(batch.Rows(points, s.own, s.own+s.walk), batch.Rows(s.moving.Y, g*s.walk, (g+1)*s.walk))
		}
		for i := s.own + s.walk; i < rows; i++ {
			x := batch.Row(points, i)
			for k := range x {
				x[k] = float32(c.Box.Lower[k] + (c.Box.Upper[k]-c.Box.Lower[k])*s.Stream.Float64())
			}
		}
	}
	return nil
}

// evaluate evaluates E at the points, clips it, and weighs the usable rows of each group
// equally.
func (c *CMFMA) evaluate(info *CMFMAInfo) error {
	s := c.State
	var slope blas32.General
	if s.sloped = slices.Contains(c.Objective.Inputs(), BatchSlope); s.sloped {
		slope = s.slope
	}
	if err := c.Energy.Eval(s.points, s.energy.Data, slope); err != nil {
		return err
	}
	s.Evaluations += s.points.Rows
	usable := s.usable[:0]
	for i := range s.points.Rows {
		if batch.AllFinite(batch.Row(s.points, i)) && batch.AllFinite(batch.Row(s.energy, i)) && batch.AllFinite(batch.Row(s.slope, i)) {
			usable = append(usable, i)
		}
	}
	s.usable = usable
	if len(usable) == 0 {
		return fmt.Errorf("solvers: %w", potential.ErrEnergy)
	}
	info.Masked = s.points.Rows - len(usable)
	clear(s.mask.Data)
	cut, rows, rest := cmp.Or(c.Cut, 20*math.Sqrt(float64(c.Energy.Dim()))), s.points.Rows/s.groups, usable
	for g := range s.groups {
		end, _ := slices.BinarySearch(rest, (g+1)*rows)
		some := rest[:end]
		rest = rest[end:]
		if len(some) > 0 {
			level := s.level(some)
			s.weigh(some, level, cut/4)
			info.Clipped += s.clip(level+cut, some)
		}
	}
	s.fill()
	return nil
}

// fromBox says whether row i of the batch is a point of the box.
func (s *CMFMAState) fromBox(i int) bool { return i%(s.points.Rows/s.groups) >= s.own+s.walk }

// weigh gives the usable rows of a group weights whose sum is its share of the batch. They are
// equal except in the box, where they fall by a factor e for each width of energy above level,
// since most of a box is of no interest.
func (s *CMFMAState) weigh(usable []int, level, width float64) {
	var sum float64
	for _, i := range usable {
		m := 1.
		if s.fromBox(i) {
			m = math.Exp(-max(0, float64(s.energy.Data[i])-level) / width)
		}
		s.mask.Data[i] = float32(m)
		sum += m
	}
	for _, i := range usable {
		s.mask.Data[i] /= float32(sum * float64(s.groups))
	}
}

// fill gives each row that is not usable the point of a usable one, of its group if there is
// one, at which everything is finite. Its weight is 0.
func (s *CMFMAState) fill() {
	usable, rows, next := s.usable, s.points.Rows/s.groups, 0 // next indexes usable, which is in ascending order
	from := usable[0]
	for i := range s.points.Rows {
		if i%rows == 0 && next < len(usable) && usable[next] < i+rows {
			from = usable[next]
		}
		if next < len(usable) && usable[next] == i {
			next++
			continue
		}
		copy(batch.Row(s.points, i), batch.Row(s.points, from))
		copy(batch.Row(s.energy, i), batch.Row(s.energy, from))
		copy(batch.Row(s.slope, i), batch.Row(s.slope, from))
		if s.Given != nil {
			copy(batch.Row(s.contexts, i), batch.Row(s.contexts, from))
		}
	}
}

// level is the median energy of the usable walkers, or of all usable rows.
func (s *CMFMAState) level(usable []int) float64 {
	s.energies = s.energies[:0]
	for _, i := range usable {
		if k := i % (s.points.Rows / s.groups); k >= s.own && k < s.own+s.walk {
			s.energies = append(s.energies, s.energy.Data[i])
		}
	}
	if len(s.energies) == 0 {
		for _, i := range usable {
			s.energies = append(s.energies, s.energy.Data[i])
		}
	}
	return order.Median(s.energies)
}

// clip replaces E > limit by limit + log(1 + E − limit), and ∇E accordingly.
func (s *CMFMAState) clip(limit float64, usable []int) (clipped int) {
	for _, i := range usable {
		over := float64(s.energy.Data[i]) - limit
		if !(over > 0) {
			continue
		}
		clipped++
		s.energy.Data[i] = float32(limit + math.Log1p(over))
		for k := range batch.Row(s.slope, i) {
			batch.Row(s.slope, i)[k] /= float32(1 + over)
		}
	}
	return clipped
}
