package sampling

import (
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Chains is the state of a sampler with n particles in ℝᵈ, each a separate chain. Its
// exported fields are all that changes: a run that a checkpoint restores with them and
// the state of the random stream continues bit for bit.
type Chains struct {
	Y     blas32.General // particles y_i, (n, d)
	Value []float32      // w(y_i), length n
	Grad  blas32.General // ∇w(y_i), (n, d)

	// Fresh says that Value and Grad belong to Y and to the current potential.
	// Whoever changes Y or w clears it, or calls Refresh.
	Fresh bool

	Step        float64 // γ; 0 until the first run
	Adaptations int     // steps over which MALA has adapted γ
	Curvature   float64 // λmax(P∇²w) as last estimated for γ; 0 if unknown

	scratch
}

// scratch is the memory of one step; it carries nothing from run to run.
type scratch struct {
	next           particles      // the proposals
	move           blas32.General // z in y' = y + Lz, (n, d)
	pull, nextPull blas32.General // Lᵀ∇w at Y and at the proposals, (n, d)
	energies       []float32      // energies, or their distances from the median
	mean           []float64      // of the particles
}

// particles is a batch with the potential's value and gradient there.
type particles struct {
	Y     blas32.General
	Value []float32
	Grad  blas32.General
}

// NewChains returns chains that start at a copy of the rows of y, (n, d).
func NewChains(y blas32.General) (*Chains, error) {
	if err := batch.Check("the particles", y); err != nil {
		return nil, err
	}
	c := &Chains{}
	c.resize(y.Rows, y.Cols)
	for i := range y.Rows {
		copy(batch.Row(c.Y, i), batch.Row(y, i))
	}
	return c, nil
}

// Refresh evaluates w and ∇w at the particles. It is necessary after a change of the
// particles or of w.
func (c *Chains) Refresh(w potential.Potential) error {
	if err := c.check(w); err != nil {
		return err
	}
	c.Fresh = false
	// The last gradients are those of another potential or of other points, but near.
	if err := potential.EvalFrom(w, c.Y, c.Grad, c.Value, c.Grad); err != nil {
		return fmt.Errorf("sampling: evaluating the potential at the particles: %w", err)
	}
	c.Fresh = true
	return nil
}

// Gather copies the rows of c listed in index into dst, a minibatch of the bank c,
// together with the step and its adaptation. dst is resized to (len(index), d).
func (c *Chains) Gather(dst *Chains, index []int) error {
	if err := c.checkIndex(index); err != nil {
		return err
	}
	dst.resize(len(index), c.Y.Cols)
	for k, i := range index {
		copyParticle(dst.particles(), k, c.particles(), i)
	}
	dst.shareStep(c)
	dst.Fresh = c.Fresh
	return nil
}

// Scatter is the inverse of Gather: it copies the minibatch src back into the rows of c
// listed in index, which must not have a row twice. The bank stays fresh only if both
// were.
func (c *Chains) Scatter(src *Chains, index []int) error {
	if err := c.checkIndex(index); err != nil {
		return err
	}
	if src.Y.Rows != len(index) || src.Y.Cols != c.Y.Cols {
		return fmt.Errorf("sampling: a minibatch of shape (%d, %d) cannot fill %d rows of width %d", src.Y.Rows, src.Y.Cols, len(index), c.Y.Cols)
	}
	for k, i := range index {
		copyParticle(c.particles(), i, src.particles(), k)
	}
	c.shareStep(src)
	c.Fresh = c.Fresh && src.Fresh
	return nil
}

func (c *Chains) checkIndex(index []int) error {
	for k, i := range index {
		if i < 0 || i >= c.Y.Rows {
			return fmt.Errorf("sampling: index[%d] is %d; the bank has rows 0 to %d", k, i, c.Y.Rows-1)
		}
	}
	return nil
}

func (c *Chains) shareStep(from *Chains) {
	c.Step, c.Adaptations, c.Curvature = from.Step, from.Adaptations, from.Curvature
}

// check reports a state that was built or loaded wrongly, or does not fit the
// potential.
func (c *Chains) check(w potential.Potential) error {
	n, d := c.Y.Rows, c.Y.Cols
	if d != w.Dim() {
		return fmt.Errorf("sampling: the particles have %d columns, the potential dimension %d; they must agree", d, w.Dim())
	}
	if len(c.Value) != n || c.Grad.Rows != n || c.Grad.Cols != d {
		return fmt.Errorf("sampling: chains with particles of shape (%d, %d) have %d values and gradients of shape (%d, %d); the shapes must agree",
			n, d, len(c.Value), c.Grad.Rows, c.Grad.Cols)
	}
	return errors.Join(batch.Check("the particles", c.Y), batch.Check("the particles' gradients", c.Grad))
}

// resize gives c room for n particles in ℝᵈ; buffers that fit exactly are kept.
func (c *Chains) resize(n, d int) {
	if c.Y.Rows != n || c.Y.Cols != d {
		p := newParticles(n, d)
		c.Y, c.Value, c.Grad = p.Y, p.Value, p.Grad
	}
}

// makeRoom allocates the scratch when the shape has changed.
func (c *Chains) makeRoom() {
	n, d := c.Y.Rows, c.Y.Cols
	if c.move.Rows != n || c.move.Cols != d {
		c.scratch = scratch{
			next: newParticles(n, d), move: batch.New(n, d), pull: batch.New(n, d), nextPull: batch.New(n, d),
			energies: make([]float32, n), mean: make([]float64, d),
		}
	}
}

func (c *Chains) particles() particles { return particles{c.Y, c.Value, c.Grad} }

func newParticles(n, d int) particles {
	return particles{batch.New(n, d), make([]float32, n), batch.New(n, d)}
}

func copyParticle(dst particles, i int, src particles, j int) {
	copy(batch.Row(dst.Y, i), batch.Row(src.Y, j))
	dst.Value[i] = src.Value[j]
	copy(batch.Row(dst.Grad, i), batch.Row(src.Grad, j))
}

// logRatio is the logarithm of the Metropolis ratio of the i-th proposal. With
// u = Lᵀ∇w(y), z = −γu + √(2γ)ξ and u' = Lᵀ∇w(y'), the reverse move is −z, and
//
//	log α = w(y) − w(y') + ½⟨z, u + u'⟩ + γ(‖u‖² − ‖u'‖²)/4.
//
// This is the error of the trapezoidal rule and a term of higher order. It needs no
// solve with L.
func (c *Chains) logRatio(i int) float64 {
	z, u, v := batch.Row(c.move, i), batch.Row(c.pull, i), batch.Row(c.nextPull, i)
	work, squares := batch.Inner(z, u)+batch.Inner(z, v), batch.Inner(u, u)-batch.Inner(v, v)
	return float64(c.Value[i]) - float64(c.next.Value[i]) + work/2 + c.Step*squares/4
}

// accept moves the i-th particle to its proposal.
func (c *Chains) accept(i int) {
	copy(batch.Row(c.Y, i), batch.Row(c.next.Y, i))
	c.Value[i] = c.next.Value[i]
	copy(batch.Row(c.Grad, i), batch.Row(c.next.Grad, i))
	copy(batch.Row(c.pull, i), batch.Row(c.nextPull, i))
}

// restart puts each lost particle, in increasing order, on a healthy one drawn
// at random.
func (c *Chains) restart(lost []int, rng *random.Stream, info *Info) error {
	if len(lost) == 0 {
		return nil
	}
	var healthy []int
	for i, k := 0, 0; i < c.Y.Rows; i++ {
		if k < len(lost) && lost[k] == i {
			k++
		} else {
			healthy = append(healthy, i)
		}
	}
	if len(healthy) == 0 {
		return fmt.Errorf("sampling: %w: none is finite; take a smaller Step, set Adjusted, or restart from the last checkpoint", potential.ErrParticles)
	}
	for _, i := range lost {
		j := healthy[rng.IntN(len(healthy))]
		copyParticle(c.particles(), i, c.particles(), j)
		copy(batch.Row(c.pull, i), batch.Row(c.pull, j))
	}
	info.Restarted += len(lost)
	return nil
}

// Unhealthy lists the particles whose energy is over the limit, or whose energy
// or gradient is not finite.
func (c *Chains) Unhealthy(limit float64) []int {
	var lost []int
	for i, e := range c.Value {
		total := float64(e)
		for _, g := range batch.Row(c.Grad, i) {
			total += float64(g)
		}
		if !(float64(e) <= limit) || math.IsNaN(total) || math.IsInf(total, 0) {
			lost = append(lost, i)
		}
	}
	return lost
}

// moments returns the mean energy and the virial of LangevinInfo.
func (c *Chains) moments() (energy, virial float64) {
	n, d := c.Y.Rows, c.Y.Cols
	mean := c.mean
	clear(mean)
	for i := range n {
		energy += float64(c.Value[i]) / float64(n)
		for j, y := range batch.Row(c.Y, i) {
			mean[j] += float64(y) / float64(n)
		}
	}
	for i := range n {
		g := batch.Row(c.Grad, i)
		for j, y := range batch.Row(c.Y, i) {
			virial += (float64(y) - mean[j]) * float64(g[j])
		}
	}
	return energy, virial / float64(n-1) / float64(d) // 0/0 for a single particle
}
