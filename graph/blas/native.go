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
// A block of B is packed into panels as wide as a tile of C; each tile is then
// one call of a micro-kernel, which reads A where it lies, through two strides
// that serve A and Aᵀ alike. A whole product takes the same sums in the same
// order however it is split.
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
	multiply(turned(p), splits32, serial32)
}

func (native) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	p, ok := newProduct(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	if !ok {
		gonum.Implementation{}.Dgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	multiply(turned(p), splits64, serial64)
}

var (
	kernels32, kernels64 = newKernels()

	serial32 = kernels32.multiply
	serial64 = kernels64.multiply
)

// micro computes the first cols columns of a tile C ← α·A·B + β·C of as many
// rows as it was made for. The element (i, l) of A is a[i·rowStride +
// l·colStride], for l < k; the rows of B, as wide as the panel, begin bStride
// elements apart. k and cols are positive.
type micro[T float] func(k int, a *T, rowStride, colStride int, b *T, bStride int, c *T, ldc, cols int, alpha, beta T)

// panel is one width in which B can be packed.
type panel[T float] struct {
	width  int
	micros []micro[T] // for each of kernels.heights
	// pack copies k rows of B of cols ≤ width elements, with zeros behind.
	pack func(dst, src *T, ld, k, cols int)
}

// kernels are the micro-kernels for one processor.
type kernels[T float] struct {
	name    string
	heights []int      // rows of the tiles, falling to 1
	panels  []panel[T] // widest first
	// transpose packs side rows of Bᵀ, blocks·side elements of each, into as
	// many columns of a panel. It may be nil.
	transpose func(dst *T, width int, src *T, ld, blocks int)
	side      int
	// dots are the products of 16 rows of A, ld elements apart, with a vector b,
	// all of k elements. It may be nil.
	dots    func(k int, a *T, ld int, b *T, sums *[16]T)
	buffers sync.Pool // of *[]T, for packed blocks
}

// The block of B that is packed at a time has at most depth rows and breadth
// columns, the block of A that it meets at most height rows. They are to stay
// in the second-level cache together; breadth is a multiple of every width.
const (
	depth   = 320
	breadth = 768
	height  = 480
)

// multiply computes p, whose m, n and k are positive, in the calling goroutine.
func (s *kernels[T]) multiply(p product[T]) {
	if s.narrow(&p) {
		s.multiplyNarrow(p)
		return
	}
	rowStride, colStride := p.lda, 1
	if p.transA {
		rowStride, colStride = 1, p.lda
	}
	// With few rows of C, packing B would cost as much as the product.
	inPlace := !p.transB && p.m <= s.heights[0]
	// Blocks of equal depth: a shallow last one would be all overhead.
	blocks := (p.k + depth - 1) / depth
	most := (p.k + blocks - 1) / blocks
	buffer := s.buffer(most * (min(p.n, breadth) + s.panels[0].width))
	packed := *buffer
	for l := 0; l < p.k; l += most {
		k := min(most, p.k-l)
		for j := 0; j < p.n; j += breadth {
			n := min(breadth, p.n-j)
			j := j
			if inPlace {
				// Micro-kernels read whole panels only.
				whole := n - n%s.panels[len(s.panels)-1].width
				s.block(p.m, whole, k, p.alpha, p.a[l*colStride:], rowStride, colStride, p.b[l*p.ldb+j:], p.ldb, p.beta, p.c[j:], p.ldc)
				j, n = j+whole, n-whole
			}
			s.pack(packed, &p, l, j, k, n)
			for i := 0; i < p.m; i += height {
				m := min(height, p.m-i)
				s.block(m, n, k, p.alpha, p.a[i*rowStride+l*colStride:], rowStride, colStride, packed, 0, p.beta, p.c[i*p.ldc+j:], p.ldc)
			}
		}
		p.beta = 1
	}
	s.buffers.Put(buffer)
}

// block computes C ← α·A·B + β·C, where the rows of B are ldb elements apart or,
// for ldb = 0, packed.
func (s *kernels[T]) block(m, n, k int, alpha T, a []T, rowStride, colStride int, b []T, ldb int, beta T, c []T, ldc int) {
	for j := 0; j < n; {
		p := s.panel(n - j)
		cols := min(p.width, n-j)
		panel, stride := j*k, p.width
		if ldb > 0 {
			panel, stride = j, ldb
		}
		i := 0
		for h, rows := range s.heights {
			for ; i+rows <= m; i += rows {
				p.micros[h](k, &a[i*rowStride], rowStride, colStride, &b[panel], stride, &c[i*ldc+j], ldc, cols, alpha, beta)
			}
		}
		j += cols
	}
}

// pack packs the (k, n) block of op(B) that starts at (l, j), panel by panel.
func (s *kernels[T]) pack(packed []T, p *product[T], l, j, k, n int) {
	for done := 0; done < n; {
		panel := s.panel(n - done)
		cols := min(panel.width, n-done)
		dst := packed[done*k:]
		if p.transB {
			s.packColumns(dst, panel.width, p.b[(j+done)*p.ldb+l:], p.ldb, k, cols)
		} else {
			panel.pack(&dst[0], &p.b[l*p.ldb+j+done], p.ldb, k, cols)
		}
		done += cols
	}
}

// packColumns packs a panel whose columns are the first k elements of the rows
// of src. Columns past cols keep what the buffer held: a micro-kernel stores
// nothing of them.
func (s *kernels[T]) packColumns(dst []T, width int, src []T, ld, k, cols int) {
	j, whole := 0, 0
	if s.transpose != nil {
		whole = k - k%s.side
		for ; whole > 0 && j+s.side <= cols; j += s.side {
			s.transpose(&dst[j], width, &src[j*ld], ld, whole/s.side)
			for r := j; r < j+s.side; r++ {
				scatter(dst[whole*width+r:], width, src[r*ld+whole:r*ld+k])
			}
		}
	}
	for ; j < cols; j++ {
		scatter(dst[j:], width, src[j*ld:j*ld+k])
	}
}

// scatter writes src into a column of dst.
func scatter[T float](dst []T, width int, src []T) {
	for l, x := range src {
		dst[l*width] = x
	}
}

// panel is the narrowest panel that takes cols columns, or the widest.
func (s *kernels[T]) panel(cols int) *panel[T] {
	best := &s.panels[0]
	for i := range s.panels {
		if s.panels[i].width >= cols {
			best = &s.panels[i]
		}
	}
	return best
}

func (s *kernels[T]) buffer(n int) *[]T {
	b, _ := s.buffers.Get().(*[]T)
	if b == nil || len(*b) < n {
		b = new([]T)
		*b = make([]T, n)
	}
	return b
}
