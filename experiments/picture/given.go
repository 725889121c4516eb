package picture

import (
	"fmt"

	"cmf/data/images"
	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// DigitClasses is the number of classes of digits.
const DigitClasses = classes

// askedOfClass are the digits of each class whose recognition is measured.
const askedOfClass = 100

// CheckGiven says what is wrong with CMF_GIVEN, for pictures.
func CheckGiven(given string) error {
	if given != "" && given != "label" {
		return fmt.Errorf("CMF_GIVEN=%s: allowed is label, for pictures that have labels, or nothing", given)
	}
	return nil
}

// AskedDigits are the labels of n digits to generate: those of training digits, spread.
func AskedDigits(set *images.Digits, n int) []uint8 {
	return labelsAt(set.TrainLabels, SpreadRows(set.Train.Rows, n))
}

// HeldOutLabels are the labels of HeldOut.
func (j *Judge) HeldOutLabels(set *images.Digits) []uint8 {
	return labelsAt(set.TestLabels, SpreadRows(set.Test.Rows, j.test.Rows))
}

func labelsAt(labels []uint8, rows []int) []uint8 {
	out := make([]uint8, len(rows))
	for i, k := range rows {
		out[i] = labels[k]
	}
	return out
}

// Recognised measures how many of the digits the classifier takes for what was asked for:
// of the first 100 of each class, "recognised_K" for class K, their mean "recognised", and
// the least "recognised_least".
func (j *Judge) Recognised(digits blas32.General, asked []uint8, into report.Numbers) error {
	_, p, err := j.classifier.Evaluate(digits)
	if err != nil {
		return err
	}
	var seen, right [DigitClasses]float64
	for i, k := range asked {
		if seen[k] == askedOfClass {
			continue
		}
		seen[k]++
		if classOf(batch.Row(p, i)) == int(k) {
			right[k]++
		}
	}
	mean, least, of := 0., 1., 0.
	for k, n := range seen {
		if n == 0 {
			continue
		}
		share := right[k] / n
		into[fmt.Sprintf("recognised_%d", k)] = share
		mean, least, of = mean+share, min(least, share), of+1
	}
	into["recognised"], into["recognised_least"] = mean/of, least
	return nil
}

// classOf is the class of the largest probability.
func classOf(p []float32) (class int) {
	for k, v := range p {
		if v > p[class] {
			class = k
		}
	}
	return class
}

// JudgeGiven measures how well digits that were generated given their class are recognised,
// beside held-out digits, and draws a row for each class.
func (j *Judge) JudgeGiven(r *run.Run, set *images.Digits, generated blas32.General, asked []uint8) error {
	held := j.HeldOutLabels(set)
	if err := j.Recognised(generated, asked, r.Report.Metrics); err != nil {
		return err
	}
	if err := j.Recognised(j.test, held, r.Report.Floor); err != nil {
		return err
	}
	r.Page.Headline = append(r.Page.Headline,
		report.Headline{Metric: "recognised", Label: "Share recognised as the digit asked for", Goal: report.Higher},
		report.Headline{Metric: "recognised_least", Label: "— of the digit that is recognised least", Goal: report.Higher})
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("recognised: of %d digits asked for of each class, or as many as there are, the share that the classifier takes for that class; the floor is that of held-out digits.", askedOfClass))
	const few, many = 8, 16
	err := figure.DrawTiles(r.Path("classes.png"), ofClasses("data", j.test, held, few), ofClasses("generated, given the digit", generated, asked, many))
	if err != nil {
		return fmt.Errorf("the digits by class: %w", err)
	}
	r.LeadFigure("classes.png", "A row for each digit: held-out digits, and the first that were generated given it.")
	return nil
}

// ofClasses are the first digits of each class, a row for each.
func ofClasses(title string, x blas32.General, labels []uint8, columns int) figure.Tiles {
	grid := batch.New(DigitClasses*columns, x.Cols)
	var found [DigitClasses]int
	for i, k := range labels {
		if found[k] < columns {
			copy(batch.Row(grid, int(k)*columns+found[k]), batch.Row(x, i))
			found[k]++
		}
	}
	return figure.Tiles{Title: title, Pixels: grid, Height: Side, Width: Side, Columns: columns, Scale: 2}
}
