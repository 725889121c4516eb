package blas

import "unsafe"

// layOut packs the panels of the columns [j, j + n) of op(B).
func (s *kernels[T]) layOut(p *sum[T], w *workspace[T], blocks []block[T], j, n, m int) {
	widest, size := s.panels[0].width, 0
	for b := range blocks {
		size += blocks[b].k * (n + widest)
	}
	if len(w.b) < size {
		w.b = make([]T, size)
	}
	packed := w.b
	for b := range blocks {
		bl := &blocks[b]
		// With few rows of C, packing B would cost as much as the product.
		bl.inPlace = !bl.term.TransB && (m <= s.heights[0] || bl.term.K*bl.term.LDB*int(unsafe.Sizeof(p.alpha)) <= shallow)
		bl.panels = packed
		s.pack(packed, bl.term, bl.l, j, bl.k, n, bl.inPlace)
		packed = packed[bl.k*(n+widest):]
	}
}

// wide is the narrowest panel that is as wide as a tile is high.
func (s *kernels[T]) wide() *panel[T] { return s.panel(s.heights[0]) }

// copyTransposed copies the rows [i, i + m) of op(A) = Aᵀ, as far as they fill
// tiles of the largest height. The rows of A are the columns of a tile, and
// they are too far apart for the caches.
func (s *kernels[T]) copyTransposed(w *workspace[T], blocks []block[T], i, m, n int) {
	rows, wide := s.heights[0], s.wide()
	count, size := m/rows, 0
	for b := range blocks {
		size += count * blocks[b].k * wide.width
	}
	a := w.a
	for b := range blocks {
		bl := &blocks[b]
		t := bl.term
		bl.a = nil
		if !t.TransA || t.LDA < farApart || n < 4*s.panels[0].width || count == 0 {
			continue
		}
		if len(w.a) < size {
			w.a = make([]T, size)
			a = w.a
		}
		bl.a = a
		for tile := range count {
			wide.pack(&a[0], &t.A[bl.l*t.LDA+i+tile*rows], t.LDA, bl.k, rows)
			a = a[bl.k*wide.width:]
		}
	}
}

// pack packs the (k, n) block of op(B) that starts at (l, j), panel by panel.
// With remainder set it packs only the last columns, which do not fill a panel.
func (s *kernels[T]) pack(packed []T, t *Term[T], l, j, k, n int, remainder bool) {
	for done := 0; done < n; {
		panel := s.panel(n - done)
		cols := min(panel.width, n-done)
		dst := packed[done*k:]
		switch {
		case remainder && cols == panel.width:
		case t.TransB:
			s.packColumns(dst, panel.width, t.B[(j+done)*t.LDB+l:], t.LDB, k, cols)
		default:
			panel.pack(&dst[0], &t.B[l*t.LDB+j+done], t.LDB, k, cols)
		}
		done += cols
	}
}

// packColumns packs a panel whose columns are the first k elements of the rows
// of src. Columns past cols keep what the buffer held: a micro-kernel stores no
// results from them.
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
