package inpaint

import (
	"os"
	"slices"
	"strings"
	"testing"

	"cmf/experiments/picture"
	"cmf/experiments/ranks"
	"cmf/solvers/batch"
	"cmf/solvers/mpi"
	"cmf/solvers/mpi/mpitest"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// rankVariable makes the test below one of its ranks.
const rankVariable = "INPAINT_RANK"

// Completions of ranks are joined in the order of the pictures, and each rank has a stream of its own.
func TestRanksShareCompletions(t *testing.T) {
	if os.Getenv(rankVariable) == "" {
		l := mpitest.Launchers(t)[0]
		c := l.Command(t.Context(), 3, []string{rankVariable + "=1"}, os.Args[0], "-test.run=^TestRanksShareCompletions$", "-test.v")
		if out, err := c.CombinedOutput(); err != nil || strings.Count(string(out), "--- PASS") != 3 {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	world, err := mpi.Join()
	if err != nil {
		t.Fatal(err)
	}
	const n, draws = 50, 2
	pictures := batch.New(n, picture.Pixels)
	for i := range n {
		batch.Row(pictures, i)[0] = float32(i)
	}
	var first float64
	f, err := shared(ranks.New(world), pictures, random.New(1, "completions", 0), func(own blas32.General, rng *random.Stream) (Fills, error) {
		first = rng.Float64()
		f := newFills(own.Rows*draws, NewHole("half", 1))
		for range 3 {
			rows := batch.New(own.Rows*draws, picture.Pixels)
			for i := range rows.Rows {
				copy(batch.Row(rows, i), batch.Row(own, i/draws))
			}
			f.add(rows)
		}
		f.acceptance = float64(own.Rows) // 16 on rank 0, and 17 on the others
		return f, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.Draws.Rows != n*draws || f.sum.Rows != n*draws || len(f.traces) != n*draws || len(f.traces[99]) != 3 {
		t.Fatalf("%d draws, %d sums, %d traces", f.Draws.Rows, f.sum.Rows, len(f.traces))
	}
	for i := range n * draws {
		if at := float32(i / draws); batch.Row(f.Draws, i)[0] != at || batch.Row(f.sum, i)[0] != 3*at {
			t.Errorf("row %d belongs to the picture %v", i, batch.Row(f.Draws, i)[0])
		}
	}
	if want := (16.*16 + 2*17*17) / n; f.acceptance != want {
		t.Errorf("the acceptance is %v, want the mean over pictures, %v", f.acceptance, want)
	}
	all := world.Each(first)
	slices.Sort(all)
	if len(slices.Compact(all)) != 3 {
		t.Errorf("the first random numbers of the ranks are %v", all)
	}
	world.Finalize()
}
