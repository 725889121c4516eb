package fit_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/plane"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// jointly is a joint Gaussian of d points and k contexts.
type jointly struct {
	d, k  int
	joint *exact.Gaussian
}

func newJointly(t testing.TB, d, k int, seed uint64) jointly {
	t.Helper()
	rng := random.New(seed, "joint", 0)
	a := mat.NewDense(d+k, d+k, nil)
	mean := make([]float64, d+k)
	for i := range d + k {
		mean[i] = .5 * rng.NormFloat64()
		for j := range d + k {
			a.Set(i, j, .7*rng.NormFloat64()/math.Sqrt(float64(d+k)))
		}
	}
	var cov mat.SymDense
	cov.SymOuterK(1, a)
	for i := range d + k {
		cov.SetSym(i, i, cov.At(i, i)+.5)
	}
	g, err := exact.NewGaussian(mean, &cov)
	if err != nil {
		t.Fatal(err)
	}
	return jointly{d, k, g}
}

func (j jointly) sample(n int, rng *random.Stream) (x, c blas32.General) {
	points := j.joint.Sample(n, rng)
	x, c = batch.New(n, j.d), batch.New(n, j.k)
	for i := range n {
		copy(batch.Row(x, i), batch.Row(points, i))
		copy(batch.Row(c, i), batch.Row(points, i)[j.d:])
	}
	return x, c
}

// given is the law of x given c.
func (j jointly) given(t testing.TB, c []float32) *exact.Gaussian {
	t.Helper()
	observed := make([]bool, j.d+j.k)
	at := batch.New(1, j.d+j.k)
	for i := range j.k {
		observed[j.d+i] = true
		at.Data[j.d+i] = c[i]
	}
	law, err := j.joint.Given(observed)
	if err != nil {
		t.Fatal(err)
	}
	if err := law.Mean(at); err != nil {
		t.Fatal(err)
	}
	precision := j.joint.Power(-1)
	block := mat.NewSymDense(j.d, nil)
	for a := range j.d {
		for b := a; b < j.d; b++ {
			block.SetSym(a, b, precision.At(a, b))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(block) {
		t.Fatal("the precision is not positive definite")
	}
	var cov mat.SymDense
	if err := chol.InverseTo(&cov); err != nil {
		t.Fatal(err)
	}
	mean := make([]float64, j.d)
	batch.Widen(mean, batch.Row(at, 0)[:j.d])
	g, err := exact.NewGaussian(mean, &cov)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// errors are the unexplained variance of the conditional map ∇w(·; c) in percent, and the
// mean of |Δ log q| in nats, over contexts.
func (j jointly) errors(t testing.TB, m *fit.Model, contexts, particles int, seed uint64) (uvp, nats float64) {
	t.Helper()
	const each = 4
	x, c := j.sample(contexts, random.New(seed, "held out", 0))
	var missed, total float64
	points, given := batch.New(each*contexts, j.d), batch.New(each*contexts, j.k)
	truth := make([]float64, each*contexts)
	w, err := m.Evaluator.Given(c)
	if err != nil {
		t.Fatal(err)
	}
	image := batch.New(contexts, j.d)
	if err := w.Eval(x, nil, image); err != nil {
		t.Fatal(err)
	}
	for i := range contexts {
		law := j.given(t, batch.Row(c, i))
		at := make([]float64, j.d)
		batch.Widen(at, batch.Row(x, i))
		q := law.ConjugateMoment()
		_, want, err := q.At(at)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range batch.Row(image, i) {
			missed += (float64(v) - want[k]) * (float64(v) - want[k])
		}
		for _, v := range law.Values {
			total += math.Cbrt(v)
		}
		draws := law.Sample(each, random.New(seed, "draws", uint64(i)))
		batch.Copy(batch.Rows(points, each*i, each*(i+1)), draws)
		logPDF, err := law.LogPDF(draws)
		if err != nil {
			t.Fatal(err)
		}
		copy(truth[each*i:], logPDF)
		for r := range each {
			copy(batch.Row(given, each*i+r), batch.Row(c, i))
		}
	}
	l, err := m.LogPDFGiven(t.Context(), points, given, particles, random.New(seed, "log Z", 0))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range l.LogPDF {
		nats += math.Abs(v-truth[i]) / float64(len(truth))
	}
	return 100 * missed / total, nats
}

// conditional is a definition that fits points given contexts and hands over the model.
func conditional(x, c blas32.General, p fit.Problem, then func(ctx context.Context, r *run.Run, m *fit.Model) error) run.Definition[plane.Config] {
	return run.Definition[plane.Config]{
		Name: "conditional",
		Presets: map[string]func(*plane.Config){
			"default": func(c *plane.Config) { c.Steps, c.Batch, c.Hidden, c.LR = 300, 256, config.Widths{32}, 5e-3 },
		},
		Do: func(ctx context.Context, r *run.Run, core *plane.Config) error {
			icnn, quadratics := layers.Architecture{Dim: x.Cols, Context: c.Cols, ContextHidden: 16, Hidden: core.Hidden, Full: true}, layers.Architecture{Pieces: 8}
			if c.Cols == 0 {
				icnn.ContextHidden = 0
			}
			if _, err := exact.ClassRows(c); err == nil && core.Potential == layers.NetworkQuadratics {
				icnn.ContextHidden, quadratics.Classes = 0, true
			}
			w, err := core.Network(icnn, quadratics)
			if err != nil {
				return err
			}
			problem := p
			problem.Potential, problem.Train, problem.Contexts = w, x, c
			m, err := fit.Fit(ctx, r, &core.Core, problem)
			if err != nil || then == nil {
				return err
			}
			return then(ctx, r, m)
		},
	}
}

func fitted(t testing.TB, x, c blas32.General, p fit.Problem, variables ...string) *fit.Model {
	t.Helper()
	var model *fit.Model
	d := conditional(x, c, p, func(_ context.Context, _ *run.Run, m *fit.Model) error { model = m; return nil })
	env := config.Variables("CMF_OUT=" + t.TempDir()).With(variables...)
	if _, err := run.Execute(t.Context(), d, env, nil, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	return model
}

// A joint Gaussian in halves: the map and the densities given each context are those of
// the closed form. One start is the regression, the other knows nothing of the contexts.
func TestConditionalGaussian(t *testing.T) {
	for _, c := range []struct {
		d         int
		variables []string
		uvp, nats float64
	}{
		{2, []string{"CMF_LR=.003"}, .04, .035},
		{2, []string{"CMF_LR=.01", "CMF_INIT=identity"}, .1, .07},
		{8, []string{"CMF_LR=.002"}, .04, .1},
	} {
		j := newJointly(t, c.d, c.d, 1)
		x, contexts := j.sample(100_000, random.New(1, "points", 0))
		start := layers.Start{Share: 1, Fixed: .02, Spread: 1} // as a Gaussian needs no hinges
		m := fitted(t, x, contexts, fit.Problem{Start: start, Particles: 2048, Decay: .995}, append(c.variables, "CMF_STEPS=1000")...)
		uvp, nats := j.errors(t, m, 40, 1024, 1)
		t.Logf("d = %d, %v: UVP %.4f %%, E|Δ log q| %.4f nats", c.d, c.variables, uvp, nats)
		if !(uvp < c.uvp && nats < c.nats) {
			t.Errorf("d = %d, %v: UVP %.4f %% and E|Δ log q| %.4f nats; want at most %g and %g", c.d, c.variables, uvp, nats, c.uvp, c.nats)
		}
	}
}

// Every context has its own log Z(c): that of the closed form, by annealing within three
// standard errors, by quadrature to rounding.
func TestLogZGiven(t *testing.T) {
	for _, of := range []struct {
		d         int
		potential layers.Family
	}{{1, layers.NetworkICNN}, {2, layers.NetworkICNN}, {4, layers.NetworkICNN}, {2, layers.NetworkQuadratics}, {4, layers.NetworkQuadratics}} {
		d := of.d
		j := newJointly(t, d, 2, 1)
		x, c := j.sample(20_000, random.New(1, "points", 0))
		start := layers.Start{Share: 1}
		m := fitted(t, x, c, fit.Problem{Start: start}, "CMF_STEPS=1", "CMF_LR=1e-9", "CMF_POTENTIAL="+string(of.potential), "CMF_PIECES=1") // not trained
		law, err := exact.Regress(x, c, 0)
		if err != nil {
			t.Fatal(err)
		}
		const n = 6
		x, c = batch.First(x, n), batch.First(c, n)
		l, err := m.LogPDFGiven(t.Context(), x, c, 0, random.New(1, "log Z", 0))
		if err != nil {
			t.Fatal(err)
		}
		centers, err := law.Centers(c)
		if err != nil {
			t.Fatal(err)
		}
		w, err := m.Evaluator.Given(c)
		if err != nil {
			t.Fatal(err)
		}
		least := make([]float32, n)
		if err := w.Eval(centers, least, blas32.General{}); err != nil {
			t.Fatal(err)
		}
		want := float64(d) / 2 * math.Log(2*math.Pi)
		for _, v := range law.Law.Values {
			want += math.Log(v) / 6 // ½ log det S^{1/3}
		}
		var spread float64
		for i := range n {
			got, truth := l.LogZ[i], want-float64(least[i])
			spread = max(spread, math.Abs(got.LogZ-l.LogZ[0].LogZ))
			if math.Abs(got.LogZ-truth) > 3*got.Error+3e-4 {
				t.Errorf("d = %d: log Z given context %d is %.5f ± %.5f; the closed form has %.5f", d, i, got.LogZ, got.Error, truth)
			}
			given, err := law.Given(batch.Row(c, i))
			if err != nil {
				t.Fatal(err)
			}
			logPDF, err := given.LogPDF(batch.Rows(x, i, i+1))
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(l.LogPDF[i]-logPDF[0]) > 3*got.Error+1e-3 {
				t.Errorf("d = %d: log q of row %d is %.5f; the closed form has %.5f", d, i, l.LogPDF[i], logPDF[0])
			}
		}
		if of.potential == layers.NetworkICNN && d > 1 && spread < .01 { // w is least at 0 for one quadratic
			t.Errorf("d = %d: log Z(c) is the same for all contexts", d)
		}
	}
}

// truth draws points x on the line with contexts c, and knows log p(x | c).
type truth struct {
	name   string
	draw   func(rng *random.Stream) (x, c float64)
	logPDF func(x, c float64) float64
}

func (l truth) sample(n int, rng *random.Stream) (x, c blas32.General) {
	x, c = batch.New(n, 1), batch.New(n, 1)
	for i := range n {
		a, b := l.draw(rng)
		x.Data[i], c.Data[i] = float32(a), float32(b)
	}
	return x, c
}

// divergence is the mean of log p − log q over n fresh pairs, and of its absolute value.
func (l truth) divergence(t testing.TB, m *fit.Model, n int, seed uint64) (kl, nats float64) {
	t.Helper()
	x, c := l.sample(n, random.New(seed, "held out", 0))
	q, err := m.LogPDFGiven(t.Context(), x, c, 0, random.New(seed, "log Z", 0))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range q.LogPDF {
		e := l.logPDF(float64(x.Data[i]), float64(c.Data[i])) - v
		kl += e / float64(n)
		nats += math.Abs(e) / float64(n)
	}
	return kl, nats
}

func logNormal(x, mean, sd float64) float64 {
	e := (x - mean) / sd
	return -e*e/2 - math.Log(sd*math.Sqrt(2*math.Pi))
}

// lineWithNoise is x = .5 + .8c + s(c)·ξ with a deviation s that goes from .3 to 1.2.
func lineWithNoise() truth {
	sd := func(c float64) float64 { return .3 + .9/(1+math.Exp(-2*c)) }
	return truth{
		"a heteroscedastic line",
		func(rng *random.Stream) (x, c float64) {
			c = rng.NormFloat64()
			return .5 + .8*c + sd(c)*rng.NormFloat64(), c
		},
		func(x, c float64) float64 { return logNormal(x, .5+.8*c, sd(c)) },
	}
}

// threeModes is a mixture in the plane, given its second column.
func threeModes() truth {
	const sd = .5
	means := [3][2]float64{{-2, -1}, {0, 1.5}, {2, -.5}}
	return truth{
		"a mixture of three",
		func(rng *random.Stream) (x, c float64) {
			m := means[rng.IntN(3)]
			return m[0] + sd*rng.NormFloat64(), m[1] + sd*rng.NormFloat64()
		},
		func(x, c float64) float64 {
			var joint, marginal float64
			for _, m := range means {
				of := math.Exp(logNormal(c, m[1], sd))
				joint += of * math.Exp(logNormal(x, m[0], sd))
				marginal += of
			}
			return math.Log(joint / marginal)
		},
	}
}

// Laws that no regression has: their divergence from the model is far below that of the
// regression, from which it starts, by the dual and by the likelihood.
func TestConditionalTruths(t *testing.T) {
	for _, c := range []struct {
		truth  truth
		loss   string
		of     layers.Family
		steps  string
		within float64 // nats of KL; the regressions have .14 and .78
	}{
		{lineWithNoise(), "likelihood", layers.NetworkICNN, "1200", .02},
		{threeModes(), "dual", layers.NetworkICNN, "1200", .08},
		{threeModes(), "likelihood", layers.NetworkICNN, "1200", .04},
		{threeModes(), "dual", layers.NetworkQuadratics, "500", .08},
	} {
		x, contexts := c.truth.sample(20_000, random.New(1, "points", 0))
		m := fitted(t, x, contexts, fit.Problem{Start: layers.Start{Balanced: true}, Particles: 2048, Decay: .995}, "CMF_STEPS="+c.steps, "CMF_LR=.01", "CMF_LOSS="+c.loss, "CMF_POTENTIAL="+string(c.of), "CMF_TAU=0.1")
		kl, nats := c.truth.divergence(t, m, 4000, 1)
		t.Logf("%s by %s, %s: KL %.4f, E|Δ log q| %.4f nats", c.truth.name, c.loss, c.of, kl, nats)
		if !(kl < c.within) {
			t.Errorf("%s by %s: the divergence is %.4f nats; want at most %g", c.truth.name, c.loss, kl, c.within)
		}
	}
}

// The state is chosen by held-out pairs, with their contexts: of forty pairs that are learned by
// heart, an early one.
func TestConditionalValidation(t *testing.T) {
	l := lineWithNoise()
	x, c := l.sample(40, random.New(1, "points", 0))
	vx, vc := l.sample(400, random.New(1, "validation", 0))
	var r *run.Run
	var m *fit.Model
	d := conditional(x, c, fit.Problem{Start: layers.Start{Balanced: true}, Particles: 512, Decay: .9, Validation: fit.Validation{X: vx, Contexts: vc, Patience: 4}}, func(_ context.Context, of *run.Run, w *fit.Model) error {
		r, m = of, w
		return nil
	})
	env := config.Variables("CMF_OUT="+t.TempDir()).With("CMF_STEPS=600", "CMF_BATCH=20", "CMF_LR=.02", "CMF_LOSS=likelihood", "CMF_THREADS=1")
	if _, err := run.Execute(t.Context(), d, env, nil, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if at := r.Report.Metrics["chosen_step"]; at >= 600 || r.Report.Steps > int(at)+4*30 {
		t.Errorf("step %g of %d was chosen", at, r.Report.Steps)
	}
	q, err := m.LogPDFGiven(t.Context(), vx, vc, 0, random.New(1, "log Z", 0))
	if err != nil {
		t.Fatal(err)
	}
	regression, err := exact.Regress(x, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	residuals, err := regression.Residuals(vx, vc)
	if err != nil {
		t.Fatal(err)
	}
	start, err := regression.Law.LogPDF(residuals)
	if err != nil {
		t.Fatal(err)
	}
	got, _, _ := fit.FiniteMean(q.LogPDF)
	if want, _, _ := fit.FiniteMean(start); !(got > want-.02) {
		t.Errorf("log-likelihood %.3f, of the regression %.3f", got, want)
	}
}

// A class is a context as a corner of a simplex: laws of three places and widths.
func TestConditionalClasses(t *testing.T) {
	const n, classes = 20_000, 3
	mean, sd := []float64{-2, 0, 1.5}, []float64{.4, 1.2, .7}
	draw := func(n int, rng *random.Stream) (x, c blas32.General, logPDF []float64) {
		x, c = batch.New(n, 1), batch.New(n, classes)
		for i := range n {
			k := rng.IntN(classes)
			batch.Row(c, i)[k] = 1
			x.Data[i] = float32(mean[k] + sd[k]*rng.NormFloat64())
			logPDF = append(logPDF, logNormal(float64(x.Data[i]), mean[k], sd[k]))
		}
		return x, c, logPDF
	}
	x, c, _ := draw(n, random.New(1, "points", 0))
	heldOut, contexts, logPDF := draw(4000, random.New(1, "held out", 0))
	for _, of := range []struct {
		potential layers.Family
		steps     string
		within    float64 // of the regression: .18
	}{
		{layers.NetworkICNN, "600", .02},
		{layers.NetworkQuadratics, "2", .005}, // a piece for each class is the truth already
	} {
		m := fitted(t, x, c, fit.Problem{Start: layers.Start{Balanced: true}, Particles: 2048, Decay: .99}, "CMF_STEPS="+of.steps, "CMF_LR=.01", "CMF_LOSS=likelihood", "CMF_POTENTIAL="+string(of.potential), "CMF_PIECES=3")
		checkClasses(t, m, heldOut, contexts, logPDF, of.within)
	}
}

func checkClasses(t *testing.T, m *fit.Model, x, c blas32.General, logPDF []float64, within float64) {
	t.Helper()
	q, err := m.LogPDFGiven(t.Context(), x, c, 0, random.New(1, "log Z", 0))
	if err != nil {
		t.Fatal(err)
	}
	var kl float64
	for i, v := range q.LogPDF {
		kl += (logPDF[i] - v) / float64(x.Rows)
	}
	t.Logf("KL %.4f nats", kl)
	if !(math.Abs(kl) < within) {
		t.Errorf("the divergence is %.4f nats", kl)
	}
}

// Draws given one context, and given one for each row, have the law of the truth there.
func TestDrawGiven(t *testing.T) {
	j := newJointly(t, 2, 2, 1)
	x, c := j.sample(50_000, random.New(1, "points", 0))
	for _, potential := range []layers.Family{layers.NetworkICNN, layers.NetworkQuadratics} {
		m := fitted(t, x, c, fit.Problem{Start: layers.Start{Share: 1}}, "CMF_STEPS=1", "CMF_LR=1e-9", "CMF_POTENTIAL="+string(potential), "CMF_PIECES=1")
		checkDrawsGiven(t, j, m, c)
	}
}

func checkDrawsGiven(t *testing.T, j jointly, m *fit.Model, c blas32.General) {
	t.Helper()
	for name, contexts := range map[string]blas32.General{"one": batch.First(c, 1), "several": batch.First(c, 2000)} {
		given, err := m.Given(t.Context(), contexts, random.New(1, "given", 0))
		if err != nil {
			t.Fatal(err)
		}
		draw, err := given.Draw(t.Context(), 2000, 60, random.New(1, "draws", 0))
		if err != nil {
			t.Fatal(err)
		}
		if draw.Converged < .999 || draw.Checks["convexity_violation"] > 1e-6 || draw.Checks["fenchel_young_violation"] > 1e-5 {
			t.Errorf("%s: checks of draws %v", name, draw.Checks)
		}
		residuals := batch.New(2000, 2)
		for i := range residuals.Rows {
			law := j.given(t, batch.Row(contexts, i%contexts.Rows))
			for k, v := range batch.Row(draw.Points, i) {
				batch.Row(residuals, i)[k] = v - float32(law.Mean[k])
			}
		}
		mean, cov := batch.Moments(residuals)
		truth := j.given(t, batch.Row(c, 0)).Power(1)
		for a := range 2 {
			if sd := math.Sqrt(truth.At(a, a)); math.Abs(mean[a]) > 5*sd/math.Sqrt(2000)+.02 {
				t.Errorf("%s: the mean along axis %d is off by %v", name, a, mean[a])
			}
			for b := range 2 {
				if math.Abs(cov.At(a, b)-truth.At(a, b)) > .15*math.Sqrt(truth.At(a, a)*truth.At(b, b)) {
					t.Errorf("%s: covariance (%d, %d) is %v; want %v", name, a, b, cov.At(a, b), truth.At(a, b))
				}
			}
		}
	}
}

// A fit with contexts that was interrupted goes on to the same bits, and its checkpoint
// holds the whole model.
func TestConditionalResume(t *testing.T) {
	x, c := lineWithNoise().sample(3000, random.New(1, "points", 0))
	classes := batch.New(c.Rows, 2)
	for i, v := range c.Data {
		if v > 0 {
			classes.Data[2*i] = 1
		} else {
			classes.Data[2*i+1] = 1
		}
	}
	for name, of := range map[string]struct {
		contexts  blas32.General
		potential layers.Family
	}{"icnn": {c, layers.NetworkICNN}, "quadratics": {c, layers.NetworkQuadratics}, "classes": {classes, layers.NetworkQuadratics}} {
		t.Run(name, func(t *testing.T) {
			checkResume(t, x, of.contexts, "CMF_POTENTIAL="+string(of.potential), "CMF_PIECES=5")
		})
	}
}

func checkResume(t *testing.T, x, c blas32.General, variables ...string) {
	p := fit.Problem{Particles: 512, Decay: .9}
	var models []*fit.Model
	d := conditional(x, c, p, func(_ context.Context, _ *run.Run, m *fit.Model) error { models = append(models, m); return nil })
	execute := func(ctx context.Context, out string, more ...string) *run.Run {
		r, err := run.Execute(ctx, d, config.Variables("CMF_OUT="+out).With(slices.Concat(variables, more, []string{"CMF_STEPS=60"})...), nil, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	execute(t.Context(), t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	part := execute(fit.WithHooks(ctx, plane.At(33, cancel)), t.TempDir())
	resumed := execute(t.Context(), t.TempDir(), "CMF_RESUME="+part.Path("checkpoint.safetensors"))
	if models[0].Steps() != 60 || models[1].Steps() != 33 || models[2].Steps() != 60 {
		t.Fatalf("runs of %d, %d and %d steps", models[0].Steps(), models[1].Steps(), models[2].Steps())
	}
	loaded, err := fit.LoadModel(resumed.Path("checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	var densities [3][]float64
	for k, m := range []*fit.Model{models[0], models[2], loaded} {
		q, err := m.LogPDFGiven(t.Context(), batch.First(x, 50), batch.First(c, 50), 0, random.New(1, "log Z", 0))
		if err != nil {
			t.Fatal(err)
		}
		densities[k] = q.LogPDF
	}
	if !slices.Equal(densities[0], densities[1]) || !slices.Equal(densities[0], densities[2]) {
		t.Error("densities of a whole run, of one that was resumed, and of the checkpoint differ")
	}
}

func TestConditionalRefuses(t *testing.T) {
	l := lineWithNoise()
	x, c := l.sample(500, random.New(1, "points", 0))
	for want, v := range map[string]struct {
		p         fit.Problem
		contexts  blas32.General
		variables string
	}{
		"the term pairs for a potential with contexts": {variables: "CMF_LOSS=dual+pairs", contexts: c},
		"contexts of shape (499, 1) for 500 points":    {contexts: batch.First(c, 499)},
		"contexts of shape (0, 0) for 500 points to":   {contexts: c, p: fit.Problem{Validation: fit.Validation{X: x}}},
	} {
		env := config.Variables("CMF_OUT="+t.TempDir()).With("CMF_STEPS=5", v.variables)
		if v.variables == "" {
			env = config.Variables("CMF_OUT=" + t.TempDir()).With("CMF_STEPS=5")
		}
		if _, err := run.Execute(t.Context(), conditional(x, v.contexts, v.p, nil), env, nil, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want one that says %q", err, want)
		}
	}
	m := fitted(t, x, c, fit.Problem{}, "CMF_STEPS=5")
	if _, err := m.Draw(t.Context(), 10, 10, random.New(1, "draws", 0)); err == nil || !strings.Contains(err.Error(), "Given") {
		t.Errorf("draws without a context: error %v", err)
	}
	if _, err := m.Given(t.Context(), x, random.New(1, "given", 0)); err != nil {
		t.Errorf("500 contexts: %v", err)
	}
	if _, err := m.LogPDFGiven(t.Context(), x, batch.First(c, 3), 0, random.New(1, "log Z", 0)); err == nil || !strings.Contains(err.Error(), "500 points given 3 contexts") {
		t.Errorf("densities with too few contexts: error %v", err)
	}
}
