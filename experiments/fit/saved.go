package fit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"cmf/data/margins"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/ranks"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/layers"
	"cmf/layers/autoencoder"
	"cmf/solvers/batch"
	"cmf/solvers/density"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Origin is everything about a model in its checkpoint that is not numbers.
type Origin struct {
	Experiment   string
	architecture layers.Architecture
	Units        units.Units // nil if the problem names none
	Form         units.Form
	From         *Points           // of the source if it was given; nil where it is the noise of the potential
	OnSource     bool              // the potential is a function of that source; see Problem.OnSource
	ContextUnits *margins.Contexts // nil if the problem names none
	Config       map[string]string
}

// Points say what the points of a law are: their units, nil if these are the data's, and
// their form.
type Points struct {
	Units units.Units
	Form  units.Form
}

// Source is the law that the map takes to the data: the Gibbs factor if the configuration
// names none.
func (o *Origin) Source() config.Source {
	return cmp.Or(config.Source(o.Config["CMF_SOURCE"]), config.SourceGibbs)
}

// put writes the origin into a checkpoint.
func (o *Origin) put(c *graph.Checkpoint) error {
	c.Texts["experiment"] = o.Experiment
	if p, ok := o.Units.(*units.Principal); ok {
		putPrincipal(p, c)
	}
	u := o.Units
	if latent, ok := u.(*autoencoder.Latent); ok {
		if err := latent.Network().Put(c); err != nil {
			return err
		}
		u = units.Affine{}
	}
	text, err := units.Marshal(u, o.Form)
	if err != nil {
		return err
	}
	c.Texts["units"] = string(text)
	if o.From != nil {
		if text, err = units.Marshal(o.From.Units, o.From.Form); err != nil {
			return err
		}
		c.Texts["from"], c.Texts["on_source"] = string(text), strconv.FormatBool(o.OnSource)
	}
	parts := map[string]any{"architecture": o.architecture, "config": o.Config}
	if o.ContextUnits != nil {
		parts["contexts"] = o.ContextUnits
	}
	for name, v := range parts {
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c.Texts[name] = string(text)
	}
	return nil
}

// originOf reads what put wrote.
func originOf(c *graph.Checkpoint) (o *Origin, err error) {
	if _, ok := c.Texts["architecture"]; !ok {
		return nil, errors.New("it does not give its architecture: either it is not a checkpoint of an experiment, or it is of an earlier version; to save that again, run its experiment with the same variables and CMF_RESUME set to it")
	}
	o = &Origin{Experiment: c.Texts["experiment"]}
	for _, part := range []struct {
		name string
		to   any
	}{{"architecture", &o.architecture}, {"config", &o.Config}, {"contexts", &o.ContextUnits}} {
		if _, ok := c.Texts[part.name]; !ok && part.name == "contexts" {
			continue
		}
		d := json.NewDecoder(strings.NewReader(c.Texts[part.name]))
		d.DisallowUnknownFields()
		if err := d.Decode(part.to); err != nil {
			return nil, fmt.Errorf("this version does not know its %s: %w", part.name, err)
		}
	}
	p, err := principalOf(c, o.architecture.Dim)
	if err != nil {
		return nil, err
	}
	if o.Units, o.Form, err = units.Unmarshal([]byte(c.Texts["units"]), p); err != nil {
		return nil, fmt.Errorf("this version does not know its units: %w", err)
	}
	network, err := autoencoder.Of(c)
	switch {
	case err != nil:
		return nil, err
	case network != nil:
		o.Units = autoencoder.NewLatent(network)
	}
	if text, ok := c.Texts["from"]; ok {
		o.From = new(Points)
		if o.From.Units, o.From.Form, err = units.Unmarshal([]byte(text), nil); err != nil {
			return nil, fmt.Errorf("this version does not know the units of its source: %w", err)
		}
		if o.OnSource, err = strconv.ParseBool(c.Texts["on_source"]); err != nil {
			return nil, fmt.Errorf("its %q: %w", "on_source", err)
		}
	}
	// In early versions digits named no units.
	if alpha, ok := o.Config["CMF_ALPHA"]; ok && o.Units == nil && o.Experiment == "mnist" {
		a, err := strconv.ParseFloat(alpha, 64)
		if err != nil {
			return nil, fmt.Errorf("its CMF_ALPHA: %w", err)
		}
		o.Units, o.Form = units.Pixels{Alpha: a}, units.Form{Height: 28, Width: 28}
	}
	return o, o.check()
}

// check returns an error if units or form do not fit points of the potential's dimension.
func (o *Origin) check() error {
	if o.From != nil {
		if err := o.From.check(o.architecture.Dim); err != nil {
			return fmt.Errorf("the source: %w", err)
		}
	}
	if o.ContextUnits != nil {
		if err := o.ContextUnits.Check(o.architecture.Context); err != nil {
			return err
		}
	}
	return Points{o.Units, o.Form}.check(o.architecture.Dim)
}

func (p Points) check(d int) error {
	if p.Units == nil {
		return nil
	}
	if err := p.Units.Check(d); err != nil {
		return err
	}
	return p.Form.Check(p.Units.Dim(d))
}

// LoadModel reads the model of a checkpoint: the potential with its averaged weights, the
// bank of particles with their conjugates, the preconditioner and the units. Its draws
// and densities are those of the model after Fit, to the same bits; CMF_RESUME goes on
// with training.
//
// If a file is not a checkpoint of an experiment, or its parts do not fit together or are
// not finite, the error names the part.
func LoadModel(path string) (*Model, error) {
	c, err := graph.LoadCheckpoint(path)
	if err != nil {
		return nil, err
	}
	m, err := ModelOf(c)
	if err != nil {
		return nil, fmt.Errorf("the model of %s: %w%s", path, err, graph.HintPrevious(path))
	}
	return m, nil
}

// OpenModel is LoadModel for the variable CMF_CHECKPOINT of a run: its error names that, a file
// without a sum is noted, and ranks of the run share draws.
func OpenModel(r *run.Run, path string) (*Model, error) {
	m, err := LoadModel(path)
	if err != nil {
		return nil, fmt.Errorf("CMF_CHECKPOINT=%s: %w", path, err)
	}
	if m.Unchecked {
		r.Note("CMF_CHECKPOINT=%s is of an earlier version, without a sum of its content: damage of the file would go unnoticed.", path)
	}
	m.ranks = ranks.New(r.World)
	return m, nil
}

// ModelOf is the model of a checkpoint that has been read; see LoadModel.
func ModelOf(c *graph.Checkpoint) (*Model, error) {
	o, err := originOf(c)
	if err != nil {
		return nil, err
	}
	if err := checkArrays(c); err != nil {
		return nil, err
	}
	w, err := potentialOf(c, o.architecture)
	if err != nil {
		return nil, err
	}
	m := &Model{params: w.Params(), Origin: *o, Stop: report.Stop{Reason: report.Finished}, Finished: true, Unchecked: c.Unchecked}
	if m.Evaluator, err = layers.NewEvaluator(w); err != nil {
		return nil, err
	}
	if m.Evaluator.Contexts() == 0 {
		if m.Curvature, err = layers.NewCurvature(w); err != nil {
			return nil, err
		}
	}
	if m.Noise, err = noiseOf(c, m.Evaluator, o); err != nil {
		return nil, err
	}
	if m.State, err = stateOf(c, m.Evaluator); err != nil {
		return nil, err
	}
	if m.State.Bank.Step, err = number(c, "chains.gamma", 0); err != nil {
		return nil, err
	}
	if m.State.Step, err = count(c, "step", math.MaxInt); err != nil {
		return nil, err
	}
	return m, m.loadPreconditioner(c)
}

// potentialOf builds the network of an architecture with the weights of a checkpoint, or
// their averages, or the chosen ones, if it has them.
func potentialOf(c *graph.Checkpoint, a layers.Architecture) (layers.Network, error) {
	check := checkNetwork
	if a.Family == layers.NetworkQuadratics {
		check = checkQuadratics
	}
	if err := check(c, a); err != nil {
		return nil, err
	}
	w, err := layers.New(a)
	if err != nil {
		return nil, err
	}
	if err := c.GetParams(w.Params()); err != nil {
		return nil, err
	}
	best := getMap(c, "chosen.")
	if len(best) == 0 {
		best = getMap(c, "average.")
	}
	for _, name := range slices.Sorted(maps.Keys(best)) {
		mean, p := best[name], w.Params().ByName(name)
		if p == nil {
			continue // a weight of the loss
		}
		if len(mean) != p.Len() {
			return nil, fmt.Errorf("its average of %q has %d values; there must be %d", name, len(mean), p.Len())
		}
		copy(p.Float32s(), mean)
	}
	return w, nil
}

// checkQuadratics makes sure that the arrays of a maximum of quadratics are there, so
// that the size of the file limits the memory that is allocated for it.
func checkQuadratics(c *graph.Checkpoint, a layers.Architecture) error {
	for _, w := range []struct {
		name  string
		shape []int
	}{{"centers", []int{a.Pieces, a.Dim}}, {"offsets", []int{1, a.Pieces}}, {"factors", []int{a.Pieces * cmp.Or(a.Rank, a.Dim), a.Dim}}} {
		if t := c.Tensors["weight."+w.name]; !slices.Equal(t.Shape, w.shape) {
			return fmt.Errorf("its %q has shape %v; its architecture needs %v", "weight."+w.name, t.Shape, w.shape)
		}
	}
	return checkContextWeights(c, a)
}

// checkContextWeights is checkQuadratics for what contexts bring.
func checkContextWeights(c *graph.Checkpoint, a layers.Architecture) error {
	if t := c.Tensors["weight.context.gates"]; a.Classes && !slices.Equal(t.Shape, []int{a.Context, a.Pieces}) {
		return fmt.Errorf("the gates of its classes have shape %v; its architecture needs [%d %d]", t.Shape, a.Context, a.Pieces)
	}
	if t := c.Tensors["weight.context.features"]; a.ContextHidden > 0 && !slices.Equal(t.Shape, []int{a.Context, a.ContextHidden}) {
		return fmt.Errorf("the features of its contexts have shape %v; its architecture needs [%d %d]", t.Shape, a.Context, a.ContextHidden)
	}
	if t := c.Tensors["weight.context.mean"]; a.Context > 0 && !a.Classes && !slices.Equal(t.Shape, []int{1, a.Context}) {
		return fmt.Errorf("the mean of its contexts has shape %v; its architecture needs [1 %d]", t.Shape, a.Context)
	}
	return nil
}

// checkNetwork is checkQuadratics for an ICNN.
func checkNetwork(c *graph.Checkpoint, a layers.Architecture) error {
	if n := len(c.Tensors); len(a.Hidden) > n || len(a.Convolutions) > n || a.Rank > n || a.Knots > n {
		return fmt.Errorf("its architecture %+v has more arrays than it holds", a)
	}
	shapes, err := a.Shapes()
	if err != nil {
		return err
	}
	for l, s := range shapes {
		for _, prefix := range a.Prefixes(l) {
			for _, w := range []struct {
				name  string
				shape [2]int
			}{{"skip", s.Skip}, {"weight", s.Weigh}, {"bias", s.Bias}} {
				name := "weight." + prefix + w.name
				if t := c.Tensors[name]; (l > 0 || w.name != "weight") && !slices.Equal(t.Shape, w.shape[:]) {
					hint := ""
					if w.name == "skip" && l > 0 && l < len(a.Convolutions) {
						hint = ", or it is of an earlier version, whose second convolutions saw more pixels: learn that model again"
					}
					return fmt.Errorf("its %q has shape %v; its architecture needs %v%s", name, t.Shape, w.shape, hint)
				}
			}
		}
	}
	for _, m := range []struct {
		name   string
		needed bool
	}{{"root", a.Full}, {"basis", a.Rotated}} {
		if t := c.Tensors["weight.quadratic."+m.name]; m.needed && !slices.Equal(t.Shape, []int{a.Dim, a.Dim}) {
			return fmt.Errorf("the %s of its quadratic has shape %v; its architecture needs [%d %d]", m.name, t.Shape, a.Dim, a.Dim)
		}
	}
	return checkContextWeights(c, a)
}

// noiseOf is the potential that the particles of a checkpoint sample, nil if its source was
// given.
func noiseOf(c *graph.Checkpoint, w *layers.Evaluator, o *Origin) (potential.Potential, error) {
	if o.From != nil {
		return nil, nil
	}
	if o.Source() == config.SourceGaussian {
		return potential.Normal{D: w.Dim()}, nil
	}
	t, ok := c.Tensors["carry"]
	if !ok {
		return w, nil
	}
	d := w.Dim()
	if _, err := c.Values("carry", d, d); err != nil {
		return nil, err
	}
	carry := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			carry.SetSym(i, j, float64(t.F32[i*d+j]))
		}
	}
	v, err := potential.NewCarried(w, carry)
	if err != nil {
		return nil, fmt.Errorf("its %q: %w", "carry", err)
	}
	return v, nil
}

// Units convert between points of the model and of the data. They change nothing if the
// problem of the fit names none.
func (m *Model) Units() units.Units {
	if m.Origin.Units == nil {
		return units.Affine{}
	}
	return m.Origin.Units
}

// Form says what the data's points are: rows of a table, pictures, or neither.
func (m *Model) Form() units.Form { return m.Origin.Form }

// LogPDF is the log density of the model at each row of x, (n, d), in the data's
// units, in nats:
//
//	log q(x) = −w(∇w(z)) + log det ∇²w(z) − log Z_w + log |det ∂z/∂x|,
//
// where z is x in the units of learning. It is NaN where ∇²w is not positive definite.
// Only log Z_w is an estimate, by quadrature in one or two dimensions and by annealing in
// more; info has its error. If z are only the leading coordinates, the normal density of
// the others is a factor too. The end of ctx is an error.
func (m *Model) LogPDF(ctx context.Context, x blas32.General, rng *random.Stream) (logPDF []float64, info density.AnnealingInfo, err error) {
	l, _, err := m.DensityAt(ctx, x, rng)
	if err != nil {
		return nil, info, err
	}
	return l.LogPDF, l.LogZ, nil
}

// DensityAt is the density at points x in the data's units; z are these points in the
// units of learning.
func (m *Model) DensityAt(ctx context.Context, x blas32.General, rng *random.Stream) (l *Likelihood, z blas32.General, err error) {
	err = m.ranks.Spread(x.Rows, nil, func(from, to int, _ *random.Stream) (err error) {
		z, err = m.Units().Learning(batch.Rows(x, from, to))
		return err
	})
	if err != nil {
		return nil, z, err
	}
	z = m.ranks.Joined(x.Rows, z)
	l, err = m.density(ctx, z, x, rng)
	return l, z, err
}

// Density is the density in the data's units at points z in the units of learning.
func (m *Model) Density(ctx context.Context, z blas32.General, rng *random.Stream) (*Likelihood, error) {
	return m.density(ctx, z, blas32.General{}, rng)
}

func (m *Model) density(ctx context.Context, z, x blas32.General, rng *random.Stream) (*Likelihood, error) {
	l, err := HeldOutDensity(ctx, m, z, rng)
	if err != nil {
		return nil, err
	}
	volume, err := m.Units().LogVolume(z, x)
	if err != nil {
		return nil, err
	}
	for i, v := range volume {
		l.LogPDF[i] += v
	}
	return l, nil
}
