package blas

// Products with few columns, or one, use little of a micro-kernel's tile.

// narrowCols is the largest number of columns of C for which rows of A times
// columns of B are faster than tiles.
const narrowCols = 4

// narrow reports whether multiplyNarrow is for p.
func (s *kernels[T]) narrow(p *product[T]) bool {
	return s.dots != nil && !p.transA && p.n <= narrowCols && p.k >= 8
}

// multiplyNarrow takes every element of C as the product of a row of A and a
// column of B, for 16 rows of A at once.
func (s *kernels[T]) multiplyNarrow(p product[T]) {
	buffer := s.buffer(p.k + 16)
	column, sums := (*buffer)[:p.k], (*[16]T)((*buffer)[p.k:])
	for j := range p.n {
		b := p.b[j:]
		switch {
		case p.transB:
			b = p.b[j*p.ldb:]
		case p.ldb > 1:
			for l := range column {
				column[l] = p.b[l*p.ldb+j]
			}
			b = column
		}
		for i := 0; i < p.m; {
			// The last rows are taken once more, or, if there are fewer than 16
			// at all, each 16 times: a sum must not depend on where C is split.
			first, ld, rows := i, p.lda, min(16, p.m-i)
			switch {
			case p.m < 16:
				ld, rows = 0, 1
			case rows < 16:
				first = p.m - 16
			}
			s.dots(p.k, &p.a[first*p.lda], ld, &b[0], sums)
			for r := range rows {
				c, sum := &p.c[(i+r)*p.ldc+j], p.alpha*sums[i-first+r]
				if p.beta != 0 {
					sum += p.beta * *c
				}
				*c = sum
			}
			i += rows
		}
	}
	s.buffers.Put(buffer)
}

// turned is p with a single column of C, and Aᵀ to begin with, as the product
// with a single row: B then lies as it is read.
func turned[T float](p product[T]) product[T] {
	if p.n != 1 || p.ldc != 1 || !p.transA {
		return p
	}
	p.a, p.lda, p.b, p.ldb = p.b, p.ldb, p.a, p.lda
	p.transA, p.transB = !p.transB, false
	p.m, p.n, p.ldc = 1, p.m, p.m
	return p
}
