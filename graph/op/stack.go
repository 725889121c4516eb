package op

import (
	"fmt"
	"strings"

	"cmf/graph/kernel"

	"gorgonia.org/gorgonia"
)

// Tile declares k copies of the (n, m) matrix x below each other, (k·n, m).
func (b *Builder) Tile(k int, x *gorgonia.Node) *gorgonia.Node { return b.Apply(tile(k), x) }

// Unstack declares the (n, k·m) matrix that holds the k blocks of the (k·n, m)
// matrix x side by side.
func (b *Builder) Unstack(k int, x *gorgonia.Node) *gorgonia.Node { return b.Apply(unstack(k), x) }

// IsTile reports whether o is an operation of Tile.
func IsTile(o gorgonia.Op) bool { return named(o, "Tile{") }

// IsSumTiles reports whether o is the sum of tiles, the adjoint of Tile.
func IsSumTiles(o gorgonia.Op) bool { return named(o, "SumTiles{") }

func named(o gorgonia.Op, prefix string) bool {
	p, ok := o.(*Op)
	return ok && strings.HasPrefix(p.name, prefix)
}

func tile(k int) *Op {
	return &Op{
		name: fmt.Sprintf("Tile{%d}", k), arity: 1,
		shape: func(in []Shape) (Shape, error) { return Shape{k * in[0][0], in[0][1]}, divides(k, k) },
		f32:   bindTile[float32](k), f64: bindTile[float64](k),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Apply(sumTiles(k), g)}
		},
	}
}

func sumTiles(k int) *Op {
	return &Op{
		name: fmt.Sprintf("SumTiles{%d}", k), arity: 1,
		shape: func(in []Shape) (Shape, error) { return Shape{in[0][0] / max(k, 1), in[0][1]}, divides(k, in[0][0]) },
		f32:   bindSumTiles[float32](k), f64: bindSumTiles[float64](k),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Tile(k, g)}
		},
	}
}

func unstack(k int) *Op {
	return &Op{
		name: fmt.Sprintf("Unstack{%d}", k), arity: 1,
		shape: func(in []Shape) (Shape, error) {
			return Shape{in[0][0] / max(k, 1), k * in[0][1]}, divides(k, in[0][0])
		},
		f32: bindUnstack[float32](k, false), f64: bindUnstack[float64](k, false),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Apply(restack(k), g)}
		},
	}
}

func restack(k int) *Op {
	return &Op{
		name: fmt.Sprintf("Restack{%d}", k), arity: 1,
		shape: func(in []Shape) (Shape, error) {
			return Shape{in[0][0] * k, in[0][1] / max(k, 1)}, divides(k, in[0][1])
		},
		f32: bindUnstack[float32](k, true), f64: bindUnstack[float64](k, true),
		diff: func(b *Builder, _ gorgonia.Nodes, _, g *gorgonia.Node) gorgonia.Nodes {
			return gorgonia.Nodes{b.Unstack(k, g)}
		},
	}
}

func divides(k, n int) error {
	if k < 1 || n%k != 0 {
		return fmt.Errorf("%w: %d does not divide into %d blocks", errShape, n, k)
	}
	return nil
}

func bindTile[T kernel.Float](k int) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		return func() {
			for i := range k {
				copy(out.Data[i*len(in[0].Data):], in[0].Data)
			}
		}
	}
}

func bindSumTiles[T kernel.Float](k int) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		n := len(out.Data)
		return byRows(n, k, func(lo, hi int) {
			copy(out.Data[lo:hi], in[0].Data[lo:hi])
			for i := 1; i < k; i++ {
				kernel.Add(out.Data[lo:hi], out.Data[lo:hi], in[0].Data[i*n+lo:i*n+hi])
			}
		})
	}
}

// bindUnstack moves blocks from below each other to side by side, or back.
func bindUnstack[T kernel.Float](k int, back bool) binder[T] {
	return func(out Matrix[T], in []Matrix[T]) func() {
		tall, wide := in[0], out
		if back {
			tall, wide = out, in[0]
		}
		n, m := wide.Rows, tall.Cols
		return func() {
			for i := range n {
				for j := range k {
					t, w := tall.row(j*n+i), wide.row(i)[j*m:(j+1)*m]
					if back {
						copy(t, w)
					} else {
						copy(w, t)
					}
				}
			}
		}
	}
}
