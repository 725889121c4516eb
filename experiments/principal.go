package experiments

import (
	"fmt"
	"math"

	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
)

// principal splits ℝᵈ about the data's mean m into the coordinates along its
// leading principal directions, x = m + V·z + r with r ⊥ V. Rotations keep the
// data's units; a conjugate moment potential of independent parts is the sum of
// theirs.
type principal struct {
	mean    []float64
	vectors blas32.General // V, (d, K), orthonormal columns, falling variances
	values  []float64      // variances along them
	rest    float64        // mean variance of the directions beyond
	learned int            // of the directions, the first, by a network
}

// put writes the directions into a checkpoint.
func (p *principal) put(c *graph.Checkpoint) {
	single := func(values ...float64) []float32 {
		out := make([]float32, len(values))
		for i, v := range values {
			out[i] = float32(v)
		}
		return out
	}
	c.Put("units.mean", single(p.mean...), len(p.mean))
	c.Put("units.directions", p.vectors.Data, p.vectors.Rows, p.vectors.Cols)
	c.Put("units.variances", single(append(p.values, p.rest)...), len(p.values)+1)
}

// principalOf reads what put wrote, for a model of so many dimensions; nil where
// there is none.
func principalOf(c *graph.Checkpoint, learned int) (*principal, error) {
	t, ok := c.Tensors["units.directions"]
	if !ok {
		return nil, nil
	}
	p := &principal{vectors: t.General(), learned: learned}
	double := func(name string, n int) (values []float64, err error) {
		if have := len(c.Tensors[name].F32); have != n {
			return nil, fmt.Errorf("its %q has %d values; there must be %d", name, have, n)
		}
		for _, v := range c.Tensors[name].F32 {
			values = append(values, float64(v))
		}
		return values, nil
	}
	d, k := p.vectors.Rows, p.vectors.Cols
	if k < learned || d <= k {
		return nil, fmt.Errorf("its %q has shape %v; a model of dimension %d needs (d, k) with d > k ≥ %[3]d", "units.directions", t.Shape, learned)
	}
	var err error
	if p.mean, err = double("units.mean", d); err != nil {
		return nil, err
	}
	variances, err := double("units.variances", k+1)
	if err != nil {
		return nil, err
	}
	for _, v := range variances {
		if !(v > 0) {
			return nil, fmt.Errorf("its %q holds %g; they must be positive", "units.variances", v)
		}
	}
	p.values, p.rest = variances[:k], variances[k]
	return p, nil
}

// newPrincipal finds K leading directions of the rows of x, (n, d), by subspace
// iteration and a Rayleigh–Ritz step. N. Halko, P. G. Martinsson, J. A. Tropp,
// "Finding structure with randomness", SIAM Review 53(2), 2011, algorithm 4.4.
func newPrincipal(x blas32.General, k int, rng *random.Stream) (*principal, error) {
	n, d := x.Rows, x.Cols
	if k < 1 || k >= min(n, d) {
		return nil, fmt.Errorf("%d principal directions of %d points of dimension %d; fewer are needed than of either", k, n, d)
	}
	mean := batch.Means(x)
	x = batch.Shifted(x, mean)
	// Directions beyond k take up what the last ones would lack.
	wide := min(k+10, n, d)
	basis, along := batch.New(d, wide), batch.New(n, wide)
	rng.Normals(basis.Data)
	const iterations = 4
	for range iterations {
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, basis, 0, along)
		blas32.Gemm(blas.Trans, blas.NoTrans, 1/float32(n), x, along, 0, basis)
		orthonormalise(basis)
	}
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, x, basis, 0, along)
	_, cov := batch.Moments(along)
	var eigen mat.EigenSym
	if !eigen.Factorize(cov, true) {
		return nil, fmt.Errorf("the principal directions of %d points were not found", n)
	}
	var turn mat.Dense
	eigen.VectorsTo(&turn)
	p := &principal{mean: mean, vectors: batch.New(d, k), values: make([]float64, k)}
	rotation := batch.New(wide, k)
	p.rest = batch.TotalVariance(x, make([]float64, d)) * float64(n) / float64(n-1)
	for j := range k {
		from := wide - 1 - j // eigenvalues ascend
		p.values[j] = eigen.Values(nil)[from]
		p.rest -= p.values[j]
		for i := range wide {
			rotation.Data[i*k+j] = float32(turn.At(i, from))
		}
	}
	p.rest = max(p.rest, 0) / float64(d-k)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, basis, rotation, 0, p.vectors)
	return p, nil
}

// orthonormalise replaces the columns of a, no more than rows, by an orthonormal
// basis of their span: the Q of its Householder factorisation. (mat.QR would form
// all of a square Q.)
func orthonormalise(a blas32.General) {
	wide := mat.NewDense(a.Rows, a.Cols, nil)
	for i := range a.Rows {
		for j, v := range batch.Row(a, i) {
			wide.Set(i, j, float64(v))
		}
	}
	tau, size := make([]float64, a.Cols), make([]float64, 1)
	lapack64.Geqrf(wide.RawMatrix(), tau, size, -1)
	work := make([]float64, int(size[0]))
	lapack64.Geqrf(wide.RawMatrix(), tau, work, len(work))
	lapack64.Orgqr(wide.RawMatrix(), tau, size, -1)
	work = make([]float64, int(size[0]))
	lapack64.Orgqr(wide.RawMatrix(), tau, work, len(work))
	for i := range a.Rows {
		for j := range a.Cols {
			batch.Row(a, i)[j] = float32(wide.At(i, j))
		}
	}
}

// coordinates are those of centred points x − m, (n, d), along the first k
// directions, (n, k).
func (p *principal) coordinates(centred blas32.General, k int) blas32.General {
	z := batch.New(centred.Rows, k)
	v := p.vectors
	v.Cols = k
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, centred, v, 0, z)
	return z
}

// lift is V·z + …, (n, d), for coordinates z along the first directions, (n, k),
// and independent normal ones of variances λ^{2·power} along all others: power ½
// for the Gaussian ρ of the remainder, 1/6 for its Gibbs factor. Two streams of
// one state give a noise and the picture ∇w*(y) that belongs to it. Without a
// stream all others are 0.
func (p *principal) lift(z blas32.General, power float64, rng *random.Stream) blas32.General {
	n, d, k := z.Rows, p.vectors.Rows, p.vectors.Cols
	out, along := batch.New(n, d), batch.New(n, k)
	if rng != nil {
		rng.Normals(out.Data)
	}
	// Vᵀξ is N(0, I) as ξ is, and independent of ξ − V·Vᵀξ.
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, out, p.vectors, 0, along)
	floor := float32(math.Pow(p.rest, power))
	for i := range n {
		for j, e := range batch.Row(along, i) {
			v := float32(math.Pow(p.values[j], power)) * e
			if j < z.Cols {
				v = batch.Row(z, i)[j]
			}
			batch.Row(along, i)[j] = v - floor*e
		}
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, along, p.vectors, floor, out)
	return out
}

// logRest is the log density of the coordinates that are not learned, all but the
// first, normal and independent, at centred points x − m, (n, d).
func (p *principal) logRest(centred blas32.General) []float64 {
	beyond := p.vectors.Rows - len(p.values)
	constant := -float64(beyond) / 2 * math.Log(2*math.Pi*p.rest)
	for _, v := range p.values[p.learned:] {
		constant -= math.Log(2*math.Pi*v) / 2
	}
	z := p.coordinates(centred, len(p.values))
	out := make([]float64, centred.Rows)
	for i := range out {
		x := blas32.Vector{N: centred.Cols, Inc: 1, Data: batch.Row(centred, i)}
		remainder := blas32.DDot(x, x) // ‖x − m‖² less what lies along V
		out[i] = constant
		for j, c := range batch.Row(z, i) {
			square := float64(c) * float64(c)
			remainder -= square
			if j >= p.learned {
				out[i] -= square / p.values[j] / 2
			}
		}
		out[i] -= max(remainder, 0) / p.rest / 2
	}
	return out
}

// restored is a copy of centred points with the mean put back.
func (p *principal) restored(centred blas32.General) blas32.General {
	x := batch.New(centred.Rows, centred.Cols)
	for i := range x.Rows {
		for j, v := range batch.Row(centred, i) {
			batch.Row(x, i)[j] = float32(float64(v) + p.mean[j])
		}
	}
	return x
}
