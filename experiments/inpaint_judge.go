package experiments

import (
	"context"
	"math"

	"cmf/experiments/figure"
	"cmf/experiments/metric"
	"cmf/experiments/picture"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/exact"

	"gonum.org/v1/gonum/blas/blas32"
)

// inpaintJudge measures completions of held-out digits.
type inpaintJudge struct {
	truth      blas32.General // (n, 784), pixels
	labels     []uint8
	classifier *picture.Classifier
	inPixels   *exact.Gaussian // fitted to training pixels
	train      blas32.General
}

func newInpaintJudge(p *prior, n int) (*inpaintJudge, error) {
	set := p.digits.Set
	j := &inpaintJudge{truth: picture.Spread(set.Test, n), train: set.Train}
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

// inpaintPicture is the figure of one hole, growing to the right.
type inpaintPicture struct{ grids []figure.Tiles }

// add puts the first digits' completions, columns of each, into the figure.
func (p *inpaintPicture) add(title string, x blas32.General, columns int) {
	const shown = 12
	p.grids = append(p.grids, figure.Tiles{Title: title, Pixels: batch.Rows(x, 0, min(shown*columns, x.Rows)), Height: picture.Side, Width: picture.Side, Columns: columns, Scale: 2})
}

// references fills a hole without the model: by the mean of training digits, by
// the one nearest in what is observed, and by Gaussian conditional means.
func (j *inpaintJudge) references(ctx context.Context, r *run.Run, p *prior, h picture.Hole, observed blas32.General) (*inpaintPicture, error) {
	n := j.truth.Rows
	average, seen := batch.New(n, picture.Pixels), keepObserved(batch.New(n, picture.Pixels), j.truth, h)
	mean := batch.Means(j.train)
	for i := range average.Data {
		average.Data[i] = float32(mean[i%picture.Pixels])
	}
	nearest, err := j.nearest(ctx, h)
	if err != nil {
		return nil, err
	}
	inPixels, err := conditionalMean(j.inPixels, j.truth, h)
	if err != nil {
		return nil, err
	}
	for i, v := range inPixels.Data {
		inPixels.Data[i] = min(1, max(0, v))
	}
	inUnits, err := conditionalMean(p.digits.Baseline, observed, h)
	if err == nil {
		inUnits, err = p.digits.Pixels(inUnits)
	}
	if err != nil {
		return nil, err
	}
	picture := new(inpaintPicture)
	picture.add("digit", j.truth, 1)
	picture.add("seen", greyHole(seen, h), 1)
	floor, err := j.classifier.Accuracy(j.truth, j.labels)
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
		x := keepObserved(m.x, j.truth, h)
		numbers, err := j.numbers(h, x, x)
		if err != nil {
			return nil, err
		}
		for _, metric := range []string{"psnr", "ssim", "accuracy"} {
			r.Report.Metrics[h.Name+"."+m.name+"."+metric] = numbers[metric]
		}
		if m.gaussian && numbers["psnr"] > best {
			best = numbers["psnr"]
			for _, method := range []string{"posterior", "clamped"} {
				for metric, v := range numbers {
					r.Report.Baseline[h.Name+"."+method+"."+metric] = v
				}
			}
		}
		if m.title != "" {
			picture.add(m.title, x, 1)
		}
	}
	for _, method := range []string{"posterior", "clamped"} {
		r.Report.Floor[h.Name+"."+method+".accuracy"], r.Report.Floor[h.Name+"."+method+".accuracy_draw"] = floor, floor
	}
	return picture, nil
}

// nearest completes each digit by the training digit nearest to it in what is
// observed.
func (j *inpaintJudge) nearest(ctx context.Context, h picture.Hole) (blas32.General, error) {
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
	_, index, err := metric.NearestDistance(ctx, masked(j.truth), masked(j.train))
	if err != nil {
		return blas32.General{}, err
	}
	out := batch.New(j.truth.Rows, picture.Pixels)
	for i, k := range index {
		copy(batch.Row(out, i), batch.Row(j.train, k))
	}
	return out, nil
}

// conditionalMean is a copy of x with the hole filled by its mean under a law
// given the rest.
func conditionalMean(law *exact.Gaussian, x blas32.General, h picture.Hole) (blas32.General, error) {
	given, err := law.Given(h.Observed)
	if err != nil {
		return blas32.General{}, err
	}
	out := batch.New(x.Rows, x.Cols)
	copy(out.Data, x.Data)
	return out, given.Mean(out)
}

// greyHole paints the hole grey.
func greyHole(x blas32.General, h picture.Hole) blas32.General {
	for i := range x.Rows {
		for _, k := range h.Hidden() {
			batch.Row(x, i)[k] = .5
		}
	}
	return x
}

// numbers measures completions: the mean of each digit, (n, 784), and its draws,
// (n·m, 784); where there is one each, they may be the same.
func (j *inpaintJudge) numbers(h picture.Hole, mean, draws blas32.General) (report.Numbers, error) {
	n := j.truth.Rows
	each := draws.Rows / n
	truths, labels := batch.New(draws.Rows, picture.Pixels), make([]uint8, draws.Rows)
	for i := range draws.Rows {
		copy(batch.Row(truths, i), batch.Row(j.truth, i/each))
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
		"psnr": picture.HolePSNR(j.truth, mean, hidden), "psnr_draw": picture.HolePSNR(truths, draws, hidden),
		"ssim": picture.HoleSSIM(j.truth, mean, hidden), "ssim_draw": picture.HoleSSIM(truths, draws, hidden),
		"accuracy": ofMean, "accuracy_draw": ofDraws,
	}, nil
}

// measure reports a method's completions.
func (j *inpaintJudge) measure(r *run.Run, h picture.Hole, method string, mean, draws blas32.General, f fills) error {
	numbers, err := j.numbers(h, mean, draws)
	if err != nil {
		return err
	}
	numbers["diversity"] = picture.Diversity(draws, draws.Rows/j.truth.Rows, h.Hidden())
	numbers["acceptance"], numbers["unconverged_share"] = f.acceptance, f.missed
	if numbers["r_hat"], err = f.rHat(j.truth.Rows); err != nil {
		return err
	}
	for metric, v := range numbers {
		r.Report.Metrics[h.Name+"."+method+"."+metric] = v
	}
	return nil
}

// headline puts a hole's main numbers on the page.
func (j *inpaintJudge) headline(r *run.Run, h picture.Hole) {
	for _, m := range []struct{ name, label string }{{"posterior", "A, posterior"}, {"clamped", "B, clamped"}} {
		key := h.Name + "." + m.name + "."
		r.Page.Headline = append(r.Page.Headline,
			report.Headline{Metric: key + "psnr", Label: "Hole " + h.Name + ", " + m.label + ": PSNR of the mean completion, dB", Goal: report.Higher},
			report.Headline{Metric: key + "psnr_draw", Label: "— PSNR of single draws, dB (baseline: of the mean)", Goal: report.Higher},
			report.Headline{Metric: key + "ssim", Label: "— SSIM of the mean completion", Goal: report.Higher},
			report.Headline{Metric: key + "accuracy", Label: "— accuracy of the classifier on the mean completion", Goal: report.Higher},
			report.Headline{Metric: key + "accuracy_draw", Label: "— on single draws (baseline: on the mean)", Goal: report.Higher},
			report.Headline{Metric: key + "diversity", Label: "— standard deviation over draws", Goal: report.Higher})
	}
}
