package fit

import (
	"path/filepath"

	"cmf/data/margins"
	"cmf/data/units"
	"cmf/graph"

	"gonum.org/v1/gonum/blas/blas32"
)

// Margins are the units of a model of a table, nil if it is of something else.
func (m *Model) Margins() *margins.Margins {
	u, _ := m.Units().(*margins.Margins)
	return u
}

// Correct gives the model of a table, which Fit has just learned, the margins of the data;
// see margins.Corrected. Its checkpoint and model.onnx get them too. points are draws of the
// model, in the units of learning.
func (m *Model) Correct(points blas32.General) error {
	u, err := m.Margins().Corrected(points)
	if err != nil {
		return err
	}
	m.Origin.Units = u
	path := filepath.Join(m.folder, "checkpoint.safetensors")
	c, err := graph.LoadCheckpoint(path)
	if err != nil {
		return err
	}
	if err := m.Origin.put(c); err != nil {
		return err
	}
	if err := c.Save(path); err != nil || m.Evaluator.Contexts() > 0 {
		return err
	}
	return m.writeONNX()
}

// WithoutMargins says whether a checkpoint is of a table whose columns were learned before
// they had margins.Margins.
func WithoutMargins(path string) (bool, error) {
	c, err := graph.LoadCheckpoint(path)
	if err != nil {
		return false, err
	}
	o, err := originOf(c)
	if err != nil {
		return false, err
	}
	_, affine := o.Units.(units.Affine)
	return affine, nil
}
