//go:build !amd64

package kernel

// multiplyAdds is nil: there is no loop for this processor.
func multiplyAdds() (run func(n int), operations int) { return nil, 0 }
