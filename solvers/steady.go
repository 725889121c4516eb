package solvers

// Steady is a Potential that is evaluated faster while it does not change.
// Between Hold and Release, which may be nested, its parameters stay as they
// are.
type Steady interface {
	Potential
	Hold()
	Release()
}

// held is a hold on a Potential, or on none.
type held struct{ w Steady }

// hold tells w, if that is Steady, that it does not change until the hold is
// released.
func hold(w Potential) held {
	s, ok := w.(Steady)
	if !ok {
		return held{}
	}
	s.Hold()
	return held{s}
}

// release ends the hold; a second call does nothing.
func (h *held) release() {
	if h.w != nil {
		h.w.Release()
		h.w = nil
	}
}
