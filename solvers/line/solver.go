// Package line solves the conjugate moment problem in one dimension, where w′ is the
// monotone rearrangement of ρ onto e^{−w}. It uses a damped fixed point on a table. Its
// result is the truth by which learned potentials on the line are measured.
package line

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Solver solves for (conjugate) moment potentials on ℝ in float64. Both are
// determined by the Monge map from ρ to the Gibbs factor, a fixed point of
//
//	s ← (1−η)s + η·F_𝔓⁻¹∘F_ρ
//
// where 𝔓 is the Gibbs factor that belongs to s. The plain iteration, η = 1,
// diverges for conjugate moment measures when Var ρ > 1: the mean of 𝔓_w
// alternates with amplitude (Var ρ)^{k/3} after k iterations.
//
// s is a monotone cubic spline. Its derivative is iterated as s is, by the change of
// variables (F_𝔓⁻¹∘F_ρ)′ = ρ/𝔓(F_𝔓⁻¹∘F_ρ). Levels are compared by the logarithm of the
// smaller tail.
type Solver struct {
	// Nodes is the number of nodes of the spline, at least 100; 0 means 8001.
	Nodes int

	// Damping is η in (0, 1]. 0 means to start from ½ or, if that is smaller, from
	// 1/(1 + (Var ρ)^{1/3}), which is best for the mean of a Gaussian. η is then halved
	// whenever 8 iterations have not lowered the residual. Below 1e-3, rounding allows
	// no further progress and the iteration ends.
	Damping float64

	// Tolerance is the residual at which the solution has converged; 0 means 1e-8.
	Tolerance float64

	// MaxIterations is the limit on all iterations; 0 means 1000.
	MaxIterations int
}

// Conjugate solves ρ = (w*)′♯𝔓_w, 𝔓_w ∝ e^{−w}. ρ must be positive on ℝ with finite
// variance. It is an error if the iteration gives numbers that are not finite; a result
// that did not converge says so.
func (o Solver) Conjugate(rho Density) (*Potential, error) {
	p := &Potential{rho: rho}
	scale := math.Cbrt(rho.Variance()) // σ^{2/3} for the variance σ²
	return o.solve(p, 1/scale, rho.Mean()/(1+scale))
}

// Moment solves ρ = u′♯𝔓_u, 𝔓_u ∝ e^{−u}, for a ρ as in Conjugate. A moment measure has
// mean 0, so ρ is centred first. 𝔓_u is unique up to a translation and is given mean 0.
// Cordero-Erausquin and Klartag, "Moment measures", J. Funct. Anal. 268 (2015),
// 3834–3866.
func (o Solver) Moment(rho Density) (*Potential, error) {
	p := &Potential{rho: centred{rho, rho.Mean()}, moment: true}
	return o.solve(p, 1/rho.Variance(), 0)
}

// centred is the law of X − mean.
type centred struct {
	Density
	mean float64
}

func (c centred) LogPDF(x float64) float64 { return c.Density.LogPDF(x + c.mean) }

func (c centred) LogLower(x float64) float64 { return c.Density.LogLower(x + c.mean) }

func (c centred) LogUpper(x float64) float64 { return c.Density.LogUpper(x + c.mean) }

func (c centred) Mean() float64 { return 0 }

// logitDepth is how far the solution must reach into both tails: e^{−40} is the
// tail of a normal law at 8.8 standard deviations.
const logitDepth = 40

// solve starts from the line a(x − c) and refines: it is known where nodes belong only
// when 𝔓 is known.
func (o Solver) solve(p *Potential, a, c float64) (*Potential, error) {
	n := cmp.Or(o.Nodes, 8001)
	eta := cmp.Or(o.Damping, min(.5, 1/(1+math.Cbrt(p.rho.Variance()))))
	tolerance, most := cmp.Or(o.Tolerance, 1e-8), cmp.Or(o.MaxIterations, 1000)
	switch {
	case n < 100:
		return nil, fmt.Errorf("line: LineSolver.Nodes is %d; it must be at least 100", n)
	case !(eta > 0 && eta <= 1):
		return nil, fmt.Errorf("line: LineSolver.Damping is %g; it must be above 0 and at most 1", eta)
	case !(tolerance > 0):
		return nil, fmt.Errorf("line: LineSolver.Tolerance is %g; it must be positive", tolerance)
	case most < 1:
		return nil, fmt.Errorf("line: LineSolver.MaxIterations is %d; it must be at least 1", most)
	}
	if v := p.rho.Variance(); !(v > 0) || math.IsInf(v, 0) || math.IsNaN(p.rho.Mean()) {
		return nil, fmt.Errorf("line: a density with mean %g and variance %g; the variance must be positive and finite", p.rho.Mean(), v)
	}
	quantiles := make([]float64, 257)
	for k := range quantiles {
		quantiles[k] = quantileAt(p.rho, logitDepth*(float64(k)/128-1))
	}
	p.monge = newSpline([]float64{c - 1, c + 1})
	for i := range p.monge.x {
		p.monge.y[i], p.monge.slope[i] = a*(p.monge.x[i]-c), a
	}
	p.monge.integrate()
	for _, coarse := range []float64{1e-2, 1e-4, 0} {
		if err := p.refine(n, quantiles); err != nil {
			return nil, err
		}
		least, since := math.Inf(1), 0
		for p.Iterations < most && (o.Damping != 0 || eta > 1e-3) {
			if err := p.iterate(eta); err != nil {
				return nil, err
			}
			if since++; p.Residual < least {
				least, since = p.Residual, 0
			}
			if o.Damping == 0 && since == 8 {
				eta, least, since = eta/2, p.Residual, 0
			}
			if p.Residual <= max(tolerance, coarse) {
				break
			}
		}
	}
	p.Converged = p.Residual <= tolerance
	p.measure()
	return p, nil
}

// refine moves the spline to new nodes: a part of them is uniform over the domain, a
// part follows ρ, and a part follows 𝔓.
func (p *Potential) refine(n int, quantiles []float64) error {
	last := len(quantiles) - 1
	ends := []float64{quantiles[0], quantiles[last]}
	lists := [][]float64{ends, quantiles}
	if p.moment {
		// The Gibbs factor is on the other axis; a margin keeps its tails.
		margin := .2 * (ends[1] - ends[0])
		ends[0], ends[1] = ends[0]-margin, ends[1]+margin
	} else {
		// w is needed wherever 𝔓 has mass, w′ there, and w again at its images.
		images := make([]float64, len(quantiles))
		for k, x := range quantiles {
			images[k] = p.monge.at(x)
		}
		ends[0] = min(ends[0], images[0], p.monge.at(images[0]))
		ends[1] = max(ends[1], images[last], p.monge.at(images[last]))
		lists = append(lists, images)
	}
	var nodes []float64
	for i, knots := range lists {
		share := (i+1)*n/len(lists) - i*n/len(lists)
		for k := range share {
			t := float64(k) / float64(share-1) * float64(len(knots)-1)
			j := min(int(t), len(knots)-2)
			nodes = append(nodes, knots[j]+(t-float64(j))*(knots[j+1]-knots[j]))
		}
	}
	slices.Sort(nodes)
	least := 1e-4 * (ends[1] - ends[0]) / float64(n)
	kept := nodes[:1]
	for _, x := range nodes[1:] {
		if x-kept[len(kept)-1] > least {
			kept = append(kept, x)
		}
	}
	next := newSpline(kept)
	p.logPDF, p.level = make([]float64, len(kept)), newTails(len(kept))
	for i, x := range next.x {
		_, next.y[i], next.slope[i] = p.monge.eval(x)
		p.logPDF[i], p.level.lower[i], p.level.upper[i] = p.rho.LogPDF(x), p.rho.LogLower(x), p.rho.LogUpper(x)
		if v := p.logPDF[i] + p.level.lower[i] + p.level.upper[i]; math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("line: log ρ and its log tails at %g are %g, %g and %g; a density must be positive on the whole line",
				x, p.logPDF[i], p.level.lower[i], p.level.upper[i])
		}
	}
	p.monge = next
	p.monge.integrate()
	return nil
}

// iterate makes one damped step of the fixed point.
func (p *Potential) iterate(eta float64) error {
	p.measure()
	s := p.monge
	first, last := -1, -1
	image, slope := make([]float64, len(s.x)), make([]float64, len(s.x))
	for i := range s.x {
		z, logf, ok := p.gibbsQuantile(p.level.lower[i], p.level.upper[i])
		if !ok {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
		image[i], slope[i] = z, math.Exp(p.logPDF[i]-logf)
	}
	if last-first < 2 {
		return errors.New("line: the fixed point on the line diverged: its Gibbs factor left the domain; lower LineSolver.Damping, or centre ρ")
	}
	// Beyond the levels in its table, 𝔓 is taken to be a Gaussian.
	extend := func(i, from int) {
		image[i], slope[i] = image[from]+slope[from]*(s.x[i]-s.x[from]), slope[from]
	}
	for i := range first {
		extend(i, first)
	}
	for i := last + 1; i < len(s.x); i++ {
		extend(i, last)
	}
	p.Residual = 0
	shift := 0.
	if p.moment {
		shift = p.Mean // 𝔓_u is the same up to translation
	}
	for i := range s.x {
		if min(p.level.lower[i], p.level.upper[i]) > -logitDepth {
			p.Residual = max(p.Residual, math.Abs(image[i]-s.y[i])/math.Sqrt(p.Variance))
		}
		s.y[i] += eta*(image[i]-s.y[i]) - shift
		s.slope[i] += eta * (slope[i] - s.slope[i])
	}
	if math.IsNaN(p.Residual) || math.IsInf(p.Residual, 0) {
		return errors.New("line: the fixed point on the line diverged; lower LineSolver.Damping, or centre ρ")
	}
	s.integrate()
	p.Iterations++
	return nil
}

// gibbsQuantile is the z at which the tails of 𝔓 have the given logarithms, with
// log 𝔓(z). It interpolates by a cubic in the logarithm of the smaller tail, in which a
// tail is nearly straight. ok is false beyond the table.
func (p *Potential) gibbsQuantile(lower, upper float64) (z, logPDF float64, ok bool) {
	g := &p.gibbs
	level, table, sign, smaller := lower, g.lower, 1., func(k int) bool { return g.lower[k] > lower }
	if upper < lower {
		level, table, sign, smaller = upper, g.upper, -1, func(k int) bool { return g.upper[k] < upper }
	}
	k := sort.Search(len(table), smaller) - 1
	if k < 0 || k == len(table)-1 {
		return 0, 0, false
	}
	// dz/dλ is Mills' ratio, tail/density.
	span := table[k+1] - table[k]
	secant := (g.z[k+1] - g.z[k]) / span
	slope := func(k int) float64 {
		return sign * min(math.Exp(table[k]-g.logPDF[k]), 3*math.Abs(secant))
	}
	t := (level - table[k]) / span
	z = hermite(t, g.z[k], span*slope(k), g.z[k+1], span*slope(k+1))
	width := g.z[k+1] - g.z[k]
	if width <= 0 {
		return z, g.logPDF[k], true
	}
	return z, hermite((z-g.z[k])/width, g.logPDF[k], -width*p.force(k), g.logPDF[k+1], -width*p.force(k+1)), true
}
