package picture

import (
	"fmt"

	"cmf/experiments/figure"
	"cmf/experiments/fit"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// DigitWatch follows training by the digits ∇w*(y) of the bank of particles. These cost
// nothing, because the last iterations have solved for them.
type DigitWatch struct {
	Run    *run.Run // whose followers see some of the digits; nil for none
	Judge  *Judge
	Pixels func(blas32.General) (blas32.General, error)
}

func (d DigitWatch) See(m *fit.Model) (report.Numbers, error) {
	x, err := d.Pixels(m.State.Partners)
	if err != nil {
		return nil, err
	}
	return d.SeeDigits(x)
}

// SeeDigits measures the digits of the bank.
func (d DigitWatch) SeeDigits(x blas32.General) (report.Numbers, error) {
	features, p, err := d.Judge.classifier.Evaluate(x)
	if err != nil {
		return nil, err
	}
	n := report.Numbers{}
	if n["bank_frechet"], err = metric.FrechetDistance(features, d.Judge.testFeatures); err != nil {
		return nil, err
	}
	n["bank_confidence"], n["bank_class_entropy"] = confidence(p)
	if d.Run == nil || !d.Run.Watched() {
		return n, nil
	}
	const columns, lines = 24, 4
	some, err := figure.Tiles{Pixels: batch.First(x, columns*lines), Height: Side, Width: Side, Columns: columns}.Image()
	if err != nil {
		return nil, err
	}
	d.Run.Glimpse(some, "Digits ∇w*(y) of the bank of particles, with the weights of the last steps.")
	return n, nil
}

// Draw draws the Fréchet distance of the bank against the step.
func (d DigitWatch) Draw(r *run.Run) error {
	curves, err := report.ReadMetricsLog(r.Path(""))
	if err != nil {
		return err
	}
	curve := curves["bank_frechet"]
	if len(curve.X) < 2 {
		return nil
	}
	curve.Name = "Fréchet distance"
	if err := figure.DrawCurves(r.Path("frechet.png"), figure.Axes{Title: "Learning", X: "iteration", Y: "Fréchet distance of the bank"}, curve); err != nil {
		return err
	}
	r.AddFigure("frechet.png", "Fréchet distance of the digits of the bank of particles during training, with the weights at that step. So few digits have a larger distance than a full sample: compare it only along the curve.")
	return nil
}

// DrawClasses draws, for each class according to the classifier, its first eight digits in
// a row: from the data, the model and the Gaussian fit. A class with fewer digits leaves
// the remaining places black.
func (j *Judge) DrawClasses(r *run.Run, generated, gaussian blas32.General) error {
	const columns = 8
	var panels []figure.Tiles
	for _, set := range []struct {
		title string
		x     blas32.General
	}{{"data", j.test}, {"generated", generated}, {"Gaussian fit", gaussian}} {
		_, p, err := j.classifier.Evaluate(set.x)
		if err != nil {
			return err
		}
		labels := make([]uint8, p.Rows)
		for i := range labels {
			labels[i] = uint8(classOf(batch.Row(p, i)))
		}
		panels = append(panels, ofClasses(set.title, set.x, labels, columns))
	}
	if err := figure.DrawTiles(r.Path("classes.png"), panels...); err != nil {
		return fmt.Errorf("the digits by class: %w", err)
	}
	r.AddFigure("classes.png", "The first eight digits of each class, according to the classifier: held-out digits, generated ones, samples of a Gaussian fit.")
	return nil
}
