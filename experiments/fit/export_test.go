package fit

import "cmf/graph"

// Restore is what CMF_RESUME does with a checkpoint that has been read.
func (m *Model) Restore(c *graph.Checkpoint) error { return m.restore(c) }
