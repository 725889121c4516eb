package transport

import (
	"math"

	"cmf/graph/kernel"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// andersonMemory is how many differences an extrapolation is made from.
const andersonMemory = 6

// anderson accelerates a fixed-point iteration p ← p + r(p) that ascends a function
// D(p): it takes the combination of the last steps with the smallest residual,
//
//	p ← p + r − (ΔP + ΔR)γ,  γ = argmin ‖r − ΔR·γ‖.
//
// An extrapolation is taken back if it lowers D, or if it more than doubles ‖r‖ when D
// no longer changes: the plain step is made instead, and the past is forgotten. H. F.
// Walker, P. Ni, "Anderson Acceleration for Fixed-Point Iterations", SIAM J. Numer.
// Anal. 49(4), 2011, pages 1715–1735.
type anderson struct {
	deltaP, deltaR [andersonMemory][]float64 // a ring; next is the oldest
	count, next    int
	lastP, lastR   []float64 // of the last step, if started
	lastNorm       float64
	lastValue      float64
	started        bool

	gram, factor [andersonMemory * andersonMemory]float64 // ΔRᵀΔR and its Cholesky factor
	gamma        [andersonMemory]float64
}

// restart forgets the past; points have length n from now on.
func (a *anderson) restart(n int) {
	a.count, a.next, a.started = 0, 0, false
	a.lastP, a.lastR = batch.Resized(a.lastP, n), batch.Resized(a.lastR, n)
	for k := range a.deltaP {
		a.deltaP[k], a.deltaR[k] = batch.Resized(a.deltaP[k], n), batch.Resized(a.deltaR[k], n)
	}
}

// takeBack takes an extrapolation back if it was bad, and says whether it did. p has the
// residual r and the value D(p), known up to noise.
func (a *anderson) takeBack(p, r []float64, value, noise float64) bool {
	norm, gain := math.Sqrt(kernel.SumSquares(r)), value-a.lastValue
	rises := gain > noise || gain >= -noise && norm <= 2*a.lastNorm // false for NaN
	if a.count > 0 && !rises {
		kernel.Add(p, a.lastP, a.lastR)
		a.restart(len(p))
		return true
	}
	a.lastValue, a.lastNorm = value, norm
	return false
}

// step moves p, which has the residual r, from where takeBack left it.
func (a *anderson) step(p, r []float64) {
	if a.started {
		a.remember(p, r)
	}
	copy(a.lastP, p)
	copy(a.lastR, r)
	a.started = true
	kernel.Add(p, p, r)
	if !a.solve(r) {
		return
	}
	for k := range a.count {
		kernel.Axpy(p, -a.gamma[k], a.deltaP[k])
		kernel.Axpy(p, -a.gamma[k], a.deltaR[k])
	}
}

// remember replaces the oldest differences by those to the last point.
func (a *anderson) remember(p, r []float64) {
	k := a.next
	kernel.Sub(a.deltaP[k], p, a.lastP)
	kernel.Sub(a.deltaR[k], r, a.lastR)
	a.next, a.count = (k+1)%andersonMemory, min(a.count+1, andersonMemory)
	for l := range a.count {
		dot := kernel.Dot(a.deltaR[k], a.deltaR[l])
		a.gram[k*andersonMemory+l], a.gram[l*andersonMemory+k] = dot, dot
	}
}

// solve finds γ from the normal equations, and returns false if it cannot.
func (a *anderson) solve(r []float64) bool {
	if a.count == 0 {
		return false
	}
	a.factor = a.gram
	var trace float64
	for k := range a.count {
		a.gamma[k] = kernel.Dot(a.deltaR[k], r)
		trace += a.gram[k*(andersonMemory+1)]
	}
	for k := range a.count {
		a.factor[k*(andersonMemory+1)] += 1e-10 * trace // for differences that are nearly dependent
	}
	t, ok := lapack64.Potrf(blas64.Symmetric{Uplo: blas.Upper, N: a.count, Stride: andersonMemory, Data: a.factor[:]})
	if !ok {
		return false
	}
	lapack64.Potrs(t, blas64.General{Rows: a.count, Cols: 1, Stride: 1, Data: a.gamma[:a.count]})
	return true
}
