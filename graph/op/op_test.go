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

// matrix is the type with which the naive references compute.
type matrix struct {
	op.Shape
	v []float64
}

func build(rows, cols int, f func(i, j int) float64) matrix {
	m := matrix{op.Shape{rows, cols}, make([]float64, rows*cols)}
	for i := range rows {
		for j := range cols {
			m.v[i*cols+j] = f(i, j)
		}
	}
	return m
}

// at is the element (i, j); a single row or column is repeated.
func (m matrix) at(i, j int) float64 { return m.v[i%m.Shape[0]*m.Shape[1]+j%m.Shape[1]] }

func (m matrix) oriented(trans bool) matrix {
	if !trans {
		return m
	}
	return build(m.Shape[1], m.Shape[0], func(i, j int) float64 { return m.at(j, i) })
}

func product(x, y matrix) matrix {
	return build(x.Shape[0], y.Shape[1], func(i, j int) (s float64) {
		for k := range x.Shape[1] {
			s += x.at(i, k) * y.at(k, j)
		}
		return s
	})
}

// square is the (d, d) matrix in row i.
func (m matrix) square(i, d int) matrix {
	return build(d, d, func(p, q int) float64 { return m.at(i, p*d+q) })
}

// operation is one row of the table that every test of values and gradients
// goes through.
type operation struct {
	name     string
	shapes   []op.Shape
	positive bool // operands in (.5, 2.5) rather than ±(.1, 2.1)
	declare  func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node
	naive    func(x []matrix) matrix
}

func (o operation) operands(seed uint64) []matrix {
	r := rand.New(rand.NewPCG(seed, 11))
	xs := make([]matrix, len(o.shapes))
	for k, s := range o.shapes {
		xs[k] = build(s[0], s[1], func(int, int) float64 {
			if o.positive {
				return .5 + 2*r.Float64()
			}
			return math.Copysign(.1+2*r.Float64(), r.Float64()-.5)
		})
	}
	return xs
}

func operations() []operation {
	ops := append(products(), broadcasts()...)
	ops = append(ops, elementwise()...)
	ops = append(ops, rearrangements()...)
	ops = append(ops, pictures()...)
	ops = append(ops, groups()...)
	return append(ops, batchedSquares()...)
}

// pictures are batches of pictures with 1 to 3 channels, the channels of a pixel
// side by side.
func pictures() (ops []operation) {
	const n, filters = 3, 2
	for _, w := range windows() {
		down, across := w.Positions()
		x, kappa, y := op.Shape{n, w.Inputs()}, op.Shape{w.Taps(), filters}, op.Shape{n, down * across * filters}
		// each calls f for every filter and tap of every square, with the pixel of
		// the tap, where that lies in the picture.
		each := func(f func(tap, filter, pixel, response int)) {
			for p := range down {
				for q := range across {
					for i := range w.Size {
						for j := range w.Size {
							for c := range w.Channels {
								r, s := i+p*w.Stride-w.Padding, j+q*w.Stride-w.Padding
								if r < 0 || s < 0 || r >= w.Height || s >= w.Width {
									continue
								}
								for filter := range filters {
									f((i*w.Size+j)*w.Channels+c, filter, (r*w.Width+s)*w.Channels+c, (p*across+q)*filters+filter)
								}
							}
						}
					}
				}
			}
		}
		zero := func(s op.Shape) matrix { return build(s[0], s[1], func(int, int) float64 { return 0 }) }
		ops = append(ops, operation{
			name: fmt.Sprint("Convolve", w), shapes: []op.Shape{x, kappa},
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.Convolve(w, x[0], x[1]) },
			naive: func(x []matrix) matrix {
				out := zero(y)
				for i := range n {
					each(func(tap, filter, pixel, response int) {
						out.v[i*y[1]+response] += x[1].at(tap, filter) * x[0].at(i, pixel)
					})
				}
				return out
			},
		}, operation{
			name: fmt.Sprint("ConvolveTransposed", w), shapes: []op.Shape{y, kappa},
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node {
				return s.ConvolveTransposed(w, x[0], x[1])
			},
			naive: func(v []matrix) matrix {
				out := zero(x)
				for i := range n {
					each(func(tap, filter, pixel, response int) {
						out.v[i*x[1]+pixel] += v[1].at(tap, filter) * v[0].at(i, response)
					})
				}
				return out
			},
		}, operation{
			name: fmt.Sprint("ConvolveFilters, the adjoint of Convolve in the filters", w), shapes: []op.Shape{kappa, x, y},
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node {
				return s.Grad(s.Mul(s.Convolve(w, x[1], x[0]), x[2]), x[0])[0]
			},
			naive: func(v []matrix) matrix {
				out := zero(kappa)
				for i := range n {
					each(func(tap, filter, pixel, response int) {
						out.v[tap*filters+filter] += v[1].at(i, pixel) * v[2].at(i, response)
					})
				}
				return out
			},
		})
	}
	for _, r := range []op.Resizing{
		{Height: 4, Width: 6, Channels: 1, ToHeight: 2, ToWidth: 2}, {Height: 5, Width: 3, Channels: 2, ToHeight: 3, ToWidth: 2},
		{Height: 2, Width: 3, Channels: 1, ToHeight: 3, ToWidth: 3}, {Height: 3, Width: 3, Channels: 3, ToHeight: 1, ToWidth: 1},
	} {
		from, to := r.Height*r.Width*r.Channels, r.ToHeight*r.ToWidth*r.Channels
		// part is the part of the new pixel k that is pixel i, channels included.
		part := func(k, i int) float64 {
			if k%r.Channels != i%r.Channels {
				return 0
			}
			common := func(p, i, n, m int) float64 { // of [p, p+1)·n/m and [i, i+1), by n/m
				f := float64(n) / float64(m)
				return math.Max(0, math.Min(float64(p+1)*f, float64(i+1))-math.Max(float64(p)*f, float64(i))) / f
			}
			k, i = k/r.Channels, i/r.Channels
			return common(k/r.ToWidth, i/r.Width, r.Height, r.ToHeight) * common(k%r.ToWidth, i%r.Width, r.Width, r.ToWidth)
		}
		ops = append(ops, operation{
			name: fmt.Sprint("Resize", r), shapes: []op.Shape{{n, from}},
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.Resize(r, x[0]) },
			naive: func(x []matrix) matrix {
				return product(x[0], build(from, to, func(i, k int) float64 { return part(k, i) }))
			},
		}, operation{
			name: fmt.Sprint("ResizeTransposed", r), shapes: []op.Shape{{n, to}},
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.ResizeTransposed(r, x[0]) },
			naive:   func(x []matrix) matrix { return product(x[0], build(to, from, part)) },
		})
	}
	return ops
}

func groups() (ops []operation) {
	for _, shape := range []op.Shape{{3, 6}, {1, 36}, {2, 4}} {
		one := []op.Shape{shape}
		n, k := shape[0], shape[1]
		sum := func(x matrix, i int) (s float64) {
			for l := range k {
				s += math.Exp(x.at(i, l))
			}
			return s
		}
		ops = append(ops, operation{
			name: fmt.Sprint("LogSumExp", shape), shapes: one,
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.LogSumExp(x[0]) },
			naive: func(x []matrix) matrix {
				return build(n, 1, func(i, _ int) float64 { return math.Log(sum(x[0], i)) })
			},
		}, operation{
			name: fmt.Sprint("Softmax", shape), shapes: one,
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.Softmax(x[0]) },
			naive: func(x []matrix) matrix {
				return build(n, k, func(i, j int) float64 { return math.Exp(x[0].at(i, j)) / sum(x[0], i) })
			},
		})
		for _, r := range []int{1, 2, k} {
			ops = append(ops, operation{
				name: fmt.Sprint("SumGroups", shape, r), shapes: one,
				declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.SumGroups(r, x[0]) },
				naive: func(x []matrix) matrix {
					return build(n, k/r, func(i, j int) (s float64) {
						for l := range r {
							s += x[0].at(i, j*r+l)
						}
						return s
					})
				},
			}, operation{
				name: fmt.Sprint("RepeatCols", shape, r), shapes: one,
				declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.RepeatCols(r, x[0]) },
				naive:   func(x []matrix) matrix { return build(n, k*r, func(i, j int) float64 { return x[0].at(i, j/r) }) },
			})
		}
	}
	return ops
}

func windows() []op.Window {
	return []op.Window{
		{Height: 3, Width: 4, Channels: 1, Size: 2, Stride: 1}, {Height: 5, Width: 4, Channels: 2, Size: 2, Stride: 2, Padding: 1},
		{Height: 5, Width: 7, Channels: 1, Size: 3, Stride: 2}, {Height: 5, Width: 5, Channels: 1, Size: 2, Stride: 3, Padding: 1},
		{Height: 2, Width: 2, Channels: 3, Size: 2, Stride: 1}, {Height: 3, Width: 3, Channels: 2, Size: 3, Stride: 1, Padding: 2},
	}
}

func products() (ops []operation) {
	for _, sizes := range [][3]int{{3, 4, 5}, {1, 6, 1}, {5, 1, 2}} {
		for _, tx := range []bool{false, true} {
			for _, ty := range []bool{false, true} {
				m, k, n := sizes[0], sizes[1], sizes[2]
				x, y := op.Shape{m, k}, op.Shape{k, n}
				if tx {
					x = op.Shape{k, m}
				}
				if ty {
					y = op.Shape{n, k}
				}
				ops = append(ops, operation{
					name: fmt.Sprintf("MatMul %t %t %v", tx, ty, sizes), shapes: []op.Shape{x, y},
					declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.MatMul(x[0], tx, x[1], ty) },
					naive:   func(x []matrix) matrix { return product(x[0].oriented(tx), x[1].oriented(ty)) },
				})
			}
		}
	}
	return ops
}

func broadcasts() (ops []operation) {
	binary := []struct {
		name string
		node func(s *graph.Scope, x, y *gorgonia.Node) *gorgonia.Node
		f    func(x, y float64) float64
	}{
		{"Add", func(s *graph.Scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Add(x, y) }, func(x, y float64) float64 { return x + y }},
		{"Sub", func(s *graph.Scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Sub(x, y) }, func(x, y float64) float64 { return x - y }},
		{"Mul", func(s *graph.Scope, x, y *gorgonia.Node) *gorgonia.Node { return s.Mul(x, y) }, func(x, y float64) float64 { return x * y }},
	}
	full, row, col, one := op.Shape{3, 4}, op.Shape{1, 4}, op.Shape{3, 1}, op.Shape{1, 1}
	pairs := [][]op.Shape{
		{full, full}, {full, row}, {full, col}, {full, one}, {row, full}, {col, full}, {one, full},
		{row, col}, {col, row}, {row, one}, {one, col}, {one, one},
	}
	for _, b := range binary {
		for _, p := range pairs {
			ops = append(ops, operation{
				name: fmt.Sprint(b.name, p), shapes: p,
				declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return b.node(s, x[0], x[1]) },
				naive: func(x []matrix) matrix {
					return build(max(p[0][0], p[1][0]), max(p[0][1], p[1][1]), func(i, j int) float64 { return b.f(x[0].at(i, j), x[1].at(i, j)) })
				},
			})
		}
	}
	for _, from := range []op.Shape{full, row, col, one} {
		ops = append(ops, operation{
			name: fmt.Sprint("Expand", from), shapes: []op.Shape{from},
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.Expand(3, 4, x[0]) },
			naive:   func(x []matrix) matrix { return build(3, 4, x[0].at) },
		}, operation{
			name: fmt.Sprint("SumTo", from), shapes: []op.Shape{full},
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.SumTo(from, x[0]) },
			naive: func(x []matrix) matrix {
				sum := build(from[0], from[1], func(int, int) float64 { return 0 })
				for i := range 3 {
					for j := range 4 {
						sum.v[i%from[0]*from[1]+j%from[1]] += x[0].at(i, j)
					}
				}
				return sum
			},
		})
	}
	for _, shape := range []op.Shape{{3, 4}, {1, 5}, {5, 1}, {1, 1}} {
		total := func(rows, cols, di, dj int, scale float64) func(x []matrix) matrix {
			return func(x []matrix) matrix {
				return build(rows, cols, func(i, j int) (s float64) {
					for p := range di {
						for q := range dj {
							s += scale * x[0].at(i+p, j+q)
						}
					}
					return s
				})
			}
		}
		n, k := shape[0], shape[1]
		one := []op.Shape{shape}
		ops = append(ops,
			operation{name: fmt.Sprint("SumRows", shape), shapes: one, naive: total(1, k, n, 1, 1),
				declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.SumRows(x[0]) }},
			operation{name: fmt.Sprint("SumCols", shape), shapes: one, naive: total(n, 1, 1, k, 1),
				declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.SumCols(x[0]) }},
			operation{name: fmt.Sprint("Sum", shape), shapes: one, naive: total(1, 1, n, k, 1),
				declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.Sum(x[0]) }},
			operation{name: fmt.Sprint("Mean", shape), shapes: one, naive: total(1, 1, n, k, 1/float64(n*k)),
				declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.Mean(x[0]) }},
		)
	}
	return ops
}

func elementwise() (ops []operation) {
	unary := func(name string, positive bool, node func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node, f func(float64) float64) {
		ops = append(ops, operation{
			name: name, shapes: []op.Shape{{3, 7}}, positive: positive,
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return node(s, x[0]) },
			naive:   func(x []matrix) matrix { return build(3, 7, func(i, j int) float64 { return f(x[0].at(i, j)) }) },
		})
	}
	type scope = graph.Scope
	type node = gorgonia.Node
	unary("Affine", false, func(s *scope, x *node) *node { return s.Affine(-1.5, x, .25) }, func(x float64) float64 { return -1.5*x + .25 })
	unary("Scale", false, func(s *scope, x *node) *node { return s.Scale(3, x) }, func(x float64) float64 { return 3 * x })
	unary("Scale by 1", false, func(s *scope, x *node) *node { return s.Scale(1, x) }, func(x float64) float64 { return x })
	unary("Square", false, func(s *scope, x *node) *node { return s.Square(x) }, func(x float64) float64 { return x * x })
	unary("Softplus", false, func(s *scope, x *node) *node { return s.Softplus(x) }, func(x float64) float64 { return math.Log(1 + math.Exp(x)) })
	unary("Sigmoid", false, func(s *scope, x *node) *node { return s.Sigmoid(x) }, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) })
	unary("Exp", false, func(s *scope, x *node) *node { return s.Exp(x) }, math.Exp)
	unary("Log", true, func(s *scope, x *node) *node { return s.Log(x) }, math.Log)
	unary("Reciprocal", true, func(s *scope, x *node) *node { return s.Reciprocal(x) }, func(x float64) float64 { return 1 / x })
	unary("Sqrt", true, func(s *scope, x *node) *node { return s.Sqrt(x) }, math.Sqrt)
	unary("Tanh", false, func(s *scope, x *node) *node { return s.Tanh(x) }, math.Tanh)
	unary("Relu", false, func(s *scope, x *node) *node { return s.Relu(x) }, func(x float64) float64 { return math.Max(x, 0) })
	// The derivative of Relu is an operation of its own.
	unary("Step", false, func(s *scope, x *node) *node { return s.Grad(s.Relu(x), x)[0] }, func(x float64) float64 { return (math.Copysign(1, x) + 1) / 2 })

	shape := op.Shape{3, 7}
	ops = append(ops, operation{
		name: "SigmoidGrad", shapes: []op.Shape{shape, shape},
		declare: func(s *scope, x []*node) *node { return s.SigmoidGrad(x[0], x[1]) },
		naive: func(x []matrix) matrix {
			return build(3, 7, func(i, j int) float64 { return x[0].at(i, j) * (1 - x[0].at(i, j)) * x[1].at(i, j) })
		},
	}, operation{
		name: "SigmoidGrad2, the gradient of SigmoidGrad", shapes: []op.Shape{shape, shape, shape},
		declare: func(s *scope, x []*node) *node { return s.Grad(s.Mul(s.SigmoidGrad(x[0], x[1]), x[2]), x[0])[0] },
		naive: func(x []matrix) matrix {
			return build(3, 7, func(i, j int) float64 { return (1 - 2*x[0].at(i, j)) * x[1].at(i, j) * x[2].at(i, j) })
		},
	})
	return ops
}

func rearrangements() []operation {
	return []operation{{
		name: "Tile", shapes: []op.Shape{{2, 3}},
		declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.Tile(3, x[0]) },
		naive:   func(x []matrix) matrix { return build(6, 3, x[0].at) },
	}, {
		name: "SumTiles, the adjoint of Tile", shapes: []op.Shape{{2, 3}, {6, 3}},
		declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node {
			return s.Grad(s.Mul(s.Tile(3, x[0]), x[1]), x[0])[0]
		},
		naive: func(x []matrix) matrix {
			return build(2, 3, func(i, j int) float64 { return x[1].at(i, j) + x[1].at(2+i, j) + x[1].at(4+i, j) })
		},
	}, {
		name: "Unstack", shapes: []op.Shape{{6, 2}},
		declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.Unstack(3, x[0]) },
		naive:   func(x []matrix) matrix { return build(2, 6, func(i, j int) float64 { return x[0].at(j/2*2+i, j%2) }) },
	}, {
		name: "Restack, the adjoint of Unstack", shapes: []op.Shape{{6, 2}, {2, 6}},
		declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node {
			return s.Grad(s.Mul(s.Unstack(3, x[0]), x[1]), x[0])[0]
		},
		naive: func(x []matrix) matrix {
			return build(6, 2, func(i, j int) float64 { return x[1].at(i%2, i/2*2+j) })
		},
	}}
}

func batchedSquares() (ops []operation) {
	const n = 2
	for _, d := range []int{1, 2, 3} {
		eye := func(i, j int) float64 {
			if j%(d+1) == 0 {
				return 1
			}
			return 0
		}
		// X·Xᵀ + I stays positive definite when X is varied.
		spd := func(s *graph.Scope, x *gorgonia.Node) *gorgonia.Node {
			return s.Add(s.BatchMul(d, x, false, x, true), s.Constant("identities", n, d*d, eye))
		}
		naiveSPD := func(x matrix, i int) *mat.Dense {
			h := product(x.square(i, d), x.square(i, d).oriented(true))
			for k := range d {
				h.v[k*d+k]++
			}
			return mat.NewDense(d, d, h.v)
		}
		rows := []op.Shape{{n, d * d}}
		ops = append(ops, operation{
			name: fmt.Sprint("LogDet ", d), shapes: rows,
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.LogDet(d, spd(s, x[0])) },
			naive: func(x []matrix) matrix {
				return build(n, 1, func(i, _ int) float64 { l, _ := mat.LogDet(naiveSPD(x[0], i)); return l })
			},
		}, operation{
			name: fmt.Sprint("InverseSPD ", d), shapes: rows,
			declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node { return s.InverseSPD(d, spd(s, x[0])) },
			naive: func(x []matrix) matrix {
				return build(n, d*d, func(i, j int) float64 {
					var inv mat.Dense
					if err := inv.Inverse(naiveSPD(x[0], i)); err != nil {
						panic(err)
					}
					return inv.At(j/d, j%d)
				})
			},
		})
		for _, tx := range []bool{false, true} {
			for _, ty := range []bool{false, true} {
				ops = append(ops, operation{
					name: fmt.Sprintf("BatchMul %d %t %t", d, tx, ty), shapes: []op.Shape{rows[0], rows[0]},
					declare: func(s *graph.Scope, x []*gorgonia.Node) *gorgonia.Node {
						return s.BatchMul(d, x[0], tx, x[1], ty)
					},
					naive: func(x []matrix) matrix {
						return build(n, d*d, func(i, j int) float64 {
							return product(x[0].square(i, d).oriented(tx), x[1].square(i, d).oriented(ty)).at(j/d, j%d)
						})
					},
				})
			}
		}
	}
	return ops
}

// declared declares an operation in a graph of its own, with inputs x0, x1, ….
func declared(t testing.TB, o operation, dtype tensor.Dtype) (*graph.Scope, []*gorgonia.Node, *gorgonia.Node) {
	t.Helper()
	s := graph.NewScope(dtype)
	xs := make([]*gorgonia.Node, len(o.shapes))
	for k, shape := range o.shapes {
		xs[k] = s.Input(fmt.Sprint("x", k), shape[0], shape[1])
	}
	y := o.declare(s, xs)
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	return s, xs, y
}

func compile(t testing.TB, s *graph.Scope, out map[string]*gorgonia.Node) *graph.Program {
	t.Helper()
	p, err := s.Compile(out)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t testing.TB, p *graph.Program) {
	t.Helper()
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
}

func fill(m graph.Matrix, x matrix) {
	for i, v := range x.v {
		set(m, i, v)
	}
}

func set(m graph.Matrix, i int, v float64) {
	if m.F32 != nil {
		m.F32[i] = float32(v)
	} else {
		m.F64[i] = v
	}
}
