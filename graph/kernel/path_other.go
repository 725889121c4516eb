//go:build !amd64 && !(js && simd128)

package kernel

// paths lists what this processor can run, the fastest last.
var paths = []path{generic}
