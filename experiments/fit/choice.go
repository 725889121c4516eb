package fit

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/optim"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Validation is held-out points by which Fit chooses among the weights of training. They
// must not be those by which the model is judged later. The score is the log-likelihood of
// X or, for a fit from a given source, the semi-dual of X and Y.
type Validation struct {
	X        blas32.General // of the law of Problem.Train
	Contexts blas32.General // of the rows of X, for a fit with contexts
	Y        blas32.General // of the law of Problem.From

	// Patience is the number of scores in a row that are no better than the best one before
	// training ends; 0 to make all steps.
	Patience int
}

const scoredTimes = 20 // in a run

// choice is the state of training that is best by its score.
type choice struct {
	step    int
	score   float64
	weights map[string][]float32 // averaged weights by name; nil before the first score
	scored  int                  // step of the last score
}

// choosing scores the averaged weights before the first step and scoredTimes during
// training, and keeps those of the least score.
func choosing(ctx context.Context, r *run.Run, v Validation, seed uint64, log *report.MetricsLog) Hook {
	if v.X.Rows == 0 {
		return Hook{}
	}
	see := func(l *Loop, write func(step int, numbers report.Numbers) error) error {
		m, until := l.Model, ctx
		if m.ranks != nil {
			until = context.WithoutCancel(ctx) // ranks share the work, so all of them do it or none
		}
		score, err := v.ofAverage(until, m, random.New(seed, "validation", uint64(l.Step())))
		if err != nil {
			if until.Err() != nil {
				return nil // the loop ends as interrupted
			}
			return fmt.Errorf("the score of held-out points: %w", err)
		}
		// All act on it, so it is that of rank 0, to the last digit.
		if score, err = m.ranks.OfRoot(func() (float64, error) { return score, nil }); err != nil {
			return err
		}
		if m.chosen.weights == nil || score < m.chosen.score {
			m.chosen = choice{step: m.State.Step, score: score, weights: m.averaged()}
		}
		m.chosen.scored = l.Step()
		if m.Noise == nil {
			return write(l.Step(), report.Numbers{"validation_dual": score})
		}
		return write(l.Step(), report.Numbers{"validation_log_likelihood": -score})
	}
	due := func(l *Loop) bool { return l.Step()%max(1, l.Of/scoredTimes) == 0 || l.Step() == l.Of }
	settle := func(l *Loop) {
		best := l.Model.chosen.step
		if v.Patience > 0 && l.Step()-best >= v.Patience*max(1, l.Of/scoredTimes) {
			l.Halt(fmt.Sprintf("rows held out for that were likeliest at step %d", best))
		}
	}
	return Hook{
		Start: func(l *Loop) error {
			defer settle(l)
			if c := l.Model.chosen; l.Step() == 0 && c.weights == nil || due(l) && c.scored < l.Step() { // the first, or one that a signal ended
				return see(l, log.AppendNew)
			}
			return nil
		},
		Step: func(l *Loop) error {
			if !due(l) {
				return nil
			}
			defer settle(l)
			return see(l, log.Append)
		},
		End: func(l *Loop) error {
			if l.Stopped().Reason == report.Interrupted || l.Model.chosen.weights == nil {
				return nil
			}
			r.Report.Metrics["chosen_step"] = float64(l.Model.chosen.step)
			if at := l.Model.chosen.step; at < l.Step() {
				was := "rows held out for that were likeliest there"
				if l.Model.Noise == nil {
					was = "its semi-dual was least on rows held out for that"
				}
				r.Note("The model has the weights of step %d of %d: of the states that were compared, %s.", at, l.Of, was)
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

// Score is what the choice makes least: the semi-dual, or the negative log-likelihood. A
// point at which the model has no density counts as the least likely one.
func (v Validation) Score(ctx context.Context, m *Model, rng *random.Stream) (float64, error) {
	if m.Noise == nil {
		return v.semiDual(ctx, m)
	}
	logPDF, err := v.logPDF(ctx, m, rng)
	if err != nil {
		return 0, err
	}
	mean, _, failed := FiniteMean(logPDF)
	if failed == len(logPDF) {
		return math.Inf(1), nil
	}
	if failed > 0 {
		least := math.Inf(1)
		for _, v := range logPDF {
			if batch.Finite(v) {
				least = min(least, v)
			}
		}
		share := float64(failed) / float64(len(logPDF))
		mean = (1-share)*mean + share*least
	}
	return -mean, nil
}

// logPDF is the log density of X, given Contexts if there are any. log Z(c) then has an error
// of its own for every row, so that a small one of each is enough for the mean.
func (v Validation) logPDF(ctx context.Context, m *Model, rng *random.Stream) ([]float64, error) {
	if v.Contexts.Cols == 0 {
		l, err := HeldOutDensity(ctx, m, v.X, rng)
		if err != nil {
			return nil, err
		}
		return l.LogPDF, nil
	}
	l, err := m.logPDFGiven(ctx, v.X, v.Contexts, normalising{32, density.Rays{Rays: 32, Points: 24}}, rng)
	if err != nil {
		return nil, err
	}
	return l.LogPDF, nil
}

// ofAverage is the score of the averaged weights.
func (v Validation) ofAverage(ctx context.Context, m *Model, rng *random.Stream) (float64, error) {
	if m.average.Mean == nil {
		return v.Score(ctx, m, rng)
	}
	if err := m.average.Swap(m.objective.Weights()); err != nil {
		return 0, err
	}
	score, err := v.Score(ctx, m, rng)
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
	to.Texts["chosen.scored"] = strconv.Itoa(c.scored)
	to.Texts["chosen.score"] = strconv.FormatFloat(c.score, 'x', -1, 64)
}

// get reads what put wrote, if it wrote something, in a checkpoint of the given step.
func (c *choice) get(from *graph.Checkpoint, step int) (err error) {
	weights := getMap(from, "chosen.")
	if len(weights) == 0 {
		return nil
	}
	if c.step, err = count(from, "chosen.step", step); err != nil {
		return err
	}
	text := from.Texts["chosen.score"]
	if c.score, err = strconv.ParseFloat(text, 64); err != nil || math.IsNaN(c.score) {
		return fmt.Errorf("its %q is %q; it must be a number", "chosen.score", text)
	}
	c.weights, c.scored = weights, step
	if from.Texts["chosen.scored"] != "" { // earlier versions do not say it
		c.scored, err = count(from, "chosen.scored", step)
	}
	return err
}

// result is the average whose weights the model has in the end.
func (m *Model) result() *optim.Average {
	if m.chosen.weights == nil {
		return m.average
	}
	return &optim.Average{Mean: m.chosen.weights}
}
