package op

import (
	"sync"

	"cmf/graph/kernel"
)

// scratch is memory for what operations lay out on the way: a piece for every
// thread that works at the same time, kept for the next.
type scratch[T kernel.Float] struct {
	mutex sync.Mutex
	free  [][]T
}

var (
	scratch32 scratch[float32]
	scratch64 scratch[float64]
)

func scratchOf[T kernel.Float]() *scratch[T] {
	if s, ok := any(&scratch32).(*scratch[T]); ok {
		return s
	}
	return any(&scratch64).(*scratch[T])
}

// take returns n elements, which may hold anything. It allocates only while
// pieces are too few or too small.
func (s *scratch[T]) take(n int) (piece []T) {
	s.mutex.Lock()
	if last := len(s.free) - 1; last >= 0 {
		piece, s.free = s.free[last], s.free[:last]
	}
	s.mutex.Unlock()
	if cap(piece) < n {
		piece = make([]T, n)
	}
	return piece[:n]
}

// give returns a piece.
func (s *scratch[T]) give(piece []T) {
	s.mutex.Lock()
	s.free = append(s.free, piece)
	s.mutex.Unlock()
}
