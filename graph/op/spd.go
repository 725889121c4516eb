package op

import (
	"fmt"
	"math"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// LogDet declares the (n, 1) log-determinants of n symmetric positive definite
// (d, d) matrices, each a row of the (n, d²) matrix h, by Cholesky
// factorisation in float64. A row that is not positive definite gives NaN.
func (b *Builder) LogDet(d int, h *gorgonia.Node) *gorgonia.Node { return b.Apply(logDet(d), h) }

// InverseSPD declares the inverses of n symmetric positive definite matrices,
// laid out as for LogDet. A row that is not positive definite gives NaN. Its
// gradient, and the second gradient of LogDet, assume that h varies
// symmetrically.
func (b *Builder) InverseSPD(d int, h *gorgonia.Node) *gorgonia.Node {
	return b.Apply(inverseSPD(d), h)
}

// BatchMul declares the n products op(X_i)·op(Y_i) of (d, d) matrices, each a
// row of an (n, d²) matrix.
func (b *Builder) BatchMul(d int, x *gorgonia.Node, transX bool, y *gorgonia.Node, transY bool) *gorgonia.Node {
	return b.Apply(batchMul(d, transX, transY), x, y)
}

func logDet(d int) *Op {
	return &Op{
		name: fmt.Sprintf("LogDet{%d}", d), arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) { return Shape{in[0][0], 1}, squares(d, in) },
		f32:   bindLogDet[float32](d), f64: bindLogDet[float64](d),
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Mul(b.InverseSPD(d, in[0]), g)}
		},
	}
}

func inverseSPD(d int) *Op {
	return &Op{
		name: fmt.Sprintf("InverseSPD{%d}", d), arity: 1, onRows: true,
		shape: func(in []Shape) (Shape, error) { return in[0], squares(d, in) },
		f32:   bindInverse[float32](d), f64: bindInverse[float64](d),
		// d(H⁻¹) = −H⁻¹·dH·H⁻¹, and H⁻¹ is symmetric.
		diff: func(b *Builder, _ gorgonia.Nodes, inv, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Scale(-1, b.BatchMul(d, b.BatchMul(d, inv, false, g, false), false, inv, false))}
		},
	}
}

func batchMul(d int, tx, ty bool) *Op {
	return &Op{
		name: fmt.Sprintf("BatchMul{%d,%t,%t}", d, tx, ty), arity: 2, onRows: true,
		shape: func(in []Shape) (Shape, error) {
			if in[0] != in[1] {
				return Shape{}, fmt.Errorf("%w: %v and %v must be equal", errShape, in[0], in[1])
			}
			return in[0], squares(d, in)
		},
		f32: bindBatchMul[float32](d, tx, ty), f64: bindBatchMul[float64](d, tx, ty),
		diff: func(b *Builder, in gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			x, y := in[0], in[1]
			var dx, dy *gorgonia.Node
			if tx {
				dx = b.BatchMul(d, y, ty, g, true)
			} else {
				dx = b.BatchMul(d, g, false, y, !ty)
			}
			if ty {
				dy = b.BatchMul(d, g, true, x, tx)
			} else {
				dy = b.BatchMul(d, x, !tx, g, false)
			}
			return gorgonia.Nodes{dx, dy}
		},
	}
}

func squares(d int, in []Shape) error {
	if in[0][1] != d*d {
		return fmt.Errorf("%w: rows of %d elements do not hold (%d, %d) matrices", errShape, in[0][1], d, d)
	}
	return nil
}

func bindLogDet[T kernel.Float](d int) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		l := make([]float64, out.Rows*d*d) // a slab per row: threads share none
		return byRows(out.Rows, d*d*d, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				f := l[i*d*d : (i+1)*d*d]
				s := math.NaN()
				if cholesky(f, in[0].row(i), d) {
					s = logDiagonal(f, d)
				}
				out.Data[i] = T(s)
			}
		})
	}
}

// logDiagonal is log det L·Lᵀ for the triangular factor l. It takes logarithms
// of products that stay within the range of float64, because a logarithm costs
// more than the factorisation of a small matrix.
func logDiagonal(l []float64, d int) (sum float64) {
	product := 1.0
	for k := range d {
		product *= l[k*d+k]
		if product < 1e-100 || product > 1e100 {
			sum += 2 * math.Log(product)
			product = 1
		}
	}
	return sum + 2*math.Log(product)
}

func bindInverse[T kernel.Float](d int) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		l := make([]float64, out.Rows*2*d*d)
		return byRows(out.Rows, 3*d*d*d, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				f, m := l[i*2*d*d:][:d*d], l[(i*2+1)*d*d:][:d*d]
				dst := out.row(i)
				if !cholesky(f, in[0].row(i), d) {
					for k := range dst {
						dst[k] = T(math.NaN())
					}
					continue
				}
				invertLower(m, f, d)
				for p := range d {
					for q := range p + 1 {
						var s float64
						for k := p; k < d; k++ {
							s += m[k*d+p] * m[k*d+q]
						}
						dst[p*d+q], dst[q*d+p] = T(s), T(s)
					}
				}
			}
		})
	}
}

// cholesky writes the lower factor of the symmetric part of h into l and
// reports whether h is positive definite. It goes by columns, four rows at a time,
// because sums of separate rows need not wait for each other.
func cholesky[T kernel.Float](l []float64, h []T, d int) bool {
	at := func(i, j int) float64 { return .5 * (float64(h[i*d+j]) + float64(h[j*d+i])) }
	for j := range d {
		row, s := l[j*d:j*d+j], at(j, j)
		for _, v := range row {
			s -= v * v
		}
		if !(s > 0) || math.IsInf(s, 1) {
			return false
		}
		pivot := math.Sqrt(s)
		l[j*d+j] = pivot
		i := j + 1
		for ; i+4 <= d; i += 4 {
			r0, r1, r2, r3 := l[i*d:][:len(row)], l[(i+1)*d:][:len(row)], l[(i+2)*d:][:len(row)], l[(i+3)*d:][:len(row)]
			s0, s1, s2, s3 := at(i, j), at(i+1, j), at(i+2, j), at(i+3, j)
			for k, v := range row {
				s0 -= r0[k] * v
				s1 -= r1[k] * v
				s2 -= r2[k] * v
				s3 -= r3[k] * v
			}
			l[i*d+j], l[(i+1)*d+j], l[(i+2)*d+j], l[(i+3)*d+j] = s0/pivot, s1/pivot, s2/pivot, s3/pivot
		}
		for ; i < d; i++ {
			s := at(i, j)
			for k, v := range row {
				s -= l[i*d+k] * v
			}
			l[i*d+j] = s / pivot
		}
	}
	return true
}

// invertLower writes the inverse of the lower triangular l into m.
func invertLower(m, l []float64, d int) {
	for i := range d {
		for j := range i {
			var s float64
			for k := j; k < i; k++ {
				s -= l[i*d+k] * m[k*d+j]
			}
			m[i*d+j] = s / l[i*d+i]
		}
		m[i*d+i] = 1 / l[i*d+i]
	}
}

func bindBatchMul[T kernel.Float](d int, tx, ty bool) binder[T] {
	at := func(t bool) (row, col int) {
		if t {
			return 1, d
		}
		return d, 1
	}
	xr, xc := at(tx)
	yr, yc := at(ty)
	return func(out Matrix[T], in []Matrix[T]) func() {
		return byRows(out.Rows, d*d*d, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				o, x, y := out.row(i), in[0].row(i), in[1].row(i)
				for p := range d {
					for q := range d {
						var s T
						for k := range d {
							s += x[p*xr+k*xc] * y[k*yr+q*yc]
						}
						o[p*d+q] = s
					}
				}
			}
		})
	}
}
