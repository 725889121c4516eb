package units

import (
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
)

// Principal are units of pictures in which only the leading principal
// directions are learned. The logits are m + V·z + r with r ⊥ V. z are the
// coordinates along the first Learned columns of V; all others are normal and
// independent of z. A rotation keeps the units of the logits, and a conjugate
// moment potential of independent parts is the sum of their potentials.
type Principal struct {
	Alpha   float64        // α of the logits, between 0 and ½
	Mean    []float64      // m, in logits
	Vectors blas32.General // V, (d, K), orthonormal columns, falling variances
	Values  []float64      // variances along them
	Rest    float64        // mean variance along all other directions
	Learned int            // number of directions that a network learns, the first ones
}

// Dim implements Units.
func (p *Principal) Dim(int) int { return len(p.Mean) }

// Check implements Units.
func (p *Principal) Check(d int) error {
	switch {
	case !(p.Alpha > 0 && p.Alpha < .5):
		return fmt.Errorf("units of principal directions with α = %g; it must be between 0 and 0.5", p.Alpha)
	case p.Learned != d || len(p.Values) < d || p.Vectors.Cols != len(p.Values) || p.Vectors.Rows != len(p.Mean) || len(p.Mean) <= len(p.Values):
		return fmt.Errorf("units of %d learned directions, %d variances and (%d, %d) directions about %d means for points of %d coordinates",
			p.Learned, len(p.Values), p.Vectors.Rows, p.Vectors.Cols, len(p.Mean), d)
	}
	return nil
}

// Data implements Units.
func (p *Principal) Data(z blas32.General, rng *random.Stream) (blas32.General, error) {
	if z.Cols != p.Learned {
		return z, fmt.Errorf("points of %d coordinates in units of %d principal ones", z.Cols, p.Learned)
	}
	return p.Pictures(p.Lift(z, 1./2, rng))
}

// Pictures converts centred logits, (n, d), to pixels.
func (p *Principal) Pictures(centred blas32.General) (blas32.General, error) {
	x := p.restored(centred)
	return x, Logit{Alpha: p.Alpha}.Inverse(x, x)
}

// Learning implements Units. Pixels are not dequantised.
func (p *Principal) Learning(x blas32.General) (blas32.General, error) {
	if x.Cols != len(p.Mean) {
		return x, fmt.Errorf("points of %d coordinates in units of %d", x.Cols, len(p.Mean))
	}
	logits := batch.New(x.Rows, x.Cols)
	if err := (Logit{Alpha: p.Alpha}).Forward(logits, x, nil); err != nil {
		return logits, err
	}
	return p.Coordinates(batch.Shifted(logits, p.Mean), p.Learned), nil
}

// LogVolume implements Units. It needs x for the coordinates that z leaves
// open.
func (p *Principal) LogVolume(z, x blas32.General) ([]float64, error) {
	if x.Rows != z.Rows || x.Cols != len(p.Mean) {
		return nil, fmt.Errorf("a density of pictures of %d values takes the pictures themselves: there are %d points and (%d, %d) pictures", len(p.Mean), z.Rows, x.Rows, x.Cols)
	}
	logits, volume := batch.New(x.Rows, x.Cols), make([]float64, x.Rows)
	transform := Logit{Alpha: p.Alpha}
	if err := transform.Forward(logits, x, nil); err != nil {
		return nil, err
	}
	if err := transform.LogDetJacobian(volume, logits); err != nil {
		return nil, err
	}
	for i, v := range p.logRest(batch.Shifted(logits, p.Mean)) {
		volume[i] += v
	}
	return volume, nil
}

// NewPrincipal finds K leading directions of the logits x, (n, d), by subspace
// iteration and a Rayleigh–Ritz step. N. Halko, P. G. Martinsson, J. A. Tropp,
// "Finding structure with randomness", SIAM Review 53(2), 2011, algorithm 4.4.
func NewPrincipal(x blas32.General, k int, rng *random.Stream) (*Principal, error) {
	n, d := x.Rows, x.Cols
	if k < 1 || k >= min(n, d) {
		return nil, fmt.Errorf("%d principal directions of %d points of dimension %d; there must be fewer directions than points and than dimensions", k, n, d)
	}
	mean := batch.Means(x)
	x = batch.Shifted(x, mean)
	// A few more directions make the last of the k accurate.
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
	p := &Principal{Mean: mean, Vectors: batch.New(d, k), Values: make([]float64, k)}
	rotation := batch.New(wide, k)
	p.Rest = batch.TotalVariance(x, make([]float64, d)) * float64(n) / float64(n-1)
	for j := range k {
		from := wide - 1 - j // eigenvalues ascend
		p.Values[j] = eigen.Values(nil)[from]
		p.Rest -= p.Values[j]
		for i := range wide {
			rotation.Data[i*k+j] = float32(turn.At(i, from))
		}
	}
	p.Rest = max(p.Rest, 0) / float64(d-k)
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, basis, rotation, 0, p.Vectors)
	return p, nil
}

// orthonormalise replaces the columns of a, at most as many as rows, by an
// orthonormal basis of their span: the Q of its Householder factorisation.
// (mat.QR would form all of a square Q.)
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

// Coordinates returns the coordinates, (n, k), of centred points x − m, (n, d),
// along the first k directions.
func (p *Principal) Coordinates(centred blas32.General, k int) blas32.General {
	z := batch.New(centred.Rows, k)
	v := p.Vectors
	v.Cols = k
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, centred, v, 0, z)
	return z
}

// Lift returns V·z + …, (n, d), for coordinates z, (n, k), along the first
// directions. Along all others it draws independent normal coordinates of
// variances λ^{2·power}: power is ½ for the Gaussian ρ of the remainder, 1/6
// for its Gibbs factor. Two streams of the same state give a noise y and the
// picture ∇w*(y) that belongs to it. Without a stream all other coordinates are
// 0.
func (p *Principal) Lift(z blas32.General, power float64, rng *random.Stream) blas32.General {
	n, d, k := z.Rows, p.Vectors.Rows, p.Vectors.Cols
	out, along := batch.New(n, d), batch.New(n, k)
	if rng != nil {
		rng.Normals(out.Data)
	}
	// Vᵀξ is N(0, I) as ξ is, and independent of ξ − V·Vᵀξ.
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, out, p.Vectors, 0, along)
	floor := float32(math.Pow(p.Rest, power))
	for i := range n {
		for j, e := range batch.Row(along, i) {
			v := float32(math.Pow(p.Values[j], power)) * e
			if j < z.Cols {
				v = batch.Row(z, i)[j]
			}
			batch.Row(along, i)[j] = v - floor*e
		}
	}
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, along, p.Vectors, floor, out)
	return out
}

// logRest is the log density, at centred points x − m, (n, d), of the
// coordinates that are not learned: all after the first Learned ones, normal
// and independent.
func (p *Principal) logRest(centred blas32.General) []float64 {
	beyond := p.Vectors.Rows - len(p.Values)
	constant := -float64(beyond) / 2 * math.Log(2*math.Pi*p.Rest)
	for _, v := range p.Values[p.Learned:] {
		constant -= math.Log(2*math.Pi*v) / 2
	}
	z := p.Coordinates(centred, len(p.Values))
	out := make([]float64, centred.Rows)
	for i := range out {
		x := blas32.Vector{N: centred.Cols, Inc: 1, Data: batch.Row(centred, i)}
		remainder := blas32.DDot(x, x) // ‖x − m‖² less what lies along V
		out[i] = constant
		for j, c := range batch.Row(z, i) {
			square := float64(c) * float64(c)
			remainder -= square
			if j >= p.Learned {
				out[i] -= square / p.Values[j] / 2
			}
		}
		out[i] -= max(remainder, 0) / p.Rest / 2
	}
	return out
}

// restored is a copy of centred points with the mean put back.
func (p *Principal) restored(centred blas32.General) blas32.General {
	x := batch.New(centred.Rows, centred.Cols)
	for i := range x.Rows {
		for j, v := range batch.Row(centred, i) {
			batch.Row(x, i)[j] = float32(float64(v) + p.Mean[j])
		}
	}
	return x
}
