package op_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"cmf/graph"
	"cmf/graph/op"

	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// quadratics is a soft maximum with random weights, as a naive reference.
type quadratics struct {
	op.Quadratics
	f, d, c, b matrix
	rows       int // that have a C and a b of their own; 0 if all have the same
}

// of is the soft maximum of row i.
func (q quadratics) of(i int) quadratics {
	if q.rows > 0 {
		all, d := q, q.d.Shape[1]
		q.c = build(q.Pieces, d, func(k, j int) float64 { return all.c.at(i, k*d+j) })
		q.b = build(1, q.Pieces, func(_, k int) float64 { return all.b.at(i, k) })
	}
	return q
}

// withRows gives each of n rows a C and a b of its own.
func (q quadratics) withRows(n int) quadratics {
	shared, d := q, q.d.Shape[1]
	q.rows = n
	q.c = build(n, q.Pieces*d, func(i, j int) float64 { return shared.c.at(j/d, j%d) + math.Sin(float64(i+j)) })
	q.b = build(n, q.Pieces, func(i, k int) float64 { return shared.b.at(0, k) + 2*math.Cos(float64(i*k)) })
	return q
}

func newQuadratics(dim, pieces, rank int, tau float64, seed uint64) quadratics {
	r := rand.New(rand.NewPCG(seed, 5))
	normal := func(scale float64) func(int, int) float64 {
		return func(int, int) float64 { return scale * r.NormFloat64() }
	}
	q := quadratics{Quadratics: op.Quadratics{Pieces: pieces, Rank: rank, Tau: tau}}
	q.f = build(pieces*rank, dim, normal(1/math.Sqrt(float64(dim))))
	q.d = build(pieces, dim, func(int, int) float64 { return .1 + r.Float64() })
	q.c = build(pieces, dim, normal(2))
	q.b = build(1, pieces, normal(1))
	return q
}

// at gives the softmax p, the slopes of the pieces and ∇φ at y.
func (q quadratics) at(y []float64) (p []float64, slopes [][]float64, grad []float64) {
	values := make([]float64, q.Pieces)
	slopes = make([][]float64, q.Pieces)
	for k := range values {
		slopes[k] = make([]float64, len(y))
		values[k] = q.b.at(0, k)
		for j, v := range y {
			values[k] += .5*q.d.at(k, j)*v*v + q.c.at(k, j)*v
			slopes[k][j] = q.d.at(k, j)*v + q.c.at(k, j)
		}
		for a := range q.Rank {
			var s float64
			for j, v := range y {
				s += q.f.at(k*q.Rank+a, j) * v
			}
			values[k] += .5 * s * s
			for j := range y {
				slopes[k][j] += s * q.f.at(k*q.Rank+a, j)
			}
		}
	}
	most, sum := math.Inf(-1), 0.0
	for _, v := range values {
		most = max(most, v)
	}
	for k, v := range values {
		values[k] = math.Exp((v - most) / q.Tau)
		sum += values[k]
	}
	grad = make([]float64, len(y))
	for k := range values {
		values[k] /= sum
		for j := range grad {
			grad[j] += values[k] * slopes[k][j]
		}
	}
	return values, slopes, grad
}

// hessian is ∇²φ(y).
func (q quadratics) hessian(y []float64) matrix {
	p, slopes, grad := q.at(y)
	return build(len(y), len(y), func(i, j int) (h float64) {
		for k := range p {
			a := 0.0
			if i == j {
				a = q.d.at(k, j)
			}
			for l := range q.Rank {
				a += q.f.at(k*q.Rank+l, i) * q.f.at(k*q.Rank+l, j)
			}
			h += p[k] * (a + (slopes[k][i]-grad[i])*(slopes[k][j]-grad[j])/q.Tau)
		}
		return h
	})
}

func (q quadratics) declare(s *graph.Scope) op.QuadraticsWeights {
	return op.QuadraticsWeights{
		Factors: s.Input("F", q.f.Shape[0], q.f.Shape[1]), Diagonal: s.Input("D", q.d.Shape[0], q.d.Shape[1]),
		Centers: s.Input("C", q.c.Shape[0], q.c.Shape[1]), Offsets: s.Input("b", max(1, q.rows), q.Pieces),
	}
}

func (q quadratics) fill(p *graph.Program) {
	for name, m := range map[string]matrix{"F": q.f, "D": q.d, "C": q.c, "b": q.b} {
		fill(p.In(name), m)
	}
}

// ∇φ at the argmax is x; solves with the Hessian agree with dense ones. So it is where each
// row has centers and offsets of its own.
func TestQuadratics(t *testing.T) {
	for _, c := range []struct {
		dim, pieces, rank int
		tau               float64
	}{{1, 1, 1, 1}, {2, 7, 2, .3}, {2, 5, 2, .01}, {5, 4, 2, 1}, {5, 9, 5, .1}, {33, 6, 33, .5}, {40, 5, 3, 1}, {40, 12, 2, .05}} {
		for _, dtype := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			for _, own := range []int{0, 40} {
				t.Run(fmt.Sprint(c, dtype, own), func(t *testing.T) {
					const n, k = 40, 2
					q := newQuadratics(c.dim, c.pieces, c.rank, c.tau, 3)
					if own > 0 {
						q = q.withRows(own)
					}
					s := graph.NewScope(dtype)
					x, v, w := s.Input("x", n, c.dim), s.Input("v", k*n, c.dim), q.declare(s)
					y := s.Argmax(q.Quadratics, x, nil, w)
					p := compile(t, s, map[string]*gorgonia.Node{"y": y, "u": s.SolveHessian(q.Quadratics, y, v, w), "mean": s.MeanInverseHessian(q.Quadratics, y, w)})
					q.fill(p)
					r := rand.New(rand.NewPCG(8, 8))
					points := build(n, c.dim, func(i, _ int) float64 { return float64(1+i%4) * 2 * r.NormFloat64() })
					directions := build(k*n, c.dim, func(int, int) float64 { return r.NormFloat64() })
					fill(p.In("x"), points)
					fill(p.In("v"), directions)
					run(t, p)
					tolerance := 1e-9
					if dtype == tensor.Float32 {
						tolerance = 1e-3
					}
					var worst, worstSolve float64
					mean := build(c.dim, c.dim, func(int, int) float64 { return 0 })
					for i := range n {
						at := build(c.dim, 1, func(j, _ int) float64 { return p.Out("y").At(i, j) })
						_, _, grad := q.of(i).at(at.v)
						h := q.of(i).hessian(at.v)
						// The error of y, not of ∇φ(y): where τ is small ∇φ nearly jumps.
						rest := build(c.dim, 1, func(j, _ int) float64 { return points.at(i, j) - grad[j] })
						worst = max(worst, norm(solveDense(h, rest))/max(norm(at), .1))
						for b := range k {
							u := solveDense(h, build(c.dim, 1, func(j, _ int) float64 { return directions.at(b*n+i, j) }))
							off := build(c.dim, 1, func(j, _ int) float64 { return u.at(j, 0) - p.Out("u").At(b*n+i, j) })
							worstSolve = max(worstSolve, norm(off)/norm(u))
						}
						for j := range c.dim {
							axis := build(c.dim, 1, func(l, _ int) float64 { return math.Max(0, 1-math.Abs(float64(l-j))) })
							for l, v := range solveDense(h, axis).v {
								mean.v[l*c.dim+j] += v / n
							}
						}
					}
					if !(worst <= tolerance && worstSolve <= 10*tolerance) {
						t.Errorf("error of y %.2g, of solves with the Hessian %.2g, both relative; want ≤ %g and ≤ %g", worst, worstSolve, tolerance, 10*tolerance)
					}
					for j, v := range mean.v {
						if got := p.Out("mean").At(j/c.dim, j%c.dim); !(math.Abs(got-v) <= 10*tolerance*norm(mean)) {
							t.Fatalf("the mean inverse has %g at %d, want %g", got, j, v)
						}
					}
				})
			}
		}
	}
}

func norm(m matrix) float64 {
	var s float64
	for _, v := range m.v {
		s += v * v
	}
	return math.Sqrt(s)
}

// solveDense is h⁻¹·b.
func solveDense(h, b matrix) matrix {
	var x mat.VecDense
	if err := x.SolveVec(mat.NewDense(h.Shape[0], h.Shape[1], h.v), mat.NewVecDense(len(b.v), b.v)); err != nil {
		panic(err)
	}
	return build(len(b.v), 1, func(i, _ int) float64 { return x.AtVec(i) })
}
