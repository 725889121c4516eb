package kernel

import (
	"testing"
	"time"
)

// The faster way is taken nearly always, also after the other one has become
// the faster.
func TestChoice(t *testing.T) {
	var c Choice
	for _, took := range [][2]time.Duration{{100, 60}, {100, 300}, {100, 95}, {100, 2000}, {1000, 600}} {
		var spent, best time.Duration
		for range 20000 {
			way := 0
			if c.Shared() {
				way = 1
			}
			d := took[way] * time.Microsecond
			c.Took(way == 1, d)
			spent += d
			best += min(took[0], took[1]) * time.Microsecond
		}
		if ratio := float64(spent) / float64(best); ratio > 1.1 {
			t.Errorf("one thread takes %d µs, several %d: in all %.2f of the best", took[0], took[1], ratio)
		}
	}
}

func TestChoiceForgivesAnInterruption(t *testing.T) {
	var c Choice
	for i := range 100 {
		shared := c.Shared()
		d := 100 * time.Microsecond
		switch {
		case shared && i == 50:
			d = 50 * time.Millisecond
		case shared:
			d = 60 * time.Microsecond
		}
		c.Took(shared, d)
		if i > 60 && i < 90 && c.took[1] > c.took[0] {
			t.Fatalf("call %d: several threads count as the slower after one interruption", i)
		}
	}
}

// The first call of several threads is slow: it wakes them and meets cold caches.
func TestChoiceForgivesTheFirstCall(t *testing.T) {
	var c Choice
	several := 0
	for i := range 100 {
		shared := c.Shared()
		d := 100 * time.Microsecond
		if shared {
			several++
			if d = 60 * time.Microsecond; i == 0 {
				d = 5 * time.Millisecond
			}
		}
		c.Took(shared, d)
	}
	if several < 90 {
		t.Errorf("several threads do %d of 100 calls, though only their first was slow", several)
	}
}
