package fit

import (
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"cmf/experiments/ranks"
	"cmf/graph"
	"cmf/solvers/optim"
	"cmf/solvers/potential"

	"gonum.org/v1/gonum/blas/blas32"
)

// store writes everything in a run that changes: weights, optimiser, moving average,
// particle bank with its conjugates, walkers, preconditioner, the last good weights,
// random streams and counts; and what LoadModel needs: architecture, units, configuration.
// Rank 0 writes it, with the particles and streams of all ranks.
func (m *Model) store(path string) error {
	s := m.State
	c := graph.NewCheckpoint()
	c.PutParams(m.params)
	for _, w := range m.own() {
		c.Put("own."+w.Name, w.Value, len(w.Value))
	}
	putMap(c, adamM, s.Adam.M)
	putMap(c, adamV, s.Adam.V)
	putMap(c, "average.", m.average.Mean)
	putMap(c, "good.", s.Good)
	c.Put("bank.y", s.Bank.Y.Data, s.Bank.Y.Rows, s.Bank.Y.Cols)
	c.Put("bank.partners", s.Partners.Data, s.Partners.Rows, s.Partners.Cols)
	if m.Evaluator.Solves() { // the next evaluation begins there
		c.Put("bank.gradients", s.Bank.Grad.Data, s.Bank.Grad.Rows, s.Bank.Grad.Cols)
	}
	if m := s.Preconditioner(); m != nil {
		p, l := m.Factors()
		c.Put("metric.p", p.Data, p.Rows, p.Cols)
		c.Put("metric.l", l.Data, l.Rows, l.Cols)
	}
	if v, ok := m.Noise.(*potential.Carried); ok {
		carry := v.Matrix()
		c.Put("carry", carry.Data, carry.Rows, carry.Cols)
	}
	m.storeGiven(c)
	stream, err := s.Stream.MarshalBinary()
	if err != nil {
		return err
	}
	c.Texts = map[string]string{
		"chains.gamma": strconv.FormatFloat(s.Bank.Step, 'x', -1, 64),
		"chains.bound": strconv.FormatFloat(s.Bank.Curvature, 'x', -1, 64),
		"level":        strconv.FormatFloat(s.Level, 'x', -1, 64),
		"stream":       hex.EncodeToString(stream),
		"data":         m.data,
		"data.sum":     m.sums.data,
		"units.sum":    m.sums.units,
		"machine":      m.machine,
	}
	m.chosen.put(c)
	for name, n := range m.counts() {
		c.Texts[name] = strconv.Itoa(*n)
	}
	for name, v := range m.tally.sums() {
		c.Texts["tally."+name] = strconv.FormatFloat(*v, 'x', -1, 64)
	}
	if err := m.Origin.put(c); err != nil {
		return err
	}
	if m.epochs != nil {
		c.Texts["epochs"] = hex.EncodeToString(m.epochs.State())
	}
	m.storeWalkers(c)
	if err := m.ranks.Collect(c); err != nil || m.ranks.Rank() > 0 {
		return err
	}
	return c.Save(path)
}

// load restores what store wrote into a run of the same architecture, batch, data and units.
// remarks say in what the run that wrote it differed.
func (m *Model) load(path string) (remarks []string, err error) {
	c, err := graph.LoadCheckpoint(path)
	if err != nil {
		return nil, err
	}
	differing, err := m.differences(c)
	if err != nil {
		return nil, err
	}
	written := ""
	if len(differing) > 0 {
		written = "; it was written by a run with " + strings.Join(differing, ", ")
		remarks = append(remarks, fmt.Sprintf("The run goes on with other settings than it began with: %s was written by a run with %s.", path, strings.Join(differing, ", ")))
	}
	more, err := m.compare(c, path)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, written)
	}
	dealt, err := m.ranks.Deal(c, path, m.beforehand())
	if err == nil {
		err = m.restore(c)
	}
	if err != nil {
		return nil, fmt.Errorf("%w%s%s", err, written, graph.HintPrevious(path))
	}
	if dealt != "" {
		more = append(more, dealt)
	}
	return append(remarks, more...), nil
}

// beforehand is what this rank has before it goes on from a checkpoint.
func (m *Model) beforehand() ranks.Own {
	own := ranks.Own{Seed: m.seed, State: m.State, Epochs: m.epochs, Particles: m.Noise != nil}
	if m.Energy != nil && m.Energy.Walkers != nil {
		own.Walkers = m.Energy.Walkers.Y.Rows
	}
	return own
}

func (m *Model) restore(c *graph.Checkpoint) (err error) {
	if err := checkArrays(c); err != nil {
		return err
	}
	if err := c.GetParams(m.params); err != nil {
		return err
	}
	for _, w := range m.own() {
		v, err := c.Values("own."+w.Name, len(w.Value))
		if err != nil {
			return fmt.Errorf("%w; CMF_LOSS must be that of the checkpoint", err)
		}
		copy(w.Value, v)
	}
	for _, part := range []func(*graph.Checkpoint) error{m.loadBank, m.loadCounts, m.loadWeights, m.loadPreconditioner, m.loadStreams, m.loadWalkers} {
		if err := part(c); err != nil {
			return err
		}
	}
	return nil
}

// loadBank restores the particles with their conjugates.
func (m *Model) loadBank(c *graph.Checkpoint) error {
	s := m.State
	banks := []struct {
		name string
		to   blas32.General
	}{{"bank.y", s.Bank.Y}, {"bank.partners", s.Partners}}
	if m.Evaluator.Solves() {
		banks = append(banks, banks[0])
		banks[2].name, banks[2].to = "bank.gradients", s.Bank.Grad
	}
	for _, bank := range banks {
		v, err := c.Values(bank.name, bank.to.Rows, bank.to.Cols)
		if err != nil {
			return fmt.Errorf("%w; CMF_BATCH and CMF_PARTICLES must be those of the checkpoint", err)
		}
		copy(bank.to.Data, v)
	}
	if err := m.loadGiven(c); err != nil {
		return fmt.Errorf("%w; CMF_BATCH and CMF_PARTICLES must be those of the checkpoint", err)
	}
	return nil
}

// loadCounts restores whole and other numbers.
func (m *Model) loadCounts(c *graph.Checkpoint) (err error) {
	s := m.State
	counts := m.counts()
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		limit := math.MaxInt
		switch name {
		case "bank.next":
			limit = s.Bank.Y.Rows - 1
		case "failures", "halvings", "stuck", "restores":
			limit = mostFailures
		}
		if *counts[name], err = count(c, name, limit); err != nil {
			return err
		}
	}
	for _, v := range []struct {
		name string
		to   *float64
		low  float64
	}{{"chains.gamma", &s.Bank.Step, 0}, {"chains.bound", &s.Bank.Curvature, -math.MaxFloat64}, {"level", &s.Level, 0}} {
		if *v.to, err = number(c, v.name, v.low); err != nil {
			return err
		}
	}
	if s.Adam.Steps > s.Step {
		return fmt.Errorf("its %q is %d, after %d steps of training", "adam.steps", s.Adam.Steps, s.Step)
	}
	sums := m.tally.sums()
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		text, ok := c.Texts["tally."+name]
		if !ok {
			continue // the checkpoint is of an earlier version
		}
		if *sums[name], err = strconv.ParseFloat(text, 64); err != nil {
			return fmt.Errorf("its %q is %q, not a number", "tally."+name, text)
		}
	}
	return nil
}

// mostFailures is more than the failed batches of any run: the rate of learning is halved
// for each.
const mostFailures = 1000

// loadWeights restores what there is for each weight: the moments of Adam, the average, the
// last good weights and the chosen ones.
func (m *Model) loadWeights(c *graph.Checkpoint) error {
	s := m.State
	s.Adam.M, s.Adam.V = getMap(c, adamM), getMap(c, adamV)
	if s.Adam.Steps > 0 && len(s.Adam.M) == 0 {
		return fmt.Errorf("it has no moments %s… of Adam, after %d of its steps", adamM, s.Adam.Steps)
	}
	if mean := getMap(c, "average."); len(mean) > 0 {
		m.average.Mean = mean
	}
	if good := getMap(c, "good."); len(good) > 0 {
		s.Good = good
	}
	return m.chosen.get(c, s.Step)
}

// loadStreams restores the random streams.
func (m *Model) loadStreams(c *graph.Checkpoint) error {
	stream, err := hex.DecodeString(c.Texts["stream"])
	if err == nil {
		err = m.State.Stream.UnmarshalBinary(stream)
	}
	if err != nil {
		return fmt.Errorf("its random stream: %w", err)
	}
	if m.epochs == nil {
		return nil
	}
	order, err := hex.DecodeString(c.Texts["epochs"])
	if err == nil {
		err = m.epochs.Restore(order)
	}
	if err != nil {
		return fmt.Errorf("its order of minibatches: %w", err)
	}
	return nil
}

// counts are the whole numbers of a checkpoint, by name.
func (m *Model) counts() map[string]*int {
	s := m.State
	return map[string]*int{
		"step": &s.Step, "adam.steps": &s.Adam.Steps, "bank.next": &s.Next, "chains.steps": &s.Bank.Adaptations,
		"failures": &s.Failures, "halvings": &s.Halvings, "stuck": &s.Stuck, "restores": &s.Restores,
	}
}

// loadPreconditioner restores the preconditioner, if there is one.
func (m *Model) loadPreconditioner(c *graph.Checkpoint) error {
	_, hasP := c.Tensors["metric.p"]
	_, hasL := c.Tensors["metric.l"]
	if !hasP && !hasL {
		return nil
	}
	d := m.Evaluator.Dim()
	p, err := c.Values("metric.p", d, d)
	if err != nil {
		return err
	}
	l, err := c.Values("metric.l", d, d)
	if err != nil {
		return err
	}
	if err := checkRoot(p, l, d); err != nil {
		return err
	}
	preconditioner, err := potential.DensePreconditioner(c.Tensors["metric.p"].General(), c.Tensors["metric.l"].General())
	if err != nil {
		return fmt.Errorf("its preconditioner: %w", err)
	}
	m.State.SetPreconditioner(preconditioner)
	return nil
}

// own lists the weights of loss terms, which are not the potential's.
func (m *Model) own() (own []optim.Weight) {
	for _, w := range m.objective.Weights() {
		if m.params.ByName(w.Name) == nil {
			own = append(own, w)
		}
	}
	return own
}

func (m *Model) storeWalkers(c *graph.Checkpoint) {
	if m.Energy == nil {
		return
	}
	c.Texts["energy.evaluations"] = strconv.Itoa(m.Energy.Evaluations)
	if w := m.Energy.Walkers; w != nil {
		c.Put("walkers.x", w.Y.Data, w.Y.Rows, w.Y.Cols)
		c.Texts["walkers.steps"] = strconv.Itoa(w.Adaptations)
		c.Texts["walkers.gamma"] = strconv.FormatFloat(w.Step, 'x', -1, 64)
	}
}

func (m *Model) loadWalkers(c *graph.Checkpoint) (err error) {
	if m.Energy == nil {
		return nil
	}
	if m.Energy.Evaluations, err = count(c, "energy.evaluations", math.MaxInt); err != nil {
		return err
	}
	w := m.Energy.Walkers
	if w == nil {
		return nil
	}
	x, err := c.Values("walkers.x", w.Y.Rows, w.Y.Cols)
	if err != nil {
		return fmt.Errorf("%w; CMF_BATCH and the shares must be those of the checkpoint", err)
	}
	copy(w.Y.Data, x)
	w.Fresh = false
	if w.Adaptations, err = count(c, "walkers.steps", math.MaxInt); err != nil {
		return err
	}
	w.Step, err = number(c, "walkers.gamma", 0)
	return err
}

func putMap(c *graph.Checkpoint, prefix string, m map[string][]float32) {
	for name, v := range m {
		c.Put(prefix+name, v, len(v))
	}
}

func getMap(c *graph.Checkpoint, prefix string) map[string][]float32 {
	m := make(map[string][]float32)
	for name, t := range c.Tensors {
		if rest, ok := strings.CutPrefix(name, prefix); ok && t.F32 != nil {
			m[rest] = t.F32
		}
	}
	return m
}
