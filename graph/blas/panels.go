package blas

import "sync"

// Panels keep a factor op(B) of products in the layout in which native reads it.
// They are made when a [Sum] first needs them, and kept until Changed. The zero
// value is ready; one goroutine may make them while others wait for them.
type Panels[T float32 | float64] struct {
	mu     sync.Mutex
	data   []T
	madeBy *kernels[T] // nil until they are made
}

// Changed says that B no longer is what it was.
func (p *Panels[T]) Changed() {
	p.mu.Lock()
	p.madeBy = nil
	p.mu.Unlock()
}

// of are the panels of the whole of op(B), which has n columns.
func (p *Panels[T]) of(s *kernels[T], t *Term[T], n int) []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.madeBy != s {
		if size := t.K * (n + s.panels[0].width); len(p.data) < size {
			p.data = make([]T, size)
		}
		s.pack(p.data, t, 0, 0, t.K, n, false)
		p.madeBy = s
	}
	return p.data
}
