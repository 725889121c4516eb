package autoencoder

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cmf/graph"
	"cmf/solvers/random"
)

// Names in a checkpoint.
const (
	prefix       = "autoencoder."
	architecture = prefix + "architecture"
	trained      = prefix + "step" // only while it is being trained
)

// Put writes the network into a checkpoint, beside what else is there. It keeps the
// memory of the weights: save before they change.
func (n *Network) Put(c *graph.Checkpoint) error {
	text, err := json.Marshal(n.Architecture)
	if err != nil {
		return err
	}
	c.Texts[architecture] = string(text)
	for _, p := range n.params.All() {
		c.Put(prefix+p.Name, p.Float32s(), p.Rows, p.Cols)
	}
	return nil
}

// Has reports whether a checkpoint has an autoencoder.
func Has(c *graph.Checkpoint) bool { _, ok := c.Texts[architecture]; return ok }

// Of is the network of a checkpoint, nil if there is none.
func Of(c *graph.Checkpoint) (*Network, error) {
	text, ok := c.Texts[architecture]
	if !ok {
		return nil, nil
	}
	var a Architecture
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("this version does not know the architecture of its autoencoder: %w", err)
	}
	if err := a.Check(); err != nil {
		return nil, err
	}
	// The size of the file limits the memory that is allocated for it.
	for _, l := range a.layers() {
		if _, err := c.Values(prefix+l.name+".weight", l.rows, l.cols); err != nil {
			return nil, err
		}
		if _, err := c.Values(prefix+l.name+".bias", 1, l.responses); err != nil {
			return nil, err
		}
	}
	n, err := New(a, random.New(0, "autoencoder", 0))
	if err != nil {
		return nil, err
	}
	for _, p := range n.params.All() {
		v, err := c.Values(prefix+p.Name, p.Rows, p.Cols)
		if err != nil {
			return nil, err
		}
		copy(p.Float32s(), v)
	}
	return n, nil
}

// Put writes the state of training into a checkpoint, beside the network. The streams
// of minibatches and noise are not in it.
func (t *Trainer) Put(c *graph.Checkpoint) error {
	if err := t.Network.Put(c); err != nil {
		return err
	}
	s := &t.State
	c.Texts[trained] = strconv.Itoa(s.Step)
	c.Texts[prefix+"best.step"] = strconv.Itoa(s.Best.Step)
	c.Texts[prefix+"best.loss"] = strconv.FormatFloat(s.Best.Loss, 'x', -1, 64)
	for name, m := range t.moments() {
		for weight, values := range *m {
			c.Put(name+weight, values, len(values))
		}
	}
	return nil
}

// moments are the maps from weights to values in the state, by their names in a
// checkpoint.
func (t *Trainer) moments() map[string]*map[string][]float32 {
	s := &t.State
	return map[string]*map[string][]float32{prefix + "adam.m.": &s.Adam.M, prefix + "adam.v.": &s.Adam.V, prefix + "best.": &s.Best.Weights}
}

// InTraining reports whether a checkpoint is of an autoencoder that is being trained.
func InTraining(c *graph.Checkpoint) bool { _, ok := c.Texts[trained]; return ok }

// Restore reads what Put wrote into a trainer of the same architecture.
func (t *Trainer) Restore(c *graph.Checkpoint) (err error) {
	n, err := Of(c)
	if err != nil {
		return err
	}
	if n == nil || !reflect.DeepEqual(n.Architecture, t.Network.Architecture) {
		return fmt.Errorf("it is of another autoencoder than %+v", t.Network.Architecture)
	}
	s := &t.State
	for _, v := range []struct {
		name string
		to   *int
	}{{trained, &s.Step}, {prefix + "best.step", &s.Best.Step}} {
		if *v.to, err = strconv.Atoi(c.Texts[v.name]); err != nil || *v.to < 0 {
			return fmt.Errorf("its %q is %q, not a number of steps", v.name, c.Texts[v.name])
		}
	}
	if s.Best.Step > s.Step {
		return fmt.Errorf("its best step is %d, after %d steps of training", s.Best.Step, s.Step)
	}
	s.Adam.Steps = s.Step
	if s.Best.Loss, err = strconv.ParseFloat(c.Texts[prefix+"best.loss"], 64); err != nil || math.IsNaN(s.Best.Loss) {
		return fmt.Errorf("its %q is %q, not a number", prefix+"best.loss", c.Texts[prefix+"best.loss"])
	}
	moments := t.moments()
	for _, name := range slices.Sorted(maps.Keys(moments)) {
		if *moments[name], err = t.values(c, name); err != nil {
			return err
		}
	}
	for _, p := range t.Network.params.All() {
		copy(p.Float32s(), n.params.ByName(p.Name).Float32s())
	}
	return nil
}

// values are the arrays of a checkpoint for each weight, by what their names begin with.
func (t *Trainer) values(c *graph.Checkpoint, group string) (map[string][]float32, error) {
	all := map[string][]float32{}
	for _, w := range t.weights {
		if _, ok := c.Tensors[group+w.Name]; !ok && t.State.Step == 0 && group != prefix+"best." {
			continue // before the first step Adam has no moments
		}
		v, err := c.Values(group+w.Name, len(w.Value))
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(v, func(v float32) bool { return v < 0 }); i >= 0 && group == prefix+"adam.v." {
			return nil, fmt.Errorf("its %q holds %g; second moments are not negative", group+w.Name, v[i])
		}
		all[w.Name] = slices.Clone(v)
	}
	return all, nil
}
