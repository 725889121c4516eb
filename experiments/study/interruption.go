package study

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"cmf/experiments/config"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/random"
)

// InterruptionConfig configures which runs are ended how.
type InterruptionConfig struct {
	config.Command
	config.Random
	Experiments victimNames `default:"gaussian,toy2d,energy,samples,mnist" desc:"experiments whose runs are ended: gaussian, toy2d, energy, samples, mnist"`
	Strikes     strikePlans `default:"INT; INT; INT; INT INT; KILL; KILL; KILL; KILL@write; KILL@write KILL; TERM; INT+INT; KILL INT KILL@write" desc:"runs of each experiment, parted by semicolons, and the strikes that end each, parted by spaces: a signal INT, TERM or KILL at a random moment, INT+INT for one soon after the other, KILL@load, KILL@write or KILL@judge before training, while a checkpoint is written or after training; /torn behind it leaves half a row of metrics at the end, /previous leaves only the previous checkpoint"`
	Ranks       int         `default:"1" range:"1..64" desc:"ranks of each run, of which a strike hits one at random"`
	Launcher    string      `default:"mpirun" desc:"command that starts several ranks, such as mpirun --oversubscribe"`
}

// Interruption ends small runs by signals, at random moments and while they write
// checkpoints, and lets them go on by CMF_RESUME. They must end at the bits of a run that
// was left alone: table.md says of every strike where it hit and whether they did, and
// the report notes every difference. The runs that were left alone stay in the folder
// whole, those that differ in struck. With several ranks, a strike ends one of them, and that all.
//
// It builds the commands that it runs, and therefore needs the Go tool, a folder inside
// this module, and a system with signals.
var Interruption = run.Definition[InterruptionConfig]{
	Name: "interruption",
	Presets: map[string]func(*InterruptionConfig){
		"default": func(c *InterruptionConfig) { c.Threads = 1 },
		"quick": func(c *InterruptionConfig) {
			c.Experiments = victimNames{"gaussian"}
			c.Strikes = strikePlans{{interrupt}, {kill}, {killWrite, terminate}, {impatient}}
		},
	},
	Do: doInterruption,
}

func doInterruption(ctx context.Context, r *run.Run, c *InterruptionConfig) (err error) {
	if slices.Contains([]string{"windows", "plan9", "js", "wasip1"}, runtime.GOOS) {
		return fmt.Errorf("runs are ended by signals, which %s does not have: use a unix system", runtime.GOOS)
	}
	if c.Ranks > 1 {
		name, _, _ := strings.Cut(strings.TrimSpace(c.Launcher), " ")
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("CMF_LAUNCHER=%s: it is to start the ranks of CMF_RANKS=%d: %w", c.Launcher, c.Ranks, err)
		}
	}
	scratch, err := os.MkdirTemp("", "interruption")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	for _, folder := range []string{"whole", "struck"} {
		if err := os.RemoveAll(r.Path(folder)); err != nil {
			return err
		}
	}
	var all verdicts
	r.Report.Data = c.Experiments.String()
	r.Page.Headline = []report.Headline{
		{Metric: "kills", Label: "Runs ended by a signal", Goal: report.Higher},
		{Metric: "resumed", Label: "of which it left a checkpoint; the others began again", Goal: report.Higher},
		{Metric: "identical", Label: "of which the run that went on left the same bits", Goal: report.Higher},
		{Metric: "share", Label: "Share that left the same bits", Goal: report.Nearer, Target: 1},
	}
	for _, name := range c.Experiments {
		v, err := newVictim(ctx, name, scratch, r.Path(filepath.Join("whole", name)), c)
		if err != nil {
			return err
		}
		r.Progress.Log.Info("left alone", "experiment", name, "steps", v.steps, "rows of metrics", v.rows)
		rng := random.New(c.Seed, "strikes on "+name, 0)
		for k, plan := range c.Strikes {
			out := r.Path(filepath.Join("struck", fmt.Sprintf("%s-%d", name, k+1)))
			hits, found, err := v.endAndResume(ctx, rng, out, plan)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				if err := errors.Join(os.RemoveAll(out), os.RemoveAll(out+resumed)); err != nil {
					return err
				}
			}
			for _, text := range found {
				r.Note("%s, run %d of %d, after %s: %s", name, k+1, len(c.Strikes), written(plan), text)
			}
			all.add(v, hits, len(found) == 0)
			if err := all.write(r); err != nil {
				return err
			}
			r.Progress.Log.Info("struck", "experiment", name, "run", k+1, "of", len(c.Strikes), "by", written(plan), "identical", len(found) == 0)
		}
	}
	return nil
}

// verdicts are the rows of table.md and their sums.
type verdicts struct {
	rows                            [][]string
	kills, resumed, identical, late int
}

// add takes in the strikes on one run, which left the same bits as the one left alone
// or not.
func (a *verdicts) add(v *victim, hits []hit, same bool) {
	verdict := map[bool]string{true: "yes", false: "no"}[same]
	for _, h := range hits {
		signal, step := h.strike.String(), "none"
		if h.step > 0 {
			step = fmt.Sprint(h.step)
		}
		if h.late {
			a.late++
			signal += ", too late"
		} else {
			a.kills++
			if h.step > 0 {
				a.resumed++
			}
			if same {
				a.identical++
			}
		}
		a.rows = append(a.rows, []string{v.name, signal, fmt.Sprintf("%d of %d", h.rows, v.rows), step, fmt.Sprint(v.steps - h.step), verdict})
	}
}

// write leaves the table in the run's folder, and the sums in its report.
func (a *verdicts) write(r *run.Run) error {
	head := []string{"experiment", "signal", "metrics written", "checkpoint at step", "steps resumed", "identical"}
	if err := report.WriteMarkdown(r.Path("table.md"), head, a.rows); err != nil {
		return err
	}
	for name, n := range map[string]int{"kills": a.kills, "resumed": a.resumed, "identical": a.identical, "late": a.late} {
		r.Report.Metrics[name] = float64(n)
	}
	if a.kills > 0 {
		r.Report.Metrics["share"] = float64(a.identical) / float64(a.kills)
	}
	r.Page.Summary = fmt.Sprintf("%d of %d runs that a signal ended went on to the bits of one left alone; %d strikes came too late", a.identical, a.kills, a.late)
	return nil
}

// victimNames are experiments, written gaussian,toy2d.
type victimNames []string

// Decode reads names, for envconfig.
func (n *victimNames) Decode(list string) error {
	*n = nil
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if _, known := victims[name]; !known {
			return fmt.Errorf("there is no %q to interrupt; allowed are gaussian, toy2d, energy, samples, mnist", name)
		}
		if slices.Contains(*n, name) {
			return fmt.Errorf("%s is named twice", name)
		}
		*n = append(*n, name)
	}
	return nil
}

// String writes names as Decode reads them.
func (n victimNames) String() string { return strings.Join(n, ",") }
