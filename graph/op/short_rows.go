package op

import "cmf/graph/kernel"

// chunk is the number of elements of short rows that are worked on at once: a
// call for each row would cost more than its arithmetic.
const chunk = 1024

// repeated is an operand of one short row, stored rows times in succession.
type repeated[T kernel.Float] struct {
	first bool // it is x, not y
	rows  int
	data  []T
}

// newRepeated reports ok where one operand is a short row and the other as large
// as the result.
func newRepeated[T kernel.Float](out, x, y Matrix[T]) (r repeated[T], ok bool) {
	row := func(m Matrix[T]) bool { return m.Rows == 1 && m.Cols == out.Cols }
	whole := func(m Matrix[T]) bool { return m.Rows == out.Rows && m.Cols == out.Cols }
	r = repeated[T]{first: row(x), rows: min(out.Rows, chunk/out.Cols)}
	if r.rows < 2 || !(row(x) && whole(y) || row(y) && whole(x)) {
		return r, false
	}
	r.data = make([]T, r.rows*out.Cols)
	return r, true
}

func (r repeated[T]) bind(f rowFunc[T], out, x, y Matrix[T]) func() {
	row, whole := y.Data, x.Data
	if r.first {
		row, whole = x.Data, y.Data
	}
	body := byRows((out.Rows+r.rows-1)/r.rows, len(r.data), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			from, to := i*len(r.data), min((i+1)*len(r.data), len(whole))
			if r.first {
				f(out.Data[from:to], r.data[:to-from], whole[from:to])
			} else {
				f(out.Data[from:to], whole[from:to], r.data[:to-from])
			}
		}
	})
	return func() {
		repeat(r.data, row)
		body()
	}
}

// repeat fills dst with copies of src.
func repeat[T kernel.Float](dst, src []T) {
	for n := copy(dst, src); n < len(dst); {
		n += copy(dst[n:], dst[:min(n, max(1, chunk/len(src))*len(src))])
	}
}

// bindSumShortRows first adds blocks of several rows to each other, then the
// rows of the resulting block.
func bindSumShortRows[T kernel.Float](out, x Matrix[T], clearFirst bool) func() {
	sums := make([]T, chunk/x.Cols*x.Cols)
	return func() {
		copy(sums, x.Data)
		for rest := x.Data[len(sums):]; len(rest) > 0; {
			part := rest[:min(len(sums), len(rest))]
			kernel.Add(sums[:len(part)], sums[:len(part)], part)
			rest = rest[len(part):]
		}
		if clearFirst {
			clear(out.Data)
		}
		for i := 0; i < len(sums); i += x.Cols {
			kernel.Add(out.Data, out.Data, sums[i:i+x.Cols])
		}
	}
}
