package kernel

import "time"

// Choice tells, for a piece of work that is done many times, whether several
// threads or one have lately been faster at it: two hyper-threads of one core,
// or a processor that others use too, may be slower than one alone. The zero
// value is ready. Results must not depend on it.
type Choice struct {
	took  [2]float64 // seconds lately, by one thread and by several; 0 if unknown
	calls int        // since the slower was last tried
	wait  int        // calls until it is tried again
}

const (
	// The slower way is tried again after as many calls as keep its cost below
	// some 2 %.
	retryBase, retryMost = 50, 5000

	// habit is the weight of former calls in what a way took lately.
	habit = .8
)

// Shared reports whether several threads should do the work this time.
func (c *Choice) Shared() bool {
	for way, took := range []float64{c.took[1], c.took[0]} {
		if took == 0 {
			return way == 0
		}
	}
	c.calls++
	shared := c.took[1] < c.took[0]
	if c.calls < c.wait {
		return shared
	}
	slow := max(c.took[0], c.took[1]) / min(c.took[0], c.took[1])
	c.calls, c.wait = 0, int(min(retryMost, retryBase*slow*slow))
	return !shared
}

// Took says how long the work took, by several threads or by one.
func (c *Choice) Took(shared bool, d time.Duration) {
	way := 0
	if shared {
		way = 1
	}
	seconds := d.Seconds()
	if c.took[way] == 0 {
		c.took[way] = seconds
		return
	}
	// A call that was interrupted, or the first one, says little; a fast one says
	// what the way can do.
	c.took[way] = min(seconds, habit*c.took[way]+(1-habit)*min(seconds, 2*c.took[way]))
}
