package transport

import (
	"math"

	"cmf/graph/kernel"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

const (
	// kernelDepth is how far below the largest exponent of a row of K the others are
	// cut off: so no column of K is zero, and no number is subnormal.
	kernelDepth = 64

	// absorbAt is the |log v_j| at which potentials are absorbed in K: far enough below
	// kernelDepth that the part cut off has no mass.
	absorbAt = 20

	// mostBlocks is the largest number of blocks of rows in the sum Kᵀ. blockSize is
	// how many entries a further block must have at least to be worthwhile.
	mostBlocks, blockSize = 16, 1 << 14
)

// scaling is entropic transport at one ε in the stabilised scaling form. Of
// p_j = g_j/ε + log b_j, the part column_j is absorbed in the kernel, and
// v_j = e^{p_j − column_j}. With
//
//	K_ij = e^{column_j + (f⁰_i − c_ij)/ε},  Σ_j K_ij = 1,  f_i = f⁰_i − ε·log (Kv)_i,
//
// an update of f and the marginal after it are two products with K, in one
// pass over it, free of exponentials. B. Schmitzer, "Stabilized Sparse Scaling
// Algorithms for Entropy Regularized Transport Problems", SIAM J. Sci. Comput.
// 41(3), 2019, section 3.1.
type scaling struct {
	cost    blas32.General // c, (n, m)
	epsilon float64
	a       []float32 // weights of the rows

	kernel blas32.General // K, (n, m)
	row    []float64      // f⁰/ε, n
	column []float64      // m
	v, z   []float32      // v and Kᵀ(a/Kv), m
	sums   []float32      // Kv, n
	log    []float32      // its logarithm
	parts  blas32.General // the sums over blocks of rows that make z

	high, low []float32 // e^{column_j} = low_j·e^{high_j}

	// These are built once: a new function in each call would be garbage.
	sumCosts, absorbRows, sumBlocks func(lo, hi int)
}

// resize makes room for a cost of shape (n, m), in the old memory if that is enough.
func (s *scaling) resize(n, m int) {
	s.kernel = batch.Reshaped(s.kernel, n, m)
	s.parts = batch.Reshaped(s.parts, min(mostBlocks, max(1, n*m/blockSize)), m)
	s.a, s.row = batch.Resized(s.a, n), batch.Resized(s.row, n)
	s.sums, s.log = batch.Resized(s.sums, n), batch.Resized(s.log, n)
	s.column, s.v, s.z = batch.Resized(s.column, m), batch.Resized(s.v, m), batch.Resized(s.z, m)
	s.high, s.low = batch.Resized(s.high, m), batch.Resized(s.low, m)
	if s.absorbRows == nil {
		s.sumCosts, s.absorbRows, s.sumBlocks = s.doSumCosts, s.doAbsorb, s.doSum
	}
}

// meanCost is the mean of |c_ij|.
func (s *scaling) meanCost() (mean float64) {
	kernel.Parallel(s.cost.Rows, 1+blockSize/s.cost.Cols, s.sumCosts)
	for _, sum := range s.row {
		mean += sum
	}
	return mean / float64(s.cost.Rows) / float64(s.cost.Cols)
}

func (s *scaling) doSumCosts(lo, hi int) {
	for i := lo; i < hi; i++ {
		s.row[i] = sumAbs(batch.Row(s.cost, i))
	}
}

// absorb makes K and f⁰ from p in the log domain, so that v = 1. The digits of p that
// float32 loses go into a factor near 1.
func (s *scaling) absorb(p []float64) {
	copy(s.column, p)
	for j, t := range p {
		s.high[j] = float32(t)
		s.low[j] = float32(math.Exp(t - float64(s.high[j])))
		s.v[j] = 1
	}
	kernel.Parallel(s.kernel.Rows, 1+blockSize/s.kernel.Cols, s.absorbRows)
}

func (s *scaling) doAbsorb(lo, hi int) {
	for i := lo; i < hi; i++ {
		k := batch.Row(s.kernel, i)
		copy(k, s.high)
		kernel.Axpy(k, float32(-1/s.epsilon), batch.Row(s.cost, i))
		top := largest(k)
		kernel.Affine(k, 1, k, kernelDepth-top)
		kernel.Relu(k, k)
		kernel.Affine(k, 1, k, -kernelDepth)
		kernel.Exp(k, k)
		kernel.Mul(k, k, s.low)
		sum := kernel.Sum(k)
		kernel.Affine(k, 1/sum, k, 0)
		s.row[i] = -float64(top) - math.Log(float64(sum))
	}
}

// scale sets v for p, and says whether it is too large to be represented.
func (s *scaling) scale(p []float64) (tooLarge bool) {
	for j := range p {
		h := p[j] - s.column[j]
		if !(math.Abs(h) <= absorbAt) { // or NaN, in the kernel of a step that was taken back
			return true
		}
		s.v[j] = float32(h)
	}
	kernel.Exp(s.v, s.v)
	return false
}

// dual is Σ_i a_i f_i/ε for the f of the last call of sum.
func (s *scaling) dual() float64 {
	kernel.Log(s.log, s.sums)
	value := -float64(kernel.Dot(s.a, s.log))
	for i, a := range s.a {
		value += float64(a) * s.row[i]
	}
	return value
}

// sum writes z = Kᵀ(a/Kv). Blocks of rows are added in the same order for any number of
// threads.
func (s *scaling) sum() {
	kernel.Parallel(s.parts.Rows, 1, s.sumBlocks)
	copy(s.z, batch.Row(s.parts, 0))
	for k := 1; k < s.parts.Rows; k++ {
		kernel.Add(s.z, s.z, batch.Row(s.parts, k))
	}
}

func (s *scaling) doSum(lo, hi int) {
	n, blocks := s.kernel.Rows, s.parts.Rows
	for block := lo; block < hi; block++ {
		z := batch.Row(s.parts, block)
		clear(z)
		for i := block * n / blocks; i < (block+1)*n/blocks; i++ {
			k := batch.Row(s.kernel, i)
			s.sums[i] = kernel.Dot(k, s.v)
			kernel.Axpy(z, s.a[i]/s.sums[i], k)
		}
	}
}

// largest is max x_i of a slice that is not empty, in four lanes.
func largest(x []float32) float32 {
	l0, l1, l2, l3 := x[0], x[0], x[0], x[0]
	for ; len(x) >= 4; x = x[4:] {
		if x[0] > l0 {
			l0 = x[0]
		}
		if x[1] > l1 {
			l1 = x[1]
		}
		if x[2] > l2 {
			l2 = x[2]
		}
		if x[3] > l3 {
			l3 = x[3]
		}
	}
	for _, t := range x {
		l0 = max(l0, t)
	}
	return max(l0, l1, l2, l3)
}

// sumAbs is Σ |x_i|, in four lanes.
func sumAbs(x []float32) float64 {
	abs := func(t float32) float32 { return math.Float32frombits(math.Float32bits(t) &^ (1 << 31)) }
	var l0, l1, l2, l3 float32
	for ; len(x) >= 4; x = x[4:] {
		l0 += abs(x[0])
		l1 += abs(x[1])
		l2 += abs(x[2])
		l3 += abs(x[3])
	}
	for _, t := range x {
		l0 += abs(t)
	}
	return float64(l0+l1) + float64(l2+l3)
}
