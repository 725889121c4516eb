package transport

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

// On a line the optimal matching for squared distances joins equal ranks.
func TestAssignSortsOnALine(t *testing.T) {
	const n = 100
	x, y := problem.NormalBatch(n, 1, "x"), problem.NormalBatch(n, 1, "y")
	a := assign(t, distances(t, x, y))
	byRank := func(b blas32.General) []int {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, j int) int {
			if b.Data[i] < b.Data[j] {
				return -1
			}
			return 1
		})
		return order
	}
	xs, ys := byRank(x), byRank(y)
	for k := range n {
		if a.Match[xs[k]] != ys[k] {
			t.Fatalf("the point of rank %d is not matched to the point of rank %d", k, k)
		}
	}
}

func TestAssignAgreesWithEveryPermutation(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(0, 8).Draw(r, "n")
		c := batch.New(n, n)
		// Whole numbers make ties, which are the hard case, and exact sums.
		top := rapid.IntRange(1, 50).Draw(r, "top")
		for k := range c.Data {
			c.Data[k] = float32(rapid.IntRange(-top, top).Draw(r, "c"))
		}
		a, err := Assign(c)
		if err != nil {
			r.Fatal(err)
		}
		if best := smallestTotal(c, 0, 0); a.Total != best {
			r.Fatalf("total %g, the best is %g", a.Total, best)
		}
		if err := optimal(c, a); err != nil {
			r.Fatal(err)
		}
	})
}

func TestAssignIsOptimalByItsDuals(t *testing.T) {
	uniform := batch.New(512, 512)
	rng := random.New(5, "costs", 0)
	for k := range uniform.Data {
		uniform.Data[k] = rng.Float32()
	}
	constant, few, product := batch.New(64, 64), batch.New(400, 400), batch.New(300, 300)
	for k := range few.Data {
		few.Data[k] = float32(rng.IntN(3) - 1)
	}
	for k := range product.Data { // i·j, for which reduced costs of a row hardly differ
		product.Data[k] = float32(k/300) * float32(k%300)
	}
	large := 2048
	if testing.Short() {
		large = 600
	}
	for name, c := range map[string]blas32.General{
		"many points": distances(t, problem.NormalBatch(large, 2, "x"), problem.NormalBatch(large, 2, "y")),
		"points":      distances(t, problem.NormalBatch(512, 2, "x"), problem.NormalBatch(512, 2, "y")),
		"wide":        distances(t, problem.NormalBatch(128, 100, "x"), problem.NormalBatch(128, 100, "y")),
		"same":        distances(t, problem.NormalBatch(128, 2, "x"), problem.NormalBatch(128, 2, "x")),
		"uniform":     uniform,
		"constant":    constant,
		"few values":  few,
		"product":     product,
	} {
		if err := optimal(c, assign(t, c)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAssignRefuses(t *testing.T) {
	if _, err := Assign(batch.New(2, 3)); err == nil {
		t.Error("a cost that is not square was taken")
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		c := batch.New(4, 4)
		c.Data[2*4+3] = float32(bad)
		if _, err := Assign(c); err == nil || !strings.Contains(err.Error(), "row 2 and column 3") {
			t.Errorf("a cost of %g gave %v, want an error that names row 2 and column 3", bad, err)
		}
	}
}

func TestSquaredDistances(t *testing.T) {
	x, y := problem.NormalBatch(7, 5, "x"), problem.NormalBatch(4, 5, "y")
	d := distances(t, x, y)
	for i := range 7 {
		for j := range 4 {
			var want float64
			for k := range 5 {
				diff := float64(batch.Row(x, i)[k]) - float64(batch.Row(y, j)[k])
				want += diff * diff
			}
			if got := float64(batch.Row(d, i)[j]); math.Abs(got-want) > 1e-5 {
				t.Errorf("‖x_%d − y_%d‖² is %g, want %g", i, j, got, want)
			}
		}
	}
	if err := SquaredDistances(batch.New(7, 5), x, y); err == nil {
		t.Error("a result of the wrong shape was taken")
	}
}

func distances(tb testing.TB, x, y blas32.General) blas32.General {
	tb.Helper()
	d := batch.New(x.Rows, y.Rows)
	if err := SquaredDistances(d, x, y); err != nil {
		tb.Fatal(err)
	}
	return d
}

func assign(tb testing.TB, c blas32.General) Assignment {
	tb.Helper()
	a, err := Assign(c)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// smallestTotal is the smallest total of the rows from i on, over the columns not in used.
func smallestTotal(c blas32.General, i int, used uint) float64 {
	if i == c.Rows {
		return 0
	}
	best := math.Inf(1)
	for j := range c.Rows {
		if used&(1<<j) == 0 {
			best = min(best, float64(batch.Row(c, i)[j])+smallestTotal(c, i+1, used|1<<j))
		}
	}
	return best
}

// optimal checks that the match is a permutation, that the duals are feasible and that
// the slackness is complementary. Together these prove that the match is optimal.
func optimal(c blas32.General, a Assignment) error {
	const rounding = 1e-9
	seen := make([]bool, c.Rows)
	var dual float64
	for i, match := range a.Match {
		if seen[match] {
			return fmt.Errorf("column %d is matched twice", match)
		}
		seen[match] = true
		dual += a.U[i] + a.V[i]
		for j, cost := range batch.Row(c, i) {
			slack := float64(cost) - a.U[i] - a.V[j]
			if slack < -rounding || j == match && slack > rounding {
				return fmt.Errorf("slack %g at row %d and column %d, matched to %d", slack, i, j, match)
			}
		}
	}
	if math.Abs(dual-a.Total) > 1e-6 {
		return fmt.Errorf("dual %g, total %g", dual, a.Total)
	}
	return nil
}

// An assignment of any size can reuse the memory of another.
func TestAssignInOldMemory(t *testing.T) {
	var m Matching
	costs := []blas32.General{}
	for _, n := range []int{300, 500, 40, 1, 500} {
		costs = append(costs, distances(t, problem.NormalBatch(n, 3, "x"), problem.NormalBatch(n, 3, "y")))
	}
	for _, c := range costs {
		got, err := m.Assign(c)
		if err != nil {
			t.Fatal(err)
		}
		want := assign(t, c)
		if !slices.Equal(got.Match, want.Match) || !slices.Equal(got.V, want.V) || !slices.Equal(got.U, want.U) || got.Total != want.Total {
			t.Errorf("%d rows: in old memory the assignment differs", c.Rows)
		}
	}
	if n := testing.AllocsPerRun(3, func() {
		if _, err := m.Assign(costs[1]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkAssign(b *testing.B) {
	for _, d := range []int{2, 64} {
		for _, n := range []int{512, 2048} {
			c := distances(b, problem.NormalBatch(n, d, "x"), problem.NormalBatch(n, d, "y"))
			b.Run(fmt.Sprintf("d=%d/n=%d", d, n), func(b *testing.B) {
				for b.Loop() {
					assign(b, c)
				}
			})
		}
	}
}
