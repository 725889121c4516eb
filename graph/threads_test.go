package graph

import (
	"slices"
	"testing"

	"cmf/graph/kernel"
)

// Work is done whole, by several threads and by one.
func TestShareDoesAllTheWork(t *testing.T) {
	const parts = 64
	var c kernel.Choice
	done, ways := make([]int, parts), [2]int{}
	body := func(lo, hi int) {
		for i := lo; i < hi; i++ {
			done[i]++
		}
	}
	for range 200 {
		clear(done)
		alone := 0
		share(&c, parts, body, func() {
			alone = 1
			body(0, parts)
		})
		ways[alone]++
		if slices.Min(done) != 1 || slices.Max(done) != 1 {
			t.Fatalf("after one call the parts were done %v times", done)
		}
	}
	if slices.Min(ways[:]) == 0 {
		t.Errorf("of 200 calls %d were shared and %d were not; both must be tried", ways[0], ways[1])
	}
}
