// Package mixture fits mixtures of Gaussians: what a law is compared with that is
// made of parts.
package mixture

import (
	"errors"
	"fmt"
	"math"

	"cmf/solvers/batch"
	"cmf/solvers/cells"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Mixture is the law Σ_k π_k·N(m_k, Σ_k).
type Mixture struct {
	Weights     []float64
	Means       blas32.General // (K, d)
	Covariances []*mat.SymDense

	factors []*mat.Cholesky
}

// ridge is added to every variance, as a share of the mean variance of the points.
// It keeps a part that shrinks to a few points from a singular covariance.
const ridge = 1e-4

// Fit fits K Gaussians with full covariances to the rows of x, (n, d), by the EM
// algorithm (A. Dempster, N. Laird, D. Rubin, 1977), from cells of k-means. It ends
// after the given number of rounds, or when the mean log-likelihood rises by less
// than 1e-4 nats. It needs n ≥ 2K points.
func Fit(x blas32.General, parts, rounds int, rng *random.Stream) (*Mixture, error) {
	n, d := x.Rows, x.Cols
	if parts < 1 || n < 2*parts {
		return nil, fmt.Errorf("mixture: %d parts for %d points; there must be at least 1 part and two points for each", parts, n)
	}
	cell, _, err := cells.KMeans(x, parts, 20, rng)
	if err != nil {
		return nil, fmt.Errorf("mixture: %w", err)
	}
	m := &Mixture{Weights: make([]float64, parts), Means: batch.New(parts, d), Covariances: make([]*mat.SymDense, parts), factors: make([]*mat.Cholesky, parts)}
	share := batch.New(n, parts) // of each part in each point
	for i, k := range cell {
		share.Data[i*parts+k] = 1
	}
	least := ridge * batch.TotalVariance(x, make([]float64, d)) / float64(d)
	before := math.Inf(-1)
	for range rounds {
		if err := m.maximise(x, share, least); err != nil {
			return nil, err
		}
		now, err := m.expect(x, share)
		if err != nil {
			return nil, err
		}
		if now-before < 1e-4 {
			break
		}
		before = now
	}
	return m, nil
}

// maximise sets the parts to the weighted moments of the points.
func (m *Mixture) maximise(x, share blas32.General, least float64) error {
	n, d, parts := x.Rows, x.Cols, len(m.Weights)
	weighted := batch.New(n, d)
	product := make([]float32, d*d)
	for k := range parts {
		var total float64
		mean := make([]float64, d)
		for i := range n {
			r := float64(share.Data[i*parts+k])
			total += r
			for j, v := range batch.Row(x, i) {
				mean[j] += r * float64(v)
			}
		}
		if total == 0 {
			m.Weights[k] = 0 // no point belongs to it; it stays where it was
			continue
		}
		for j := range mean {
			mean[j] /= total
			batch.Row(m.Means, k)[j] = float32(mean[j])
		}
		for i := range n {
			root := math.Sqrt(float64(share.Data[i*parts+k]) / total)
			to := batch.Row(weighted, i)
			for j, v := range batch.Row(x, i) {
				to[j] = float32(root * (float64(v) - mean[j]))
			}
		}
		blas32.Gemm(blas.Trans, blas.NoTrans, 1, weighted, weighted, 0, blas32.General{Rows: d, Cols: d, Stride: d, Data: product})
		cov := mat.NewSymDense(d, nil)
		for a := range d {
			for b := a; b < d; b++ {
				cov.SetSym(a, b, float64(product[a*d+b]))
			}
			cov.SetSym(a, a, cov.At(a, a)+least)
		}
		factor := new(mat.Cholesky)
		if !factor.Factorize(cov) {
			return errors.New("mixture: a covariance is singular; the points must not lie in a plane, and must be finite")
		}
		m.Weights[k], m.Covariances[k], m.factors[k] = total/float64(n), cov, factor
	}
	return nil
}

// expect writes the share of each part in each point, and returns the mean
// log-likelihood.
func (m *Mixture) expect(x, share blas32.General) (float64, error) {
	n, parts := x.Rows, len(m.Weights)
	logs, err := m.logs(x)
	if err != nil {
		return 0, err
	}
	var sum float64
	for i := range n {
		row := logs[i*parts : (i+1)*parts]
		total := logSumExp(row)
		sum += total / float64(n)
		for k, v := range row {
			share.Data[i*parts+k] = float32(math.Exp(v - total))
		}
	}
	if math.IsNaN(sum) {
		return 0, errors.New("mixture: the likelihood is not a number; the points must be finite")
	}
	return sum, nil
}

// logs are log π_k + log N(x_i; m_k, Σ_k), (n, K).
func (m *Mixture) logs(x blas32.General) ([]float64, error) {
	n, d, parts := x.Rows, x.Cols, len(m.Weights)
	if d != m.Means.Cols {
		return nil, fmt.Errorf("mixture: points of %d coordinates for parts of %d", d, m.Means.Cols)
	}
	logs := make([]float64, n*parts)
	inverse := mat.NewTriDense(d, mat.Lower, nil)
	whitening, centred, white := batch.New(d, d), batch.New(n, d), batch.New(n, d)
	for k := range parts {
		if m.Weights[k] == 0 {
			for i := range n {
				logs[i*parts+k] = math.Inf(-1)
			}
			continue
		}
		var lower mat.TriDense
		m.factors[k].LTo(&lower)
		if err := inverse.InverseTri(&lower); err != nil {
			return nil, fmt.Errorf("mixture: part %d: %w", k+1, err)
		}
		for a := range d {
			for b := range d {
				whitening.Data[a*d+b] = float32(inverse.At(a, b))
			}
		}
		mean := batch.Row(m.Means, k)
		for i := range n {
			to := batch.Row(centred, i)
			for j, v := range batch.Row(x, i) {
				to[j] = v - mean[j]
			}
		}
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, centred, whitening, 0, white)
		constant := math.Log(m.Weights[k]) - .5*(float64(d)*math.Log(2*math.Pi)+m.factors[k].LogDet())
		for i := range n {
			var square float64
			for _, v := range batch.Row(white, i) {
				square += float64(v) * float64(v)
			}
			logs[i*parts+k] = constant - square/2
		}
	}
	return logs, nil
}

// LogPDF is the log density at each row of x, in nats.
func (m *Mixture) LogPDF(x blas32.General) ([]float64, error) {
	logs, err := m.logs(x)
	if err != nil {
		return nil, err
	}
	out, parts := make([]float64, x.Rows), len(m.Weights)
	for i := range out {
		out[i] = logSumExp(logs[i*parts : (i+1)*parts])
	}
	return out, nil
}

// Sample draws n points.
func (m *Mixture) Sample(n int, rng *random.Stream) blas32.General {
	d := m.Means.Cols
	out, z := batch.New(n, d), make([]float64, d)
	lower := make([]mat.TriDense, len(m.Weights))
	for k, w := range m.Weights {
		if w > 0 {
			m.factors[k].LTo(&lower[k])
		}
	}
	for i := range n {
		u, k := rng.Float64(), 0
		for k < len(m.Weights)-1 && (u >= m.Weights[k] || m.Weights[k] == 0) {
			u -= m.Weights[k]
			k++
		}
		for j := range z {
			z[j] = rng.NormFloat64()
		}
		to := batch.Row(out, i)
		for a := range to {
			v := float64(batch.Row(m.Means, k)[a])
			for b := range a + 1 {
				v += lower[k].At(a, b) * z[b]
			}
			to[a] = float32(v)
		}
	}
	return out
}

func logSumExp(values []float64) float64 {
	most := math.Inf(-1)
	for _, v := range values {
		most = max(most, v)
	}
	if math.IsInf(most, -1) {
		return most
	}
	var sum float64
	for _, v := range values {
		sum += math.Exp(v - most)
	}
	return most + math.Log(sum)
}
