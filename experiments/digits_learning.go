package experiments

import (
	"fmt"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// digitWatch follows training by the digits ∇w*(y) of the bank of particles,
// which cost nothing: the last iterations solved for them.
type digitWatch struct {
	judge  *judge
	pixels func(blas32.General) (blas32.General, error)
}

func (d digitWatch) see(m *Model) (Numbers, error) {
	x, err := d.pixels(m.State.Partners)
	if err != nil {
		return nil, err
	}
	features, p, err := d.judge.classifier.Evaluate(x)
	if err != nil {
		return nil, err
	}
	n := Numbers{}
	if n["bank_frechet"], err = FrechetDistance(features, d.judge.testFeatures); err != nil {
		return nil, err
	}
	n["bank_confidence"], n["bank_class_entropy"] = confidence(p)
	return n, nil
}

// draw draws the Fréchet distance of the bank against the step.
func (d digitWatch) draw(r *Run) error {
	curves, err := ReadMetricsLog(r.path(""))
	if err != nil {
		return err
	}
	curve := curves["bank_frechet"]
	if len(curve.X) < 2 {
		return nil
	}
	curve.Name = "Fréchet distance"
	if err := DrawCurves(r.path("frechet.png"), Axes{Title: "Learning", X: "iteration", Y: "Fréchet distance of the bank"}, curve); err != nil {
		return err
	}
	r.AddFigure("frechet.png", "Fréchet distance of the digits of the bank of particles while training, with the weights of the moment. So few digits have a larger distance than a full sample; compare along the curve.")
	return nil
}

// drawClasses draws the first eight digits of every class that the classifier
// sees, a row each: of data, model and Gaussian fit. A class with fewer leaves
// its places black.
func (j *judge) drawClasses(r *Run, generated, gaussian blas32.General) error {
	const columns = 8
	var panels []Tiles
	for _, set := range []struct {
		title string
		x     blas32.General
	}{{"data", j.test}, {"generated", generated}, {"Gaussian fit", gaussian}} {
		_, p, err := j.classifier.Evaluate(set.x)
		if err != nil {
			return err
		}
		grid := batch.New(p.Cols*columns, set.x.Cols)
		found := make([]int, p.Cols)
		for i := range p.Rows {
			class := 0
			for k, v := range batch.Row(p, i) {
				if v > batch.Row(p, i)[class] {
					class = k
				}
			}
			if found[class] < columns {
				copy(batch.Row(grid, class*columns+found[class]), batch.Row(set.x, i))
				found[class]++
			}
		}
		panels = append(panels, Tiles{Title: set.title, Pixels: grid, Height: side, Width: side, Columns: columns, Scale: 2})
	}
	if err := DrawTiles(r.path("classes.png"), panels...); err != nil {
		return fmt.Errorf("the digits by class: %w", err)
	}
	r.AddFigure("classes.png", "The first eight digits of each class, as the classifier sees them: held-out digits, generated ones, samples of a Gaussian fit.")
	return nil
}
