package fit

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/optim"

	"gonum.org/v1/gonum/blas/blas32"
)

// Validation is held-out points by which Fit chooses among the weights of training. They
// must not be those by which the model is judged later.
type Validation struct {
	X blas32.General // of the law of Problem.Train
	Y blas32.General // of the law of Problem.From
}

const scoredTimes = 20 // in a run

// choice is the state of training that is best by its score.
type choice struct {
	step    int
	score   float64
	weights map[string][]float32 // averaged weights by name; nil before the first score
}

// choosing scores the averaged weights before the first step and scoredTimes during
// training, and keeps those of the least score.
func choosing(ctx context.Context, r *run.Run, v Validation, log *report.MetricsLog) Hook {
	if v.X.Rows == 0 {
		return Hook{}
	}
	see := func(l *Loop) error {
		m := l.Model
		score, err := v.ofAverage(ctx, m)
		if err != nil {
			if ctx.Err() != nil {
				return nil // the loop ends as interrupted
			}
			return fmt.Errorf("the score of held-out points: %w", err)
		}
		if m.chosen.weights == nil || score < m.chosen.score {
			m.chosen = choice{m.State.Step, score, m.averaged()}
		}
		return log.Append(l.Step(), report.Numbers{"validation_dual": score})
	}
	return Hook{
		Start: func(l *Loop) error {
			if l.Step() > 0 {
				return nil // resumed
			}
			return see(l)
		},
		Step: func(l *Loop) error {
			if l.Step()%max(1, l.Of/scoredTimes) != 0 && l.Step() != l.Of {
				return nil
			}
			return see(l)
		},
		End: func(l *Loop) error {
			if l.Stopped().Reason == report.Interrupted || l.Model.chosen.weights == nil {
				return nil
			}
			r.Report.Metrics["chosen_step"] = float64(l.Model.chosen.step)
			if at := l.Model.chosen.step; at < l.Step() {
				r.Note("The model has the weights of step %d of %d: of the states that were compared, its semi-dual was least on rows held out for that.", at, l.Of)
			}
			return nil
		},
	}
}

// averaged copies the averaged weights, or those at hand before there are averages.
func (m *Model) averaged() map[string][]float32 {
	weights := map[string][]float32{}
	for _, w := range m.objective.Weights() {
		v := w.Value
		if mean, ok := m.average.Mean[w.Name]; ok {
			v = mean
		}
		weights[w.Name] = slices.Clone(v)
	}
	return weights
}

// semiDual is the empirical semi-dual on held-out points,
//
//	(1/n)·Σ w(x_i) + (1/m)·Σ w*(y_j),
//
// which the potential of the Monge map makes least. The roles of x and y are exchanged if
// the potential is a function of the source.
func (v Validation) semiDual(ctx context.Context, m *Model) (score float64, err error) {
	x, y := v.X, v.Y
	if m.Origin.OnSource {
		x, y = y, x
	}
	conjugates, err := m.linearPartners(y) // not those of an earlier score, which a resumed run does not have
	if err != nil {
		return 0, err
	}
	if _, err := m.solve(ctx, y, conjugates); err != nil {
		return 0, err
	}
	atX, atConjugates := make([]float32, x.Rows), make([]float32, y.Rows)
	if err := m.Evaluator.Eval(x, atX, blas32.General{}); err != nil {
		return 0, err
	}
	if err := m.Evaluator.Eval(conjugates, atConjugates, blas32.General{}); err != nil {
		return 0, err
	}
	for _, v := range atX {
		score += float64(v) / float64(x.Rows)
	}
	for j, v := range atConjugates { // w*(y) = ⟨x, y⟩ − w(x) at the conjugate x of y
		score += (batch.Inner(batch.Row(conjugates, j), batch.Row(y, j)) - float64(v)) / float64(y.Rows)
	}
	return score, nil
}

// ofAverage is the semi-dual of the averaged weights.
func (v Validation) ofAverage(ctx context.Context, m *Model) (float64, error) {
	if m.average.Mean == nil {
		return v.semiDual(ctx, m)
	}
	if err := m.average.Swap(m.objective.Weights()); err != nil {
		return 0, err
	}
	score, err := v.semiDual(ctx, m)
	if back := m.average.Swap(m.objective.Weights()); err == nil {
		err = back
	}
	return score, err
}

// put writes the choice into a checkpoint.
func (c *choice) put(to *graph.Checkpoint) {
	if c.weights == nil {
		return
	}
	putMap(to, "chosen.", c.weights)
	to.Texts["chosen.step"] = strconv.Itoa(c.step)
	to.Texts["chosen.score"] = strconv.FormatFloat(c.score, 'x', -1, 64)
}

// get reads what put wrote, if it wrote something.
func (c *choice) get(from *graph.Checkpoint) (err error) {
	weights := getMap(from, "chosen.")
	if len(weights) == 0 {
		return nil
	}
	if c.step, err = strconv.Atoi(from.Texts["chosen.step"]); err != nil {
		return fmt.Errorf("its %q: %w", "chosen.step", err)
	}
	if c.score, err = strconv.ParseFloat(from.Texts["chosen.score"], 64); err != nil {
		return fmt.Errorf("its %q: %w", "chosen.score", err)
	}
	c.weights = weights
	return nil
}

// result is the average whose weights the model has in the end.
func (m *Model) result() *optim.Average {
	if m.chosen.weights == nil {
		return m.average
	}
	return &optim.Average{Mean: m.chosen.weights}
}
