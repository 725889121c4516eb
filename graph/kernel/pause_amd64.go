package kernel

// pause waits some 100 ns and takes nothing from a thread that shares the core.
func pause()
