package blas

import "cmf/graph/kernel"

// Products with few columns, or one, use little of a micro-kernel's tile.

// narrowCols is the largest number of columns of C for which rows of A times
// columns of B are faster than tiles.
const narrowCols = 4

// narrow reports whether multiplyNarrow should compute p.
func (s *kernels[T]) narrow(p *sum[T]) bool {
	if s.dots == nil || p.n > narrowCols {
		return false
	}
	for i := range p.terms {
		if t := &p.terms[i]; t.TransA || t.K < 8 {
			return false
		}
	}
	return true
}

// multiplyNarrow computes every element of C from products of a row of A and a
// column of B, for 16 rows of A at once.
func (s *kernels[T]) multiplyNarrow(p *sum[T], at part) {
	w := s.workspace()
	beta, bias := p.beta, p.bias
	for t := range p.terms {
		for j := at.j0; j < at.j1; j++ {
			var offset T
			if bias != nil {
				offset = bias[j]
			}
			s.column(p, &p.terms[t], w, at, j, beta, offset)
		}
		beta, bias = 1, nil
	}
	s.workspaces.Put(w)
}

// column adds a term, and the offset, to the column j of C, scaled by β.
func (s *kernels[T]) column(p *sum[T], t *Term[T], w *workspace[T], at part, j int, beta, offset T) {
	if len(w.b) < t.K+16 {
		w.b = make([]T, t.K+16)
	}
	column, sums := w.b[:t.K], (*[16]T)(w.b[t.K:])
	b := t.B[j:]
	switch {
	case t.TransB:
		b = t.B[j*t.LDB:]
	case t.LDB > 1:
		for l := range column {
			column[l] = t.B[l*t.LDB+j]
		}
		b = column
	}
	for i := at.i0; i < at.i1; {
		// dots always takes 16 rows, so that a sum does not depend on where C
		// is split. The last call takes some rows for a second time; a part of
		// fewer than 16 rows takes each row 16 times.
		first, ld, rows := i, t.LDA, min(16, at.i1-i)
		switch {
		case at.i1-at.i0 < 16:
			ld, rows = 0, 1
		case rows < 16:
			first = at.i1 - 16
		}
		s.dots(t.K, &t.A[first*t.LDA], ld, &b[0], sums)
		c, added := p.c[i*p.ldc+j:], sums[i-first:][:rows]
		if beta == 0 && p.alpha == 1 && offset == 0 {
			for r, sum := range added {
				c[r*p.ldc] = sum
			}
		} else {
			for r, sum := range added {
				sum = p.alpha*sum + offset
				if beta != 0 {
					sum += beta * kernel.Flush(c[r*p.ldc])
				}
				c[r*p.ldc] = kernel.Flush(sum)
			}
		}
		i += rows
	}
}

// turned returns the product p with its factors exchanged if C is one column
// and A enters transposed. Then C is one row, and B lies in memory in the order
// in which it is read.
func turned[T float](p product[T]) product[T] {
	if p.n != 1 || p.ldc != 1 || !p.transA {
		return p
	}
	p.a, p.lda, p.b, p.ldb = p.b, p.ldb, p.a, p.lda
	p.transA, p.transB = !p.transB, false
	p.m, p.n, p.ldc = 1, p.m, p.m
	return p
}
