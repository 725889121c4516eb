package learner

import (
	"context"
	"math"
	"slices"

	"cmf/solvers/batch"
	"cmf/solvers/conjugate"
	"cmf/solvers/density"
	"cmf/solvers/random"
	"cmf/solvers/transport"

	"gonum.org/v1/gonum/blas/blas32"
)

// Square is the part of the plane that a picture shows, in the units of learning.
type Square struct{ X, Y, Half float64 }

// around is a square about nearly all points.
func around(points blas32.General) Square {
	mean := batch.Means(points)
	reach := make([]float64, points.Rows)
	for i := range reach {
		p := batch.Row(points, i)
		reach[i] = max(math.Abs(float64(p[0])-mean[0]), math.Abs(float64(p[1])-mean[1]))
	}
	slices.Sort(reach)
	return Square{mean[0], mean[1], 1.12 * reach[int(.995*float64(len(reach)-1))]}
}

// nodes are the centres of n×n cells, row by row from the top.
func (s Square) nodes(n int) blas32.General {
	x := batch.New(n*n, 2)
	at := func(k int) float64 { return s.Half * (2*float64(k) + 1 - float64(n)) / float64(n) }
	for i := range n {
		for j := range n {
			x.Data[2*(i*n+j)], x.Data[2*(i*n+j)+1] = float32(s.X+at(j)), float32(s.Y-at(i))
		}
	}
	return x
}

// View is what is drawn besides points, in the units of learning.
type View struct {
	Cells int
	Noise Square    // about the particles
	W     []float32 // of the source at Cells² centres of cells of Noise: w, or ½|y|²

	Data    Square    // about the points
	Density []float32 // q_w at Cells² centres of cells of Data

	Warped blas32.General // ∇w* at Lines² nodes of a grid over Noise
}

// Lines is the size of the grid that is warped.
const Lines = 25

// Viewer makes views; solves begin where those of the last view ended.
type Viewer struct {
	noise, data Square
	warped      blas32.General
}

// See evaluates the model on grids, with the weights as they are.
func (l *Learner) See(v *Viewer) (*View, error) {
	now := around(l.State().Bank.Y)
	if v.data.Half == 0 {
		v.data, v.noise = around(batch.Rows(l.Points, 0, min(4096, l.Points.Rows))), now
	}
	const follow = .25 // so that the picture does not jump
	v.noise.X += follow * (now.X - v.noise.X)
	v.noise.Y += follow * (now.Y - v.noise.Y)
	v.noise.Half += follow * (now.Half - v.noise.Half)

	cells := 56
	if l.Evaluator.Solves() {
		cells = 28
	}
	out := &View{Cells: cells, Noise: v.noise, Data: v.data, W: make([]float32, cells*cells), Density: make([]float32, cells*cells)}
	if err := l.Noise.Eval(v.noise.nodes(cells), out.W, blas32.General{}); err != nil {
		return nil, err
	}
	q := density.Pushforward{Potential: l.Evaluator, Noise: l.Noise, LogZ: logZ(out.W, v.noise)}
	logq, _, err := q.LogPDF(context.Background(), v.data.nodes(cells))
	if err != nil {
		return nil, err
	}
	for i, s := range logq {
		if p := math.Exp(s); batch.Finite(p) {
			out.Density[i] = float32(p)
		}
	}
	out.Warped, err = l.warp(v)
	return out, err
}

// logZ is the logarithm of the sum of e^{−w} over the cells.
func logZ(w []float32, s Square) float64 {
	least := float64(slices.Min(w))
	var sum float64
	for _, v := range w {
		sum += math.Exp(least - float64(v))
	}
	side := 2 * s.Half / math.Sqrt(float64(len(w)))
	return math.Log(sum*side*side) - least
}

// warp maps a grid by ∇w*.
func (l *Learner) warp(v *Viewer) (blas32.General, error) {
	y := v.noise.nodes(Lines)
	if l.Evaluator.Explicit() {
		x := batch.New(y.Rows, 2)
		return x, l.Evaluator.EvalConjugate(y, nil, x)
	}
	if v.warped.Rows == 0 { // start at the nearest particle's partner
		v.warped = batch.New(y.Rows, 2)
		s := l.State()
		for i := range y.Rows {
			best := math.Inf(1)
			for j := range s.Bank.Y.Rows {
				a, b := batch.Row(y, i), batch.Row(s.Bank.Y, j)
				if d := math.Hypot(float64(a[0]-b[0]), float64(a[1]-b[1])); d < best {
					best = d
					copy(batch.Row(v.warped, i), batch.Row(s.Partners, j))
				}
			}
		}
	}
	solver := &conjugate.BarzilaiBorwein{Tolerance: 1e-2, MaxIterations: 25}
	if _, err := solver.Solve(context.Background(), l.Evaluator, y, v.warped, l.State().Preconditioner()); err != nil {
		return blas32.General{}, err
	}
	return v.warped, nil
}

// Distance is the sliced W2 distance between the images of the particles and the points, or some
// of each, in the units of learning.
func (l *Learner) Distance() (float64, error) {
	const most = 1024
	s := l.State()
	n := min(most, s.Partners.Rows)
	rows := make([]int, n) // all along, as points may be sorted; some twice where they are few
	for i := range rows {
		rows[i] = i * l.Points.Rows / n
	}
	return transport.SlicedW2(batch.Rows(s.Partners, 0, n), batch.Gathered(l.Points, rows), 24, random.New(1, "watch", 0))
}
