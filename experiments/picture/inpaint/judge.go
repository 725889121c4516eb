package inpaint

import (
	"context"
	"math"

	"cmf/data/images"
	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/picture"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
)

// Judge measures completions of held-out digits.
type Judge struct {
	Truth      blas32.General // (n, 784), pixels
	labels     []uint8
	classifier *picture.Classifier
	methods    []string        // that complete digits
	inPixels   *exact.Gaussian // fitted to training pixels
	train      blas32.General
}

// NewJudge judges completions of n held-out digits, spread over the test set, by methods.
func NewJudge(set *images.Digits, n int, methods ...string) (*Judge, error) {
	j := &Judge{Truth: picture.Spread(set.Test, n), train: set.Train, methods: methods}
	for _, k := range picture.SpreadRows(set.Test.Rows, n) {
		j.labels = append(j.labels, set.TestLabels[k])
	}
	var err error
	if j.classifier, _, err = picture.TrainedClassifier(); err != nil {
		return nil, err
	}
	j.inPixels, err = exact.FitGaussian(set.Train, 1e-4)
	return j, err
}

// Figure is the figure of one hole, growing to the right.
type Figure struct{ Grids []figure.Tiles }

// Add adds completions of the first digits to the figure, columns of them for each digit.
func (p *Figure) Add(title string, x blas32.General, columns int) {
	const digits = 12
	p.Grids = append(p.Grids, figure.Tiles{Title: title, Pixels: batch.Rows(x, 0, min(digits*columns, x.Rows)), Height: side, Width: side, Columns: columns, Scale: 2})
}

// References fills a hole without the model: by the mean of training digits, by the
// training digit whose observed pixels are nearest, and by Gaussian conditional means, in
// pixels and, if p is not nil, in its units, in which the digits are observed.
func (j *Judge) References(ctx context.Context, r *run.Run, p *Prior, h Hole, observed blas32.General) (*Figure, error) {
	n := j.Truth.Rows
	average, seen := batch.New(n, picture.Pixels), KeepObserved(batch.New(n, picture.Pixels), j.Truth, h)
	mean := batch.Means(j.train)
	for i := range average.Data {
		average.Data[i] = float32(mean[i%picture.Pixels])
	}
	nearest, err := j.nearest(ctx, h)
	if err != nil {
		return nil, err
	}
	inPixels, err := conditionalMean(j.inPixels, j.Truth, h)
	if err != nil {
		return nil, err
	}
	for i, v := range inPixels.Data {
		inPixels.Data[i] = min(1, max(0, v))
	}
	inUnits := inPixels
	if p != nil {
		if inUnits, err = conditionalMean(p.Digits.Baseline, observed, h); err == nil {
			inUnits, err = p.Digits.Pixels(inUnits)
		}
		if err != nil {
			return nil, err
		}
	}
	shown := new(Figure)
	shown.Add("digit", j.Truth, 1)
	shown.Add("seen", greyHole(seen, h), 1)
	floor, err := j.classifier.Accuracy(j.Truth, j.labels)
	if err != nil {
		return nil, err
	}
	best := math.Inf(-1)
	for _, m := range []struct {
		name, title string
		x           blas32.General
		gaussian    bool
	}{
		{"mean_fill", "mean", average, false},
		{"nearest", "nearest", nearest, false},
		{"gaussian_units", "", inUnits, true},
		{"gaussian_pixels", "Gaussian", inPixels, true},
	} {
		x := KeepObserved(m.x, j.Truth, h)
		numbers, err := j.numbers(h, x, x)
		if err != nil {
			return nil, err
		}
		for _, metric := range []string{"psnr", "ssim", "accuracy"} {
			r.Report.Metrics[h.Name+"."+m.name+"."+metric] = numbers[metric]
		}
		if m.gaussian && numbers["psnr"] > best {
			best = numbers["psnr"]
			for _, method := range j.methods {
				for metric, v := range numbers {
					r.Report.Baseline[h.Name+"."+method+"."+metric] = v
				}
			}
		}
		if m.title != "" {
			shown.Add(m.title, x, 1)
		}
	}
	for _, method := range j.methods {
		r.Report.Floor[h.Name+"."+method+".accuracy"], r.Report.Floor[h.Name+"."+method+".accuracy_draw"] = floor, floor
	}
	return shown, nil
}

// nearest completes each digit by the training digit whose observed pixels are nearest to
// its own.
func (j *Judge) nearest(ctx context.Context, h Hole) (blas32.General, error) {
	masked := func(x blas32.General) blas32.General {
		out := batch.New(x.Rows, x.Cols)
		for i := range x.Rows {
			for k, seen := range h.Observed {
				if seen {
					batch.Row(out, i)[k] = batch.Row(x, i)[k]
				}
			}
		}
		return out
	}
	_, index, err := metric.NearestDistance(ctx, masked(j.Truth), masked(j.train))
	if err != nil {
		return blas32.General{}, err
	}
	out := batch.New(j.Truth.Rows, picture.Pixels)
	for i, k := range index {
		copy(batch.Row(out, i), batch.Row(j.train, k))
	}
	return out, nil
}

// conditionalMean is a copy of x in which the hole has its mean under a law given the
// other pixels.
func conditionalMean(law *exact.Gaussian, x blas32.General, h Hole) (blas32.General, error) {
	given, err := law.Given(h.Observed)
	if err != nil {
		return blas32.General{}, err
	}
	out := batch.New(x.Rows, x.Cols)
	copy(out.Data, x.Data)
	return out, given.Mean(out)
}

// greyHole paints the hole grey.
func greyHole(x blas32.General, h Hole) blas32.General {
	for i := range x.Rows {
		for _, k := range h.Hidden() {
			batch.Row(x, i)[k] = .5
		}
	}
	return x
}

// numbers measures completions: the mean of each digit, (n, 784), and its draws,
// (n·m, 784). If there is one draw for each digit, the two may be the same.
func (j *Judge) numbers(h Hole, mean, draws blas32.General) (report.Numbers, error) {
	n := j.Truth.Rows
	each := draws.Rows / n
	truths, labels := batch.New(draws.Rows, picture.Pixels), make([]uint8, draws.Rows)
	for i := range draws.Rows {
		copy(batch.Row(truths, i), batch.Row(j.Truth, i/each))
		labels[i] = j.labels[i/each]
	}
	ofMean, err := j.classifier.Accuracy(mean, j.labels)
	if err != nil {
		return nil, err
	}
	ofDraws, err := j.classifier.Accuracy(draws, labels)
	if err != nil {
		return nil, err
	}
	hidden := h.Hidden()
	return report.Numbers{
		"psnr": PSNR(j.Truth, mean, hidden), "psnr_draw": PSNR(truths, draws, hidden),
		"ssim": SSIM(j.Truth, mean, hidden), "ssim_draw": SSIM(truths, draws, hidden),
		"accuracy": ofMean, "accuracy_draw": ofDraws,
	}, nil
}

// Measure measures the completions of a method and reports the numbers.
func (j *Judge) Measure(r *run.Run, h Hole, method string, mean, draws blas32.General, f Fills) error {
	numbers, err := j.numbers(h, mean, draws)
	if err != nil {
		return err
	}
	numbers["diversity"] = Diversity(draws, draws.Rows/j.Truth.Rows, h.Hidden())
	numbers["acceptance"], numbers["unconverged_share"] = f.acceptance, f.missed
	if numbers["r_hat"], err = f.rHat(j.Truth.Rows); err != nil {
		return err
	}
	for metric, v := range numbers {
		r.Report.Metrics[h.Name+"."+method+"."+metric] = v
	}
	return nil
}

// Headline puts a hole's main numbers on the page.
func (j *Judge) Headline(r *run.Run, h Hole) {
	for _, name := range j.methods {
		key, label := h.Name+"."+name+".", map[string]string{"posterior": "A, posterior", "clamped": "B, clamped"}[name]
		r.Page.Headline = append(r.Page.Headline,
			report.Headline{Metric: key + "psnr", Label: "Hole " + h.Name + ", " + label + ": PSNR of the mean completion, dB", Goal: report.Higher},
			report.Headline{Metric: key + "psnr_draw", Label: "— PSNR of single draws, dB (baseline: the mean)", Goal: report.Higher},
			report.Headline{Metric: key + "ssim", Label: "— SSIM of the mean completion", Goal: report.Higher},
			report.Headline{Metric: key + "accuracy", Label: "— accuracy of the classifier on the mean completion", Goal: report.Higher},
			report.Headline{Metric: key + "accuracy_draw", Label: "— accuracy on single draws (baseline: on the mean)", Goal: report.Higher},
			report.Headline{Metric: key + "diversity", Label: "— standard deviation over draws", Goal: report.Higher})
	}
}

// KeepObserved puts the observed pixels of the truth back into completions. The rows of
// truth belong to the completions in their order.
func KeepObserved(x, truth blas32.General, h Hole) blas32.General {
	each := x.Rows / truth.Rows
	for i := range x.Rows {
		for k, seen := range h.Observed {
			if seen {
				batch.Row(x, i)[k] = batch.Row(truth, i/each)[k]
			}
		}
	}
	return x
}
