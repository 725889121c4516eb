package picture

import (
	"context"
	"fmt"
	"math"

	"cmf/data/images"
	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Judge measures generated digits against held-out digits.
type Judge struct {
	classifier   *Classifier
	test, train  blas32.General // as many held-out and training digits as are generated
	all          blas32.General
	testFeatures blas32.General // of every held-out digit
	accuracy     string
}

func NewJudge(set *images.Digits, n int) (*Judge, error) {
	c, accuracy, err := TrainedClassifier()
	if err != nil {
		return nil, err
	}
	features, _, err := c.Evaluate(set.Test)
	if err != nil {
		return nil, err
	}
	if n > set.Test.Rows || n > set.Train.Rows {
		return nil, fmt.Errorf("CMF_SAMPLES=%d: there are %d digits to train on and %d held out; give no more than either", n, set.Train.Rows, set.Test.Rows)
	}
	return &Judge{
		classifier: c, accuracy: accuracy, testFeatures: features,
		test: Spread(set.Test, n), train: Spread(set.Train, n), all: set.Train,
	}, nil
}

// Fill measures the model, the Gaussian fit and the floor.
func (j *Judge) Fill(ctx context.Context, r *run.Run, model, gaussian blas32.General) error {
	// The nearest training digit of a training digit is itself, so the floor of
	// memorisation is measured with held-out digits.
	err := j.measure(ctx, r, []sample{{model, model, r.Report.Metrics}, {gaussian, gaussian, r.Report.Baseline}, {j.train, j.test, r.Report.Floor}})
	if err != nil {
		return err
	}
	r.Report.Notes = append(r.Report.Notes, "Fréchet distances are in the 64 features of a classifier that this project trained on MNIST (held-out accuracy "+j.accuracy+"), not in those of Inception.",
		"The baseline is a Gaussian fitted in the same space; the floor compares training with held-out digits.")
	r.Page.Headline = []report.Headline{
		{Metric: "frechet", Label: "Fréchet distance", Goal: report.Lower},
		{Metric: "energy_distance", Label: "Energy distance", Goal: report.Lower},
		{Metric: "nn_accuracy", Label: "1-NN two-sample accuracy", Goal: report.Nearer, Target: .5},
		{Metric: "nn_share_generated", Label: "— share of generated points whose neighbour is generated", Goal: report.Nearer, Target: .5},
		{Metric: "nn_share_data", Label: "— share of data points whose neighbour is data", Goal: report.Nearer, Target: .5},
		{Metric: "confidence", Label: "Classifier confidence", Goal: report.Higher},
		{Metric: "class_entropy", Label: "Entropy of classes (log 10 = 2.30)", Goal: report.Higher},
		{Metric: "nearest_training_distance", Label: "Distance to the nearest training digit", Goal: report.Nearer, Target: r.Report.Floor["nearest_training_distance"]},
	}
	return nil
}

// Beside measures digits of another law.
func (j *Judge) Beside(ctx context.Context, r *run.Run, name, title string, digits blas32.General) error {
	c := report.Column{Name: name, Title: title, Metrics: report.Numbers{}}
	err := j.measure(ctx, r, []sample{{digits, digits, c.Metrics}})
	r.Report.Beside = append(r.Report.Beside, c)
	return err
}

// HeldOut are the held-out digits that generated ones are compared with.
func (j *Judge) HeldOut() blas32.General { return j.test }

// measure measures digits, and how near those that might be remembered are to training digits.
func (j *Judge) measure(ctx context.Context, r *run.Run, samples []sample) error {
	return measure(ctx, ranks.New(r.World), samples, j.all, j.byFeatures, energyTo(j.test), neighboursIn(j.test))
}

// byFeatures measures digits by what the classifier makes of them.
func (j *Judge) byFeatures(x blas32.General) (report.Numbers, error) {
	features, p, err := j.classifier.Evaluate(x)
	if err != nil {
		return nil, err
	}
	numbers := report.Numbers{}
	numbers["confidence"], numbers["class_entropy"] = confidence(p)
	numbers["frechet"], err = metric.FrechetDistance(features, j.testFeatures)
	return numbers, err
}

// confidence returns the mean of the largest class probability, and the entropy of the
// mean class probabilities.
func confidence(p blas32.General) (mean, entropy float64) {
	share := make([]float64, p.Cols)
	for i := range p.Rows {
		var best float64
		for k, v := range p.Data[i*p.Stride:][:p.Cols] {
			best = max(best, float64(v))
			share[k] += float64(v) / float64(p.Rows)
		}
		mean += best / float64(p.Rows)
	}
	for _, s := range share {
		if s > 0 {
			entropy -= s * math.Log(s)
		}
	}
	return mean, entropy
}

// Spread is n rows of x, one drawn from each of n stretches of equal length. Rows at equal
// distances would be biased: two groups of writers alternate in MNIST's training digits,
// so every second row is from the same group.
func Spread(x blas32.General, n int) blas32.General {
	out := batch.New(n, x.Cols)
	for i, k := range SpreadRows(x.Rows, n) {
		copy(batch.Row(out, i), batch.Row(x, k))
	}
	return out
}

// SpreadRows are the indices of the rows that Spread takes from of rows.
func SpreadRows(of, n int) []int {
	rng := random.New(0, "spread", 0)
	chosen := make([]int, n)
	for i := range chosen {
		from, to := i*of/n, (i+1)*of/n
		chosen[i] = from + rng.IntN(max(1, to-from))
	}
	return chosen
}

// DigitTiles arranges digits in a grid.
func DigitTiles(title string, x blas32.General) figure.Tiles {
	return PictureTiles(Side)(title, x)
}

// DrawDigits draws the grids of Figure 5.
func DrawDigits(r *run.Run, set *images.Digits, gibbs, digits, gaussian blas32.General) error {
	name := "MNIST"
	if set.StandIn {
		name = "stand-in digits"
	}
	return figure5{name, "digits", DigitTiles, set.Test, gibbs, digits, gaussian}.draw(r)
}

// greyed maps each coordinate from its mean ± 2.5 standard deviations to [0, 1].
func greyed(x blas32.General) blas32.General {
	out := batch.New(x.Rows, x.Cols)
	for j := range x.Cols {
		var s, ss float64
		for i := range x.Rows {
			v := float64(x.Data[i*x.Stride+j])
			s += v
			ss += v * v
		}
		n := float64(x.Rows)
		mean := s / n
		sd := math.Sqrt(max(ss/n-mean*mean, 1e-12))
		for i := range x.Rows {
			v := float64(x.Data[i*x.Stride+j])
			out.Data[i*out.Stride+j] = float32(min(1, max(0, .5+(v-mean)/(5*sd))))
		}
	}
	return out
}
