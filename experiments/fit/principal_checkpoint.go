package fit

import (
	"fmt"

	"cmf/data/units"
	"cmf/graph"
)

// putPrincipal writes the directions into a checkpoint.
func putPrincipal(p *units.Principal, c *graph.Checkpoint) {
	single := func(values ...float64) []float32 {
		out := make([]float32, len(values))
		for i, v := range values {
			out[i] = float32(v)
		}
		return out
	}
	c.Put("units.mean", single(p.Mean...), len(p.Mean))
	c.Put("units.directions", p.Vectors.Data, p.Vectors.Rows, p.Vectors.Cols)
	c.Put("units.variances", single(append(p.Values, p.Rest)...), len(p.Values)+1)
}

// principalOf reads what putPrincipal wrote, for a model with learned dimensions. It is
// nil if there is nothing to read.
func principalOf(c *graph.Checkpoint, learned int) (*units.Principal, error) {
	t, ok := c.Tensors["units.directions"]
	if !ok {
		return nil, nil
	}
	p := &units.Principal{Vectors: t.General(), Learned: learned}
	double := func(name string, n int) (values []float64, err error) {
		single, err := c.Values(name, n)
		for _, v := range single {
			values = append(values, float64(v))
		}
		return values, err
	}
	d, k := p.Vectors.Rows, p.Vectors.Cols
	if k < learned || d <= k {
		return nil, fmt.Errorf("its %q has shape %v; a model of dimension %d needs (d, k) with d > k ≥ %[3]d", "units.directions", t.Shape, learned)
	}
	var err error
	if p.Mean, err = double("units.mean", d); err != nil {
		return nil, err
	}
	variances, err := double("units.variances", k+1)
	if err != nil {
		return nil, err
	}
	for _, v := range variances {
		if !(v > 0) {
			return nil, fmt.Errorf("its %q holds %g; they must be positive", "units.variances", v)
		}
	}
	p.Values, p.Rest = variances[:k], variances[k]
	return p, nil
}
