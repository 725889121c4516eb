package blas

import (
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// native is gonum's implementation with products of our own, after
// F. G. Van Zee and R. A. van de Geijn, "BLIS: A framework for rapidly
// instantiating BLAS functionality", ACM TOMS 41 (2015), 14:1–14:33.
//
// B is packed into panels as wide as a tile of C. One call of a micro-kernel
// then computes all tiles below each other. It reads A in place or, for Aᵀ,
// from a copy that holds tile after tile. A whole product takes the same sums
// in the same order however it is split.
type native struct{ gonum.Implementation }

func openNative() (BLAS, string, error) { return native{}, kernels32.name, nil }

// vectorised reports whether native has assembly for this processor.
func vectorised() bool { return kernels32.name != scalarName }

func (native) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	p, ok := newProduct(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	if !ok {
		gonum.Implementation{}.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	multiply(turned(p), &sums32, serial32)
}

func (native) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	p, ok := newProduct(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	if !ok {
		gonum.Implementation{}.Dgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	multiply(turned(p), &sums64, serial64)
}

var (
	kernels32, kernels64 = newKernels()

	serial32 = kernels32.multiply
	serial64 = kernels64.multiply
)

// segment is the part of a sum's term that a micro-kernel adds in one go. The
// element (i, l) of A, for i < rows of a tile and l < k, is a[i·rowStride +
// l·colStride]. The elements of the next tile below begin tileStride elements
// later. The rows of the panel of B are bStride elements apart.
type segment[T float] struct {
	k          int
	a          *T
	rowStride  int
	colStride  int
	tileStride int
	b          *T
	bStride    int
}

// micro computes the first cols columns of tiles C ← α·Σ A·B + bias + β·C that
// lie below each other. It is made for tiles of a fixed number of rows. The sum
// is over count segments, and the argument segments points to the k of the
// first. Panels of B must be as wide as a tile even where cols is less. tiles,
// count, k and cols are positive; bias may be nil.
type micro[T float] func(tiles int, segments *int, count int, c *T, ldc, cols int, alpha, beta T, bias *T)

// panel is one width in which B can be packed.
type panel[T float] struct {
	width  int
	micros []micro[T] // for each of kernels.heights
	// pack copies k rows of B, each of cols ≤ width elements followed by zeros.
	pack func(dst, src *T, ld, k, cols int)
}

// kernels are the micro-kernels for one processor.
type kernels[T float] struct {
	name    string
	heights []int      // rows of the tiles, from many to 1
	panels  []panel[T] // widest first
	// transpose packs side rows of Bᵀ, each of blocks·side elements, into side
	// columns of a panel. It may be nil.
	transpose func(dst *T, width int, src *T, ld, blocks int)
	side      int
	// dots are the products of 16 rows of A, ld elements apart, with a vector
	// b, each of k elements. It may be nil.
	dots       func(k int, a *T, ld int, b *T, sums *[16]T)
	workspaces sync.Pool // of *workspace[T]
}

// workspace is what one call of multiply needs.
type workspace[T float] struct {
	segments [MaxTerms]segment[T]
	blocks   [MaxTerms]block[T]
	b, a     []T // packed
}

// block is the part of a term that one pass over C adds.
type block[T float] struct {
	term *Term[T]
	l, k int // the rows [l, l + k) of op(B)

	panels  []T  // the panel of column j, counted from the pass's first, begins at j·k
	inPlace bool // whole panels are read from B itself

	a []T // tiles of Aᵀ, or nil
}

const (
	// A pass over C adds at most depth products to each element. It takes at
	// most breadth columns of B, a multiple of every width, and height rows of
	// A at a time: together they should stay in the second-level cache.
	depth   = 320
	breadth = 768
	height  = 480

	// shallow is the size in bytes up to which a factor B stays in the
	// first-level cache without packing.
	shallow = 24 << 10

	// farApart is a number of elements. A transposed factor A is copied if its
	// rows are at least this long, because each row is then on another page of
	// memory.
	farApart = 600
)

// multiply computes a part of p in the calling goroutine.
func (s *kernels[T]) multiply(p *sum[T], at part) {
	if s.narrow(p) {
		s.multiplyNarrow(p, at)
		return
	}
	w := s.workspace()
	beta, bias := p.beta, p.bias
	for t, l := 0, 0; t < len(p.terms); {
		var blocks []block[T]
		blocks, t, l = w.gather(p, t, l)
		s.pass(p, at, w, blocks, beta, bias)
		beta, bias = 1, nil
	}
	s.workspaces.Put(w)
}

func (s *kernels[T]) workspace() *workspace[T] {
	if w, ok := s.workspaces.Get().(*workspace[T]); ok {
		return w
	}
	return new(workspace[T])
}

// gather takes blocks of terms into one pass, from row l of term t on, and
// returns where the next pass begins. The blocks of a term have equal depth: a
// shallow last block would be mostly overhead.
func (w *workspace[T]) gather(p *sum[T], t, l int) (blocks []block[T], nextTerm, nextRow int) {
	for total := 0; t < len(p.terms) && len(blocks) < MaxTerms; {
		term := &p.terms[t]
		count := (term.K + depth - 1) / depth
		most := (term.K + count - 1) / count
		k := min(most, term.K-l)
		if total += k; total > depth && len(blocks) > 0 {
			break
		}
		blocks = append(w.blocks[:len(blocks)], block[T]{term: term, l: l, k: k})
		if l += k; l == term.K {
			t, l = t+1, 0
		}
	}
	return blocks, t, l
}

// pass adds the blocks to a part of C, which it scales by β, and the bias.
func (s *kernels[T]) pass(p *sum[T], at part, w *workspace[T], blocks []block[T], beta T, bias []T) {
	for j := at.j0; j < at.j1; j += breadth {
		n := min(breadth, at.j1-j)
		s.layOut(p, w, blocks, j, n, at.i1-at.i0)
		for i := at.i0; i < at.i1; i += height {
			m := min(height, at.i1-i)
			s.copyTransposed(w, blocks, i, m, n)
			for done := 0; done < n; {
				panel := s.panel(n - done)
				cols := min(panel.width, n-done)
				for b := range blocks {
					w.segments[b].read(&blocks[b], panel.width, cols, j, done)
				}
				var first *T
				if bias != nil {
					first = &bias[j+done]
				}
				s.tiles(p, w, blocks, panel, i, m, j+done, cols, beta, first)
				done += cols
			}
		}
	}
}

// read points the segment to a panel of B, done columns after the pass's first.
func (g *segment[T]) read(b *block[T], width, cols, j, done int) {
	if b.inPlace && cols == width {
		g.b, g.bStride = &b.term.B[b.l*b.term.LDB+j+done], b.term.LDB
	} else {
		g.b, g.bStride = &b.panels[done*b.k], width
	}
	g.k = b.k
}

// tiles runs the micro-kernels down a panel of cols columns, for m rows.
func (s *kernels[T]) tiles(p *sum[T], w *workspace[T], blocks []block[T], panel *panel[T], i, m, j, cols int, beta T, bias *T) {
	for h, row := 0, 0; row < m; h++ {
		rows := s.heights[h]
		count := (m - row) / rows
		if count == 0 {
			continue
		}
		for b := range blocks {
			g, bl := &w.segments[b], &blocks[b]
			if h == 0 && bl.a != nil {
				wide := s.wide()
				g.a, g.rowStride, g.colStride, g.tileStride = &bl.a[0], 1, wide.width, bl.k*wide.width
				continue
			}
			rowStride, colStride := bl.term.LDA, 1
			if bl.term.TransA {
				rowStride, colStride = 1, bl.term.LDA
			}
			g.a = &bl.term.A[(i+row)*rowStride+bl.l*colStride]
			g.rowStride, g.colStride, g.tileStride = rowStride, colStride, rows*rowStride
		}
		panel.micros[h](count, &w.segments[0].k, len(blocks), &p.c[(i+row)*p.ldc+j], p.ldc, cols, p.alpha, beta, bias)
		row += count * rows
	}
}

// panel is the narrowest panel that has room for cols columns, or else the
// widest panel.
func (s *kernels[T]) panel(cols int) *panel[T] {
	best := &s.panels[0]
	for i := range s.panels {
		if s.panels[i].width >= cols {
			best = &s.panels[i]
		}
	}
	return best
}
