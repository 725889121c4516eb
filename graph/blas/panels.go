package blas

import "sync"

// Panels keep a factor op(B) of products in the layout in which native reads it,
// as long as somebody holds them: while they are held, B must not change. They
// are made when a [Sum] first needs them. The zero value is ready; any number of
// goroutines may use it.
type Panels[T float32 | float64] struct {
	mu      sync.Mutex
	holders int
	data    []T
	madeBy  *kernels[T] // nil until they are made
}

// Hold says that B does not change until Release, its counterpart.
func (p *Panels[T]) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holders == 0 {
		p.madeBy = nil
	}
	p.holders++
}

// Release ends what Hold began.
func (p *Panels[T]) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holders--
}

// of are the panels of the whole of op(B), which has n columns; nil where nobody
// holds them.
func (p *Panels[T]) of(s *kernels[T], t *Term[T], n int) []T {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holders == 0 {
		return nil
	}
	if p.madeBy != s {
		if size := t.K * (n + s.panels[0].width); len(p.data) < size {
			p.data = make([]T, size)
		}
		s.pack(p.data, t, 0, 0, t.K, n, false)
		p.madeBy = s
	}
	return p.data
}
