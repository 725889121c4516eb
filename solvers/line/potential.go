package line

import "math"

// Potential is a conjugate moment potential w, or a moment potential u, on
// ℝ, with its Gibbs factor 𝔓 ∝ e^{−w} (e^{−u}).
type Potential struct {
	Mean, Variance float64 // of 𝔓
	LogZ           float64 // log ∫e^{−w} for min w = 0

	Residual   float64 // max |F_𝔓⁻¹∘F_ρ − s| over the last iteration, in standard deviations of 𝔓
	Iterations int
	Converged  bool

	rho    Density
	moment bool
	monge  *spline // s: w′ for conjugate moments, (u*)′ for moments

	logPDF []float64 // log ρ at the nodes
	level  tails     // of ρ at the nodes
	gibbs  gibbsTable
	least  float64 // min of the potential, in the units of monge.sum
}

// gibbsTable holds 𝔓 at the images z of the nodes on 𝔓's line: the nodes of w
// themselves, or the values of (u*)′.
type gibbsTable struct {
	tails
	z      []float64
	logPDF []float64
}

// tails are log P(Z ≤ z) and log P(Z > z).
type tails struct{ lower, upper []float64 }

func newTails(n int) tails { return tails{make([]float64, n), make([]float64, n)} }

// Slope is w′(x), or u′(y).
func (p *Potential) Slope(x float64) float64 {
	if p.moment {
		return p.monge.inverse(x)
	}
	return p.monge.at(x)
}

// ConjugateSlope is (w*)′(y), or (u*)′(x).
func (p *Potential) ConjugateSlope(y float64) float64 {
	if p.moment {
		return p.monge.at(y)
	}
	return p.monge.inverse(y)
}

// Value is w(x), or u(y). Its smallest value is 0.
func (p *Potential) Value(x float64) float64 {
	at := x
	if p.moment {
		at = p.monge.inverse(x)
	}
	sum, s, _ := p.monge.eval(at)
	energy, _, _ := p.energy(at, sum, s, 1)
	return energy - p.least
}

// GibbsPDF is the density e^{−w(x)}/Z of the Gibbs factor.
func (p *Potential) GibbsPDF(x float64) float64 { return math.Exp(-p.Value(x) - p.LogZ) }

// GibbsQuantile is the x with P(Y ≤ x) = level for Y ~ 𝔓: the image of ρ's quantile.
func (p *Potential) GibbsQuantile(level float64) float64 {
	return p.monge.at(Quantile(p.rho, level))
}

// energy returns the potential at z, z itself and dz/dx, for the image z on 𝔓's line of
// a point x of ρ's line; sum, s and slope are the map's values at x. For moments
// u(s(x)) = x·s(x) − u*(x).
func (p *Potential) energy(x, sum, s, slope float64) (energy, z, stretch float64) {
	if p.moment {
		return x*s - sum, s, slope
	}
	return sum, x, 1
}

// measure tabulates 𝔓 and its moments for the current map.
func (p *Potential) measure() {
	s := p.monge
	n := len(s.x)
	// w is smallest where w′ vanishes, u where u′ does: the image of that point is 0.
	lowest := 0.
	if !p.moment {
		lowest = s.inverse(0)
	}
	sum, y, _ := s.eval(lowest)
	p.least, _, _ = p.energy(lowest, sum, y, 0)
	g := &p.gibbs
	*g = gibbsTable{tails: newTails(n), z: make([]float64, n), logPDF: make([]float64, n)}
	for i, x := range s.x {
		energy, z, _ := p.energy(x, s.sum[i], s.y[i], 0)
		g.z[i], g.logPDF[i] = z, p.least-energy
	}
	cells := make([]float64, n-1)
	var mass, first, second float64
	for i := range cells {
		cells[i] = math.Inf(-1)
		peak := max(g.logPDF[i], g.logPDF[i+1])
		var cell float64
		h, rise := s.x[i+1]-s.x[i], g.logPDF[i]-g.logPDF[i+1]
		for k := range gaussNodes {
			t, weight := steepNode(k, rise)
			sum, y, slope := s.piece(i, t)
			energy, z, stretch := p.energy(s.x[i]+t*h, sum, y, slope)
			m := weight * h * stretch * math.Exp(p.least-energy-peak)
			cell += m
			m *= math.Exp(peak)
			mass, first, second = mass+m, first+m*z, second+m*z*z
		}
		if cell > 0 {
			cells[i] = peak + math.Log(cell)
		}
	}
	p.Mean = first / mass
	p.Variance = second/mass - p.Mean*p.Mean

	// Beyond the ends 𝔓 is taken to be a Gaussian.
	end := func(i int) float64 {
		root := math.Sqrt(s.slope[i])
		if p.moment {
			root = 1 / root
		}
		return g.logPDF[i] + logMills(math.Abs(p.force(i))/root) - math.Log(root)
	}
	g.lower[0], g.upper[n-1] = end(0), end(n-1)
	for i := range cells {
		g.lower[i+1] = logAdd(g.lower[i], cells[i])
		j := n - 2 - i
		g.upper[j] = logAdd(g.upper[j+1], cells[j])
	}
	p.LogZ = logAdd(g.lower[0], g.upper[0])
	for i := range n {
		g.lower[i] -= p.LogZ
		g.upper[i] -= p.LogZ
		g.logPDF[i] -= p.LogZ
	}
}

// force is the derivative of the energy along 𝔓's line at the image of node i.
func (p *Potential) force(i int) float64 {
	if p.moment {
		return p.monge.x[i]
	}
	return p.monge.y[i]
}
