package table

// chunks is a column that grows without moving what it holds.
type chunks struct {
	full [][]float64
	last []float64
	n    int
}

const chunkRows = 1 << 16

func (c *chunks) add(v float64) {
	if len(c.last) == cap(c.last) {
		if c.last != nil {
			c.full = append(c.full, c.last)
		}
		// The first chunk is small, for tables of many columns and few rows.
		c.last = make([]float64, 0, min(chunkRows, max(64, c.n)))
	}
	c.last = append(c.last, v)
	c.n++
}

// joined is the whole column; the chunks are given up.
func (c *chunks) joined() []float64 {
	if c.n == 0 {
		return nil
	}
	out := make([]float64, 0, c.n)
	for _, part := range append(c.full, c.last) {
		out = append(out, part...)
	}
	*c = chunks{}
	return out
}
