package kernel

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// withThreads sets the number of threads for one test.
func withThreads(t testing.TB, n int) {
	before := Threads()
	SetThreads(n)
	t.Cleanup(func() { SetThreads(before) })
}

// parts are the sorted parts that Parallel makes of [0, n).
func parts(n, grain int) [][2]int {
	var mu sync.Mutex
	var all [][2]int
	Parallel(n, grain, func(lo, hi int) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, [2]int{lo, hi})
	})
	slices.SortFunc(all, func(a, b [2]int) int { return a[0] - b[0] })
	return all
}

func TestParallelParts(t *testing.T) {
	withThreads(t, 3)
	for _, c := range []struct {
		n, grain int
		want     string
	}{
		{10, 1, "[[0 3] [3 6] [6 10]]"},
		{10, 4, "[[0 5] [5 10]]"},
		{10, 11, "[[0 10]]"},
		{2, 0, "[[0 1] [1 2]]"},
		{0, 1, "[]"},
	} {
		if got := fmt.Sprint(parts(c.n, c.grain)); got != c.want {
			t.Errorf("Parallel(%d, %d) makes %s, want %s", c.n, c.grain, got, c.want)
		}
	}
}

func TestParallelPartition(t *testing.T) {
	before := Threads()
	defer SetThreads(before)
	rapid.Check(t, func(t *rapid.T) {
		SetThreads(rapid.IntRange(1, 9).Draw(t, "threads"))
		n, grain := rapid.IntRange(0, 1000).Draw(t, "n"), rapid.IntRange(-1, 300).Draw(t, "grain")
		all, end := parts(n, grain), 0
		for _, p := range all {
			if p[0] != end || p[1] <= p[0] || p[1]-p[0] < min(grain, n) {
				t.Fatalf("parts %v", all)
			}
			end = p[1]
		}
		if end != n || len(all) > Threads() {
			t.Fatalf("parts %v of [0, %d) with %d threads", all, n, Threads())
		}
		if again := parts(n, grain); !slices.Equal(all, again) {
			t.Fatalf("parts %v, then %v", all, again)
		}
	})
}

func TestParallelNested(t *testing.T) {
	withThreads(t, 4)
	var count atomic.Int64
	Parallel(8, 1, func(lo, hi int) {
		Parallel(100, 1, func(l, h int) {
			if l != 0 || h != 100 {
				t.Errorf("a nested call runs [%d, %d), want all of [0, 100)", l, h)
			}
			count.Add(int64((hi - lo) * (h - l)))
		})
	})
	if count.Load() != 800 {
		t.Errorf("%d items done, want 800", count.Load())
	}
}

func TestParallelFromManyGoroutines(t *testing.T) {
	withThreads(t, 3)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			sum := make([]int, 1000)
			for range 200 {
				Parallel(len(sum), 10, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						sum[i]++
					}
				})
			}
			for i, s := range sum {
				if s != 200 {
					t.Errorf("item %d done %d times, want 200", i, s)
					break
				}
			}
		})
	}
	group.Wait()
}

func TestParallelPanic(t *testing.T) {
	withThreads(t, 3)
	for at := range 3 {
		func() {
			defer func() {
				if r := recover(); r != at {
					t.Errorf("a panic in part %d comes back as %v", at, r)
				}
			}()
			Parallel(3, 1, func(lo, hi int) {
				if lo == at {
					panic(at)
				}
			})
		}()
		// The pool must be free and whole again.
		if got := len(parts(3, 1)); got != 3 {
			t.Fatalf("after a panic in part %d: %d parts, want 3", at, got)
		}
	}
}

func TestParallelAllocatesNothing(t *testing.T) {
	withThreads(t, 2)
	body := func(lo, hi int) {}
	if n := testing.AllocsPerRun(200, func() { Parallel(1000, 1, body) }); n != 0 {
		t.Errorf("%g allocations per call, want 0", n)
	}
}

func BenchmarkParallel(b *testing.B) {
	withThreads(b, 2)
	body := func(lo, hi int) {}
	for b.Loop() {
		Parallel(1000, 1, body)
	}
}
