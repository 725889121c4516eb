package inpaint

import (
	"math"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// PSNR is −10·log₁₀ of the mean squared error over the hidden pixels of all
// rows, in dB, for pixels in [0, 1].
func PSNR(truth, x blas32.General, hidden []int) float64 {
	var sum float64
	for i := range truth.Rows {
		a, b := batch.Row(truth, i), batch.Row(x, i)
		for _, k := range hidden {
			d := float64(a[k]) - float64(b[k])
			sum += d * d
		}
	}
	return -10 * math.Log10(sum/float64(truth.Rows*len(hidden)))
}

// SSIM is the structural similarity of 28×28 pictures in [0, 1], as a mean over rows and
// hidden pixels. It uses a window of 7×7 pixels around each pixel, cut at the edges, and
// the constants .01² and .03². Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli,
// "Image Quality Assessment", IEEE Trans. Image Process. 13(4), 2004, 600–612.
func SSIM(truth, x blas32.General, hidden []int) float64 {
	var sum float64
	for i := range truth.Rows {
		for _, k := range hidden {
			sum += similarity(batch.Row(truth, i), batch.Row(x, i), k/side, k%side)
		}
	}
	return sum / float64(truth.Rows*len(hidden))
}

// similarity is the SSIM of two pictures in the window around row i, column j.
func similarity(a, b []float32, i, j int) float64 {
	const reach, c1, c2 = 3, .01 * .01, .03 * .03
	var n, sa, sb, saa, sbb, sab float64
	for y := max(0, i-reach); y <= min(side-1, i+reach); y++ {
		for x := max(0, j-reach); x <= min(side-1, j+reach); x++ {
			p, q := float64(a[y*side+x]), float64(b[y*side+x])
			n++
			sa, sb, saa, sbb, sab = sa+p, sb+q, saa+p*p, sbb+q*q, sab+p*q
		}
	}
	ma, mb := sa/n, sb/n
	va, vb, cov := saa/n-ma*ma, sbb/n-mb*mb, sab/n-ma*mb
	return (2*ma*mb + c1) * (2*cov + c2) / ((ma*ma + mb*mb + c1) * (va + vb + c2))
}

// Diversity is the root mean square deviation, over the hidden pixels, of a picture's draws
// from their mean, as a mean over pictures; draws holds each rows for every picture.
func Diversity(draws blas32.General, each int, hidden []int) float64 {
	n := draws.Rows / each
	var sum float64
	for i := range n {
		var variance float64
		for _, k := range hidden {
			var s, ss float64
			for d := range each {
				v := float64(batch.Row(draws, i*each+d)[k])
				s, ss = s+v, ss+v*v
			}
			variance += (ss - s*s/float64(each)) / float64(each-1)
		}
		sum += math.Sqrt(max(0, variance) / float64(len(hidden)))
	}
	return sum / float64(n)
}
