package conjugate

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/internal/problem"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// The solutions are those of a Cholesky factorisation of each row's own Hessian. A
// preconditioner needs fewer products.
func TestHessianSolver(t *testing.T) {
	const n, d = 40, 12
	rng := random.Seeded(3, 1)
	w := problem.NewHinges(d, 20, 100, 4, rng)
	x, v, u := problem.NormalRows(n, d, 1, rng), problem.NormalRows(n, d, 1, rng), batch.New(n, d)
	clear(batch.Row(v, 7)) // its solution is 0
	at := make([]float64, d)
	mean := mat.NewSymDense(d, nil)
	for i := range n {
		for j, q := range batch.Row(x, i) {
			at[j] = float64(q)
		}
		mean.AddSym(mean, w.Hessian(at))
	}
	mean.ScaleSym(1./n, mean)
	preconditioner, err := potential.PreconditionerFromHessian(mean)
	if err != nil {
		t.Fatal(err)
	}
	solver := &HessianSolver{Tolerance: 1e-5}
	var products []int
	for _, p := range []*potential.Preconditioner{nil, preconditioner} {
		info, err := solver.Solve(w, x, v, u, p)
		if err != nil {
			t.Fatal(err)
		}
		if info.Unsolved() != 0 {
			t.Errorf("%d rows unsolved after %d products", info.Unsolved(), info.Products)
		}
		products = append(products, info.Products)
		for i := range n {
			var chol mat.Cholesky
			rhs := mat.NewVecDense(d, nil)
			for j := range d {
				at[j] = float64(batch.Row(x, i)[j])
				rhs.SetVec(j, float64(batch.Row(v, i)[j]))
			}
			chol.Factorize(w.Hessian(at))
			var want mat.VecDense
			if err := chol.SolveVecTo(&want, rhs); err != nil {
				t.Fatal(err)
			}
			for j, got := range batch.Row(u, i) {
				if !(math.Abs(float64(got)-want.AtVec(j)) <= 1e-3*(mat.Norm(&want, 2)+1e-9)) {
					t.Fatalf("row %d: entry %d is %v, want %v", i, j, got, want.AtVec(j))
				}
			}
		}
	}
	if products[1] >= products[0] {
		t.Errorf("%d products without a preconditioner, %d with", products[0], products[1])
	}
	t.Logf("%d products without a preconditioner, %d with", products[0], products[1])
}

// Rows that cannot be solved are reported and do not affect the others.
func TestHessianSolverFailures(t *testing.T) {
	const n, d = 4, 3
	rng := random.Seeded(3, 2)
	w := problem.NewQuadratic(d, 10, rng)
	x, v, u := problem.NormalRows(n, d, 1, rng), problem.NormalRows(n, d, 1, rng), batch.New(n, d)
	batch.Row(v, 1)[2] = float32(math.NaN())
	info, err := new(HessianSolver).Solve(w, x, v, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	hu := batch.New(n, d)
	if err := w.HessVec(x, u, hu); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if i == 1 {
			if got := batch.Norm(batch.Row(u, i)); got != 0 || !math.IsNaN(float64(info.Residual[i])) {
				t.Errorf("a row that is not finite: ‖u‖ = %g, residual %g", got, info.Residual[i])
			}
			continue
		}
		batch.SubtractFrom(batch.Row(v, i), batch.Row(hu, i))
		if got, want := batch.Norm(batch.Row(hu, i))/batch.Norm(batch.Row(v, i)), float64(info.Residual[i]); math.Abs(got-want) > 1e-4 || want > 1e-3 {
			t.Errorf("row %d: residual %g, reported as %g", i, got, want)
		}
	}
	if good := potential.Converged; !slices.Equal(info.Status, []potential.Status{good, potential.NotFinite, good, good}) {
		t.Errorf("status %v; want that row 1 alone is not finite", info.Status)
	}
	info, err = (&HessianSolver{Tolerance: 1e-6, MaxIterations: 1}).Solve(w, x, problem.NormalRows(n, d, 1, rng), u, nil)
	if err != nil || info.Unsolved() != n || info.Status[0] != potential.MaxIterations || info.Products != 1 {
		t.Errorf("one product: %d rows unsolved after %d, error %v", info.Unsolved(), info.Products, err)
	}

	if info, err := new(HessianSolver).Solve(flatland{w}, x, problem.NormalRows(n, d, 1, rng), u, nil); err != nil || info.Unsolved() != n || info.Status[0] != potential.Stalled || batch.Norm(u.Data) != 0 {
		t.Errorf("no curvature: status %v, ‖u‖ = %g, error %v", info.Status, batch.Norm(u.Data), err)
	}
	for want, solve := range map[string]func() error{
		"x has shape (4, 3), y (2, 3)": func() error { _, err := new(HessianSolver).Solve(w, x, batch.Rows(v, 0, 2), u, nil); return err },
		"tolerance is 2":               func() error { _, err := (&HessianSolver{Tolerance: 2}).Solve(w, x, v, u, nil); return err },
	} {
		if err := solve(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
}

// flatland has no curvature anywhere.
type flatland struct{ potential.Potential }

func (flatland) HessVec(_, _, hv blas32.General) error { clear(hv.Data); return nil }
