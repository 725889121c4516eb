package fit

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"cmf/graph"
	"cmf/solvers/optim"
	"cmf/solvers/potential"
)

// store writes everything in a run that changes: weights, optimiser, moving average,
// particle bank with its conjugates, walkers, preconditioner, the last good weights,
// random streams and counts; and what LoadModel needs: architecture, units, configuration.
func (m *Model) store(path string) error {
	s := m.State
	c := graph.NewCheckpoint()
	c.PutParams(m.params)
	for _, w := range m.own() {
		c.Put("own."+w.Name, w.Value, len(w.Value))
	}
	putMap(c, "adam.m.", s.Adam.M)
	putMap(c, "adam.v.", s.Adam.V)
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
	return c.Save(path)
}

// load restores what store wrote into a run of the same architecture and batch. It also
// returns how the configuration of the run that wrote it differed.
func (m *Model) load(path string) (differing []string, err error) {
	c, err := graph.LoadCheckpoint(path)
	if err != nil {
		return nil, err
	}
	if differing, err = m.differences(c); err != nil {
		return nil, err
	}
	return differing, m.restore(c)
}

func (m *Model) restore(c *graph.Checkpoint) (err error) {
	s := m.State
	if err := c.GetParams(m.params); err != nil {
		return err
	}
	for _, w := range m.own() {
		if err := c.Get("own."+w.Name, w.Value); err != nil {
			return fmt.Errorf("%w; CMF_LOSS must be that of the checkpoint", err)
		}
	}
	banks := []struct {
		name string
		dst  []float32
	}{{"bank.y", s.Bank.Y.Data}, {"bank.partners", s.Partners.Data}}
	if m.Evaluator.Solves() {
		banks = append(banks, banks[0])
		banks[2].name, banks[2].dst = "bank.gradients", s.Bank.Grad.Data
	}
	for _, bank := range banks {
		if err := c.Get(bank.name, bank.dst); err != nil {
			return fmt.Errorf("%w; CMF_BATCH and CMF_PARTICLES must be those of the checkpoint", err)
		}
	}
	if err := m.loadGiven(c); err != nil {
		return fmt.Errorf("%w; CMF_BATCH and CMF_PARTICLES must be those of the checkpoint", err)
	}
	s.Adam.M, s.Adam.V = getMap(c, "adam.m."), getMap(c, "adam.v.")
	if mean := getMap(c, "average."); len(mean) > 0 {
		m.average.Mean = mean
	}
	if err := m.chosen.get(c); err != nil {
		return err
	}
	if good := getMap(c, "good."); len(good) > 0 {
		s.Good = good
	}
	if err := m.loadPreconditioner(c); err != nil {
		return err
	}
	for name, to := range m.counts() {
		if *to, err = strconv.Atoi(c.Texts[name]); err != nil || *to < 0 {
			return fmt.Errorf("its %q is %q, not a number of steps", name, c.Texts[name])
		}
	}
	if s.Next >= s.Bank.Y.Rows {
		return fmt.Errorf("its %q is %d, beyond the bank of %d", "bank.next", s.Next, s.Bank.Y.Rows)
	}
	for name, to := range map[string]*float64{"chains.gamma": &s.Bank.Step, "chains.bound": &s.Bank.Curvature, "level": &s.Level} {
		if *to, err = strconv.ParseFloat(c.Texts[name], 64); err != nil {
			return fmt.Errorf("its %q is %q, not a number", name, c.Texts[name])
		}
	}
	for name, to := range m.tally.sums() {
		text, ok := c.Texts["tally."+name]
		if !ok {
			continue // the checkpoint is of an earlier version
		}
		if *to, err = strconv.ParseFloat(text, 64); err != nil {
			return fmt.Errorf("its %q is %q, not a number", "tally."+name, text)
		}
	}
	stream, err := hex.DecodeString(c.Texts["stream"])
	if err == nil {
		err = s.Stream.UnmarshalBinary(stream)
	}
	if err != nil {
		return fmt.Errorf("its random stream: %w", err)
	}
	if m.epochs != nil {
		order, err := hex.DecodeString(c.Texts["epochs"])
		if err == nil {
			err = m.epochs.Restore(order)
		}
		if err != nil {
			return fmt.Errorf("its order of minibatches: %w", err)
		}
	}
	return m.loadWalkers(c)
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
	p, ok := c.Tensors["metric.p"]
	if !ok {
		return nil
	}
	preconditioner, err := potential.DensePreconditioner(p.General(), c.Tensors["metric.l"].General())
	if err != nil {
		return fmt.Errorf("its preconditioner: %w", err)
	}
	if p.Shape[0] != m.Evaluator.Dim() {
		return fmt.Errorf("its preconditioner has dimension %d, its potential %d; they must agree", p.Shape[0], m.Evaluator.Dim())
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
	if m.Energy.Evaluations, err = strconv.Atoi(c.Texts["energy.evaluations"]); err != nil {
		return fmt.Errorf("its number of evaluations of the energy: %w", err)
	}
	w := m.Energy.Walkers
	if w == nil {
		return nil
	}
	if err := c.Get("walkers.x", w.Y.Data); err != nil {
		return fmt.Errorf("%w; CMF_BATCH and the shares must be those of the checkpoint", err)
	}
	w.Fresh = false
	if w.Adaptations, err = strconv.Atoi(c.Texts["walkers.steps"]); err != nil {
		return fmt.Errorf("its walkers: %w", err)
	}
	if w.Step, err = strconv.ParseFloat(c.Texts["walkers.gamma"], 64); err != nil {
		return fmt.Errorf("its walkers: %w", err)
	}
	return nil
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
