package kernel

import "time"

// Choice tells whether several threads or one were faster lately at a piece of
// work that is done many times. Several may be slower than one: two
// hyper-threads of one core, for example, or a processor that others use too.
// The zero value is ready. Results of the work must not depend on the choice.
type Choice struct {
	took  [2]float64 // seconds lately, by one thread and by several; 0 if unknown
	calls int        // since the slower was last tried
	wait  int        // calls until it is tried again
}

const (
	// The slower way is tried again after so many calls that this costs less
	// than some 2 %.
	retryBase, retryMost = 50, 5000

	// habit is the weight of former calls in the time of a way.
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

// Took records how long the work took, by several threads or by one.
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
	// An interrupted call, or the first, says little; a fast one says what the
	// way can do.
	c.took[way] = min(seconds, habit*c.took[way]+(1-habit)*min(seconds, 2*c.took[way]))
}
