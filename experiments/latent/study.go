package latent

import (
	"context"
	"fmt"
	"io"
	"slices"

	"cmf/data/file"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/mixture"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// Study is the law of a set of pictures, learned in a latent space.
type Study struct {
	Core   *config.Core
	Config *Config
	Bank   config.Bank
	Mixing int
	Count  int // pictures to generate

	Set  Set
	Held blas32.General // pictures that nothing learns from

	// Given, if it has rows, are the classes of pictures: the laws of pictures are then learned
	// given their class.
	Given Classes

	// Watch measures the model from time to time, from the pictures ∇w*(y) of its bank.
	Watch func(pictures blas32.General) (report.Numbers, error)

	Latent *autoencoder.Latent
	Codes  blas32.General // of the training pictures, (n, Latents)
	Law    *exact.Gaussian
	Model  *fit.Model
	Draw   *fit.Draw

	Generated       blas32.General
	Reconstructions blas32.General // of the first Count held-out pictures: the ceiling
	Gaussian        blas32.General // of the Gaussian fit of the codes
	Noise           blas32.General // Gibbs samples y, decoded
	Others          []Other
}

// Other is a law of the latent space that the model is compared with.
type Other struct {
	Name, Title string
	Pictures    blas32.General
}

// parts of the mixtures of Gaussians that the model is compared with.
var parts = []int{10, 50}

// Fit trains autoencoder and potential. It reports whether it went on to the end: if training
// was interrupted, the report says so.
func (s *Study) Fit(ctx context.Context, r *run.Run) (finished bool, err error) {
	if s.Latent, err = s.Config.Learn(ctx, r, s.Core, s.Set); err != nil || s.Latent == nil {
		return false, err
	}
	if s.Codes, err = encoded(r, s.Latent, s.Set.Train); err != nil {
		return false, err
	}
	if s.Law, err = exact.FitGaussian(s.Codes, 0); err != nil {
		return false, err
	}
	r.Note("Pictures are learned as the %d latents of an autoencoder (CMF_SPACE=pixels is the paper's setting). Densities are those of latents: pictures have none.", s.Codes.Cols)
	if s.Model, err = s.fit(ctx, r, ""); err != nil || s.Model == nil {
		return false, err
	}
	w := s.Model.Evaluator.Potential()
	if err := file.Write(r.Path("pictures.onnx"), func(f io.Writer) error { return s.Latent.Network().WriteONNX(f, w) }); err != nil {
		return false, fmt.Errorf("pictures.onnx: %w", err)
	}
	return true, nil
}

// encoded are the latents of pictures, by all ranks.
func encoded(r *run.Run, u *autoencoder.Latent, x blas32.General) (z blas32.General, err error) {
	g := ranks.New(r.World)
	err = g.Spread(x.Rows, nil, func(from, to int, _ *random.Stream) (err error) {
		z, err = u.Learning(batch.Rows(x, from, to))
		return err
	})
	if err != nil {
		return z, err
	}
	return g.Joined(x.Rows, z), nil
}

// Learn is Fit, and draws pictures of all laws.
func (s *Study) Learn(ctx context.Context, r *run.Run) (finished bool, err error) {
	if finished, err := s.Fit(ctx, r); err != nil || !finished {
		return false, err
	}
	r.Progress.Log.Info("generating", "pictures", s.Count)
	if s.Draw, err = s.draw(ctx, s.Model, "generation"); err != nil {
		return false, err
	}
	s.Draw.Report(r)
	if finished, err := s.besides(ctx, r); err != nil || !finished {
		return false, err
	}
	for _, to := range []struct {
		pictures *blas32.General
		codes    blas32.General
	}{
		{&s.Generated, s.Draw.Points},
		{&s.Gaussian, s.Law.Sample(s.Count, random.New(s.Core.Seed, "Gaussian fit", 0))},
		{&s.Noise, s.Draw.Gibbs},
	} {
		if *to.pictures, err = s.Latent.Data(to.codes, nil); err != nil {
			return false, err
		}
	}
	if s.Reconstructions, err = reconstructed(s.Latent, s.Held); err != nil {
		return false, err
	}
	r.Report.Metrics["autoencoder_error"] = meanSquare(s.Reconstructions, s.Held)
	r.Report.Metrics["autoencoder_weights"] = float64(s.Latent.Network().Params().Count())
	return true, nil
}

// fit fits the potential to the codes. The fit named baseline has the noise N(0, I). If it
// is interrupted, it returns nil.
func (s *Study) fit(ctx context.Context, r *run.Run, name string) (*fit.Model, error) {
	core := *s.Core
	if name != "" {
		core.Source = config.SourceGaussian
	}
	d := s.Codes.Cols
	classes := s.Given.Train.Cols
	icnn := layers.Architecture{Dim: d, Hidden: core.Hidden, Unit: core.Unit, Full: true, Context: classes}
	w, err := core.Network(icnn, layers.Architecture{Classes: classes > 0})
	if err != nil {
		return nil, err
	}
	problem := fit.Problem{
		Name:         name,
		Potential:    w,
		Start:        layers.Start{Law: s.Law, Share: .8, Fixed: .05, Spread: 6, Balanced: true},
		Train:        s.Codes,
		Contexts:     s.Given.Train,
		Units:        s.Latent,
		Form:         units.Form{Height: s.Set.Height, Width: s.Set.Width},
		Particles:    s.Bank.Particles,
		Langevin:     s.Bank.Langevin,
		Tolerance:    1e-3,
		Decay:        1 - 15/float64(max(core.Steps, 150)),
		Precondition: true,
	}
	if s.Watch != nil && name == "" {
		problem.WatchEvery = max(1, core.Steps/40)
		problem.Watch = func(m *fit.Model) (report.Numbers, error) {
			x, err := s.Latent.Data(m.State.Partners, nil)
			if err != nil {
				return nil, err
			}
			return s.Watch(x)
		}
	}
	m, err := fit.Fit(ctx, r, &core, problem)
	if err != nil || !m.Finished {
		return nil, err
	}
	return m, nil
}

// besides draws pictures of the other laws.
func (s *Study) besides(ctx context.Context, r *run.Run) (finished bool, err error) {
	if !s.Config.Beside {
		return true, nil
	}
	add := func(name, title string, codes blas32.General) error {
		x, err := s.Latent.Data(codes, nil)
		s.Others = append(s.Others, Other{name, title, x})
		return err
	}
	if s.Core.Source == config.SourceGibbs {
		m, err := s.fit(ctx, r, "baseline")
		if err != nil || m == nil {
			return false, err
		}
		draw, err := s.draw(ctx, m, "generation from N(0, I)")
		if err != nil {
			return false, err
		}
		if err := add("normal", "from N(0, I)", draw.Points); err != nil {
			return false, err
		}
	}
	few := spread(s.Codes, 20000)
	of := slices.DeleteFunc(slices.Clone(parts), func(k int) bool { return few.Rows < 20*k })
	r.Progress.Log.Info("fitting mixtures", "Gaussians", of)
	codes, err := ranks.Dealt(ranks.New(r.World), len(of), func(i int) (blas32.General, error) {
		k := uint64(of[i])
		m, err := mixture.Fit(few, of[i], 100, random.New(s.Core.Seed, "mixture", k))
		if err != nil {
			return blas32.General{}, err
		}
		return m.Sample(s.Count, random.New(s.Core.Seed, "draws of a mixture", k)), nil
	})
	if err != nil {
		return false, err
	}
	for i, k := range of {
		if err := add(fmt.Sprintf("mixture%d", k), fmt.Sprintf("mixture of %d Gaussians", k), codes[i]); err != nil {
			return false, err
		}
	}
	return true, ctx.Err()
}

// spread is about n rows of x, at equal distances.
func spread(x blas32.General, n int) blas32.General {
	if x.Rows <= n {
		return x
	}
	rows := make([]int, n)
	for i := range rows {
		rows[i] = i * x.Rows / n
	}
	return batch.Gathered(x, rows)
}
