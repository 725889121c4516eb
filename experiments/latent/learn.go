package latent

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"cmf/data"
	"cmf/data/file"
	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/experiments/train"
	"cmf/graph"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Set is a set of pictures of one size, with values in [0, 1].
type Set struct {
	Name                    string
	Train                   blas32.General // (n, Height·Width·Channels)
	Height, Width, Channels int
	Loss                    autoencoder.Loss
}

// folder of the logs of an autoencoder, in that of a run.
const folder = "autoencoder"

const (
	pictures = 128 // in a minibatch
	scores   = 20  // times that the held-out loss is measured
	patience = 6   // scores without a better one, after which training ends
)

// Learn trains the autoencoder of a set. It leaves a checkpoint from which CMF_RESUME
// goes on to the same bits; if CMF_RESUME is the checkpoint of a later fit, the autoencoder
// is the one in there. If training is interrupted, Learn says so in the report and
// returns nil.
func (c *Config) Learn(ctx context.Context, r *run.Run, core *config.Core, set Set) (*autoencoder.Latent, error) {
	saved, err := resumed(core)
	if err != nil {
		return nil, err
	}
	latents := c.Latents
	if saved != nil {
		n, err := autoencoder.Of(saved)
		if err != nil {
			return nil, fmt.Errorf("CMF_RESUME=%s: %w%s", core.Resume, err, graph.HintPrevious(core.Resume))
		}
		if n == nil {
			return nil, fmt.Errorf("CMF_RESUME=%s: it was learned in pixels; with it CMF_SPACE must be pixels", core.Resume)
		}
		latents = cmp.Or(latents, n.Latents)
		if n.Latents != latents || n.Height != set.Height || n.Width != set.Width || n.Channels != set.Channels {
			return nil, fmt.Errorf("CMF_RESUME=%s: it has %d latents of pictures of %d×%d×%d; here there are %d of %d×%d×%d",
				core.Resume, n.Latents, n.Height, n.Width, n.Channels, latents, set.Height, set.Width, set.Channels)
		}
		if !autoencoder.InTraining(saved) {
			return autoencoder.NewLatent(n), c.resolve(r, latents)
		}
	}
	held, rest := split(set.Train)
	g := ranks.New(r.World)
	if latents == 0 {
		if latents, err = chooseLatents(ctx, r, g, set, held, rest, core.Seed); err != nil {
			return nil, err
		}
	}
	if err := c.resolve(r, latents); err != nil {
		return nil, err
	}
	r.Owns(filepath.Join(folder, "metrics.jsonl"))
	if err := os.MkdirAll(r.Path(folder), 0o777); err != nil {
		return nil, err
	}
	m, err := newTraining(g, set, latents, c.Passes, rest, core.Seed)
	if err != nil {
		return nil, err
	}
	if err := g.Begin(r, m.Weights(), m.data); err != nil {
		return nil, err
	}
	if saved != nil {
		remark, err := m.restore(saved, core.Resume)
		if err != nil {
			return nil, fmt.Errorf("CMF_RESUME=%s: %w%s", core.Resume, err, graph.HintPrevious(core.Resume))
		}
		if remark != "" {
			r.Note("%s", remark)
		}
		if saved.Unchecked {
			r.Note("%s is of an earlier version, without a sum of its content: damage of the file would go unnoticed.", core.Resume)
		}
		if err := report.CarryMetricsLog(filepath.Join(filepath.Dir(core.Resume), folder), r.Path(folder)); err != nil {
			return nil, err
		}
		r.Progress.Log.Info("resumed the autoencoder", "step", m.Steps(), "from", core.Resume)
		core.Resume = "" // there is no checkpoint of the fit yet
	}
	finished, err := m.train(ctx, r, held)
	if err != nil || !finished {
		return nil, err
	}
	return autoencoder.NewLatent(m.Network), m.Finish(set.Train)
}

// resolve records the number of latents if the user has not set it.
func (c *Config) resolve(r *run.Run, latents int) error {
	if c.Latents > 0 {
		return nil
	}
	return r.Resolve("CMF_LATENTS", latents)
}

// resumed is the checkpoint of CMF_RESUME, nil if there is none.
func resumed(core *config.Core) (*graph.Checkpoint, error) {
	if core.Resume == "" {
		return nil, nil
	}
	c, err := graph.LoadCheckpoint(core.Resume)
	if err != nil {
		return nil, fmt.Errorf("CMF_RESUME=%s: %w", core.Resume, err)
	}
	return c, nil
}

// split keeps a twentieth of the pictures, at most 2000, for the held-out loss.
func split(x blas32.General) (held, rest blas32.General) {
	n := min(max(x.Rows/20, 2), 2000)
	return batch.Rows(x, x.Rows-n, x.Rows), batch.Rows(x, 0, x.Rows-n)
}

// Training is an autoencoder in training, by all ranks together.
type Training struct {
	*autoencoder.Trainer
	ranks  *ranks.Group // nil for one process
	seed   uint64
	epochs *data.Epochs
	noise  *random.Stream
	steps  int
	loss   float64 // of the last minibatch
	data   string  // the sum of the pictures
}

func newTraining(g *ranks.Group, set Set, latents, passes int, rest blas32.General, seed uint64) (*Training, error) {
	a := autoencoder.For(set.Height, set.Width, set.Channels, latents, set.Loss)
	n, err := autoencoder.New(a, random.New(seed, "autoencoder", 0))
	if err != nil {
		return nil, err
	}
	m := &Training{ranks: g, seed: seed, noise: random.New(seed, "autoencoder: noise", g.Rank()), data: sumOf(rest)}
	m.steps = max(200, passes*rest.Rows/(g.OfBatch(pictures)*g.Solvers().Size()))
	own, err := g.Own(rest)
	if err != nil {
		return nil, err
	}
	if m.epochs, err = data.NewEpochs(own, random.New(seed, "autoencoder: minibatches", g.Rank())); err != nil {
		return nil, err
	}
	return m, m.start(n, m.steps)
}

// start begins training for a number of steps.
func (m *Training) start(n *autoencoder.Network, steps int) (err error) {
	m.Trainer, err = autoencoder.NewTrainer(n, autoencoder.Options{Batch: m.ranks.OfBatch(pictures), Steps: steps, Ranks: m.ranks.Solvers()}, m.epochs, m.noise)
	return err
}

// Steps is the number of steps made so far.
func (m *Training) Steps() int { return m.State.Step }

// Advance makes a step.
func (m *Training) Advance() (err error) {
	m.ranks.AskOthers()
	m.loss, err = m.Step()
	return err
}

// train runs the loop, and says in the report if it was interrupted.
func (m *Training) train(ctx context.Context, r *run.Run, held blas32.General) (finished bool, err error) {
	if err := file.RemoveTemporary(r.Path(folder)); err != nil {
		return false, err
	}
	log, err := report.OpenMetricsLog(r.Path(folder), m.Steps())
	if err != nil {
		return false, err
	}
	defer log.Close()
	r.Page.Curves = append(r.Page.Curves, report.Curves{Folder: folder, Lead: "held_out_loss", Caption: "The autoencoder's loss on held-out pictures, in nats for each."})
	start := time.Now()
	r.Owns("checkpoint.previous.safetensors")
	saver := &train.Saver[*Training]{Run: r, Log: log, Path: r.Path("checkpoint.safetensors"), Write: m.store}
	saver.Due = m.ranks.Decide(ranks.ToSave, saver.IsDue)
	training, stop := m.ranks.Context(ctx)
	defer stop()
	loop := train.NewLoop(m, m.steps)
	hooks := append([]train.Hook[*Training]{ranks.Agreeing[*Training](m.ranks, m.Weights(), stop), showing(r), m.scoring(r, held, log)}, train.HooksOf[*Training](ctx)...)
	if err := loop.Run(training, append(hooks, saver.Hook())...); err != nil {
		return false, err
	}
	if stop := loop.Stopped(); stop.Reason == report.Interrupted {
		stop.Text = train.InterruptedAt(r, stop.Step, stop.Of)
		r.Report.Stop, r.Report.Steps = stop, stop.Step
		return false, nil
	}
	r.Report.Metrics["autoencoder_seconds"] = time.Since(start).Seconds()
	return true, m.draw(r)
}

// showing shows the progress of training.
func showing(r *run.Run) train.Hook[*Training] {
	status := func(m *Training) run.Status {
		return run.Status{Loss: m.loss, Residual: math.NaN(), Acceptance: math.NaN()}
	}
	return train.Hook[*Training]{
		Start: func(l *train.Loop[*Training]) error {
			r.Progress.Log.Info("autoencoder", "latents", l.Model.Network.Latents, "weights", l.Model.Network.Params().Count(), "steps", l.Of)
			r.Track("training the autoencoder", run.ProgressOptions{Total: l.Of, First: l.Step()})
			return nil
		},
		Step: func(l *train.Loop[*Training]) error {
			r.Progress.Step(l.Step(), status(l.Model))
			return nil
		},
		End: func(l *train.Loop[*Training]) error {
			r.Progress.Finish(l.Step(), status(l.Model))
			return nil
		},
	}
}

// scoring logs the loss, measures it on held-out pictures, and ends training when that no
// longer falls.
func (m *Training) scoring(r *run.Run, held blas32.General, log *report.MetricsLog) train.Hook[*Training] {
	every := max(1, m.steps/scores)
	score := func(l *train.Loop[*Training]) error {
		loss, err := m.Score(held)
		if err != nil {
			return err
		}
		numbers := report.Numbers{"held_out_loss": loss}
		if l.Step() > 0 {
			numbers["loss"] = m.loss
		}
		return log.Append(l.Step(), numbers)
	}
	return train.Hook[*Training]{
		Start: func(l *train.Loop[*Training]) error {
			if m.State.Best.Weights != nil {
				return nil // resumed
			}
			return score(l)
		},
		Step: func(l *train.Loop[*Training]) error {
			if l.Step()%every != 0 && l.Step() != l.Of {
				return nil
			}
			if err := score(l); err != nil {
				return err
			}
			if l.Step()-m.State.Best.Step >= patience*every {
				l.Halt("the autoencoder's loss on held-out pictures no longer falls")
			}
			return nil
		},
		End: func(l *train.Loop[*Training]) error {
			if at := m.State.Best.Step; l.Stopped().Reason != report.Interrupted && at < l.Step() {
				r.Note("The autoencoder has the weights of step %d of %d, whose loss on held-out pictures was least.", at, l.Of)
			}
			return nil
		},
	}
}

// Names of streams in a checkpoint.
const (
	epochsKey = "autoencoder.epochs"
	noiseKey  = "autoencoder.noise"
	dataKey   = "autoencoder.data.sum"
)

// store writes the checkpoint of training.
func (m *Training) store(path string) error {
	c := graph.NewCheckpoint()
	if err := m.Put(c); err != nil {
		return err
	}
	noise, err := m.noise.MarshalBinary()
	if err != nil {
		return err
	}
	c.Texts[dataKey] = m.data
	c.Texts[epochsKey], c.Texts[noiseKey] = hex.EncodeToString(m.epochs.State()), hex.EncodeToString(noise)
	if err := m.ranks.Collect(c); err != nil || m.ranks.Rank() > 0 {
		return err
	}
	return c.Save(path)
}

// restore reads what store wrote. remark says what differs.
func (m *Training) restore(c *graph.Checkpoint, path string) (remark string, err error) {
	if err := m.Restore(c); err != nil {
		return "", err
	}
	if sum := c.Texts[dataKey]; sum != "" && sum != m.data {
		return "", errors.New("the pictures to learn from are not those of the checkpoint: the variables of the data, CMF_SEED and the content of files must be as they were when it was written")
	}
	if remark, err = m.ranks.Deal(c, path, ranks.Streams{Seed: m.seed, Epochs: m.epochs}); err != nil {
		return "", err
	}
	for _, v := range []struct {
		name string
		to   func([]byte) error
	}{{epochsKey, m.epochs.Restore}, {noiseKey, m.noise.UnmarshalBinary}} {
		state, err := hex.DecodeString(c.Texts[v.name])
		if err == nil {
			err = v.to(state)
		}
		if err != nil {
			return "", fmt.Errorf("its %q: %w", v.name, err)
		}
	}
	return remark, nil
}

// sumOf is the SHA-256 of pictures.
func sumOf(x blas32.General) string {
	if x.Stride != x.Cols {
		dense := batch.New(x.Rows, x.Cols)
		batch.Copy(dense, x)
		x = dense
	}
	c := graph.NewCheckpoint()
	c.Put("pictures", x.Data[:x.Rows*x.Cols], x.Rows, x.Cols)
	return c.Sum()
}

// draw draws the losses against the step.
func (m *Training) draw(r *run.Run) error {
	curves, err := report.ReadMetricsLog(r.Path(folder))
	if err != nil {
		return err
	}
	held := curves["held_out_loss"]
	if len(held.X) < 2 {
		return nil
	}
	held.Name = "held-out pictures"
	name := filepath.Join(folder, "curves.png")
	return figure.DrawCurves(r.Path(name), figure.Axes{Title: "The autoencoder", X: "step", Y: "loss, nats", LogY: true}, held)
}
