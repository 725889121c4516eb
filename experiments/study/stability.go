package study

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cmf/data"
	"cmf/data/file"
	"cmf/experiments"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/sweep"
	"cmf/solvers/random"
)

// StabilityConfig configures one run at an extreme of what is allowed.
type StabilityConfig struct {
	config.Command
	config.Random
	Case  Case    `default:"toy2d/1" desc:"experiment and scale of its law, such as toy2d/1000; experiments are samples, toy2d, gaussian, energy and mnist (always at scale 1)"`
	LR    float64 `default:"0.01" range:">0..10" desc:"learning rate of Adam"`
	Steps int     `default:"100" range:"1..100000" desc:"outer iterations"`
}

// Case is an experiment with a scale of its law, written toy2d/1000.
type Case struct {
	Name  string
	Scale float64
}

// Decode reads a case, for envconfig.
func (c *Case) Decode(text string) (err error) {
	name, scale, ok := strings.Cut(text, "/")
	c.Name = name
	if _, known := extremes[name]; !known || !ok {
		return fmt.Errorf("give an experiment and a scale such as toy2d/1000; experiments are %s", strings.Join(slices.Sorted(maps.Keys(extremes)), ", "))
	}
	if c.Scale, err = strconv.ParseFloat(scale, 64); err != nil || !(c.Scale >= 1e-6 && c.Scale <= 1e6) {
		return fmt.Errorf("%q is not a scale; allowed are 1e-6 to 1e6", scale)
	}
	return nil
}

// String writes a case as Decode reads it.
func (c Case) String() string { return fmt.Sprintf("%s/%g", c.Name, c.Scale) }

// extreme is an experiment on a law whose scale can be set. It has the settings of the
// experiment and the metric by which it is judged, relative to the floor if there is one.
type extreme struct {
	of     run.Experiment
	metric string
	set    func(folder string, scale float64) (config.Environment, error)
}

var extremes = map[string]extreme{
	"samples": {experiments.Samples, "w2", func(folder string, scale float64) (config.Environment, error) {
		path, err := scaledMoons(folder, scale)
		return config.Environment{"CMF_DATA_FILE": path, "CMF_COUNT": "256", "CMF_MIXING": "20"}, err
	}},
	"toy2d": {experiments.Toy2D, "w2", func(folder string, scale float64) (config.Environment, error) {
		path, err := scaledMoons(folder, scale)
		return config.Environment{"CMF_DATASET": path, "CMF_SAMPLES": "128", "CMF_MIXING": "20"}, err
	}},
	"gaussian": {experiments.Gaussian, "cmfgen.uvp_percent", func(_ string, scale float64) (config.Environment, error) {
		v := scale * scale
		return config.Environment{"CMF_COV": fmt.Sprintf("%g,%g;%g,%g", 2*v, 1.2*v, 1.2*v, v), "CMF_POINTS": "2000", "CMF_CHAIN": "40"}, nil
	}},
	"energy": {experiments.Energy, "w2", func(_ string, scale float64) (config.Environment, error) {
		mixture := fmt.Sprintf("1,%g,0,%g;1,%g,0,%g", -2*scale, scale/2, 2*scale, scale/2)
		return config.Environment{"CMF_MIXTURE": mixture, "CMF_SAMPLES": "128", "CMF_CHAIN": "40"}, nil
	}},
	"mnist": {experiments.MNIST, "energy_distance", func(string, float64) (config.Environment, error) {
		return config.Environment{"CMF_SPACE": "pixels", "CMF_HIDDEN": "64", "CMF_TRAIN": "1000", "CMF_SAMPLES": "128", "CMF_MIXING": "20", "CMF_LIKELIHOOD": "0"}, nil
	}},
}

// scaledMoons is a file of two moons at the scale.
func scaledMoons(folder string, scale float64) (path string, err error) {
	moons, err := data.Toy("moons")
	if err != nil {
		return "", err
	}
	x := moons.Sample(random.New(1, "points", 0), 2000)
	for i := range x.Data {
		x.Data[i] *= float32(scale)
	}
	path = filepath.Join(folder, "moons.npy")
	return path, data.WriteNPY(path, x)
}

// remedy matches the variables that a message may tell the user to change.
var remedy = regexp.MustCompile(`CMF_(LR|SAMPLER|CONJUGATE|COV|MIXTURE|DATASET|DATA_FILE)`)

// Stability is one run at an extreme of what is allowed. It ends either with a result,
// whose "score" is its metric over the floor, or with a message that names a variable to
// change, which the report notes. Anything else is an error.
var Stability = run.Definition[StabilityConfig]{
	Name: "stability",
	Presets: map[string]func(*StabilityConfig){
		"default": func(*StabilityConfig) {},
		"quick":   func(c *StabilityConfig) { c.Steps = 15 },
	},
	Do: func(ctx context.Context, r *run.Run, c *StabilityConfig) error {
		e := extremes[c.Case.Name]
		env, err := e.set(r.Folder, c.Case.Scale)
		if err != nil {
			return err
		}
		maps.Copy(env, config.Environment{
			"CMF_OUT": r.Path("run"), "CMF_PRESET": "quick", "CMF_LR": fmt.Sprint(c.LR), "CMF_STEPS": strconv.Itoa(c.Steps), "CMF_BATCH": "64",
			"CMF_PARTICLES": "128", "CMF_THREADS": strconv.Itoa(c.Threads), "CMF_VM": c.VM, "CMF_BLAS": c.BLAS, "CMF_SEED": strconv.FormatUint(c.Seed, 10),
		})
		if _, ok := env["CMF_HIDDEN"]; !ok {
			env["CMF_HIDDEN"] = "16"
		}
		of, err := e.of.Execute(ctx, env, io.Discard)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !remedy.MatchString(err.Error()):
			return fmt.Errorf("the message names no variable to change: %w", err)
		case err != nil:
			r.Note("ended in a message: %v", err)
			return nil
		}
		for name, v := range of.Report.Metrics {
			// The shape of the weights' tail is NaN where few weights are above 0.
			if (math.IsNaN(v) || math.IsInf(v, 0)) && name != "weights_tail" {
				return fmt.Errorf("the metric %s is %g", name, v)
			}
		}
		r.Report.Steps, r.Report.Data = of.Report.Steps, of.Report.Data
		score := of.Report.Metrics[e.metric]
		if floor, ok := of.Report.Floor[e.metric]; ok {
			score /= floor
		}
		r.Report.Metrics["score"] = score
		r.Report.Metrics["restored"] = of.Report.Metrics["train_restored_weights"]
		return nil
	},
}

// StabilitySweep runs Stability over learning rates and scales of the data.
var StabilitySweep = sweep.Ablation{
	Name: "stability", Of: Stability,
	Variants: rates(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1),
	Sets:     slices.Concat(scales("samples"), scales("toy2d"), scales("gaussian"), scales("energy"), []string{"mnist/1"}), Over: "CASE",
	Seeds: 1,
	Metrics: []report.Headline{
		{Metric: "score", Label: "Metric over floor; for Gaussians the L2-UVP in percent"},
		{Metric: "restored", Label: "Returns to the last good weights"},
	},
	Draw: drawStability,
	Presets: map[string]func(*sweep.Ablation){
		"quick": func(a *sweep.Ablation) { a.Variants, a.Sets = rates(1e-2, 1), []string{"toy2d/1", "toy2d/1000"} },
	},
}

func rates(values ...float64) (variants []sweep.Variant) {
	for _, v := range values {
		variants = append(variants, sweep.Variant{Name: "rate " + number(v), Settings: sweep.Settings{"LR": number(v)}})
	}
	return variants
}

func scales(name string) (sets []string) {
	for _, v := range []float64{1e-3, 1e-2, 1e-1, 1, 1e1, 1e2, 1e3} {
		sets = append(sets, fmt.Sprintf("%s/%g", name, v))
	}
	return sets
}

// drawStability writes stability.md, which says how every cell ended, and draws the score
// against the learning rate, with a line for each case.
func drawStability(folder string, cells []sweep.Cell) ([]report.Figure, error) {
	ends, lines := map[string]string{}, map[string]*figure.Series{}
	var variants, sets []string
	for _, c := range cells {
		if !slices.Contains(variants, c.Variant) {
			variants = append(variants, c.Variant)
		}
		if !slices.Contains(sets, c.Set) {
			sets = append(sets, c.Set)
		}
		end := c.Failure
		if c.Report != nil {
			end = strings.TrimPrefix(strings.Join(c.Report.Notes, " "), "ended in a message: ")
			if score, ok := c.Report.Metrics["score"]; ok {
				end = fmt.Sprintf("%.3g", score)
				rate, err := strconv.ParseFloat(c.Config["CMF_LR"], 64)
				if err != nil {
					return nil, err
				}
				if lines[c.Set] == nil {
					lines[c.Set] = &figure.Series{Name: c.Set}
				}
				lines[c.Set].X, lines[c.Set].Y = append(lines[c.Set].X, rate), append(lines[c.Set].Y, score)
			}
			if n := c.Report.Metrics["restored"]; n > 0 {
				end += fmt.Sprintf(" (restored %g×)", n)
			}
		}
		ends[c.Set+c.Variant] = end
	}
	var rows [][]string
	var drawn []figure.Series
	for _, set := range sets {
		row := []string{set}
		for _, v := range variants {
			row = append(row, ends[set+v])
		}
		rows = append(rows, row)
		if s := lines[set]; s != nil && len(s.X) > 1 && strings.HasSuffix(set, "/1") {
			drawn = append(drawn, *s)
		}
	}
	err := file.Write(filepath.Join(folder, "stability.md"), func(w io.Writer) error {
		return report.Markdown(w, append([]string{"case"}, variants...), rows)
	})
	if err != nil || len(drawn) == 0 {
		return nil, err
	}
	axes := figure.Axes{Title: "Short runs at all learning rates", X: "learning rate", Y: "metric over floor", LogX: true, LogY: true}
	if err := figure.DrawCurves(filepath.Join(folder, "stability.png"), axes, drawn...); err != nil {
		return nil, err
	}
	return []report.Figure{{File: "stability.png", Caption: "The metric after a short run against the learning rate, at scale 1. The file stability.md says how every cell ended."}}, nil
}
