package kernel

// pause lets some 100 ns pass without taking anything from a thread that shares
// the core.
func pause()
