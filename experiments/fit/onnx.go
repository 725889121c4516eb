package fit

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"cmf/data/file"
	"cmf/data/margins"
	"cmf/data/units"
	"cmf/experiments/config"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/layers"
	"cmf/layers/autoencoder"
)

// exportIn says in which units model.onnx is to be. In units of learning it holds w(z) and
// ∇w(z) of float32; see layers.WriteONNX. In the data's, x = c + s⊙z and points are float64:
//
//	w         w(z), z = (x − c)/s
//	gradient  ∇w(z)/s, the gradient of that by x
//	noise     ∇w(z), from which ∇w* makes x, in the units of gibbs.npy
//	map       c′ + s⊙∇w(z), the image of x, for a map between tables whose potential is on the
//	          source; c′ is the centre of the target
//	inverse   the same, where it is on the target and x one of its points
//
// If the network is the conjugate w*, the input y is noise, or a point of the other table, and
// the outputs are conjugate, gradient and, in the data's units, points, inverse or map.
//
// Only columns that are learned take part. Units that are not affine are an error.
func (m *Model) exportIn(u config.ExportUnits) error {
	if u != config.ExportData {
		return nil
	}
	to, columns, err := affine(m.Units(), m.Form())
	if err != nil {
		return err
	}
	conjugate := m.Origin.architecture.Family == layers.NetworkQuadratics
	m.export = layers.ONNX{Input: &to, Image: "noise", Metadata: map[string]string{}}
	switch from := m.Origin.From; {
	case from != nil:
		source, _, err := affine(from.Units, from.Form)
		if err != nil {
			return err
		}
		m.export.Image, m.export.Output = "inverse", &source
		if m.Origin.OnSource != conjugate {
			m.export.Input, m.export.Image, m.export.Output = &source, "map", &to
		}
	case conjugate:
		m.export.Input, m.export.Image, m.export.Output = nil, "points", &to
	}
	text, err := json.Marshal(columns)
	m.export.Metadata["cmf.columns"] = string(text)
	return err
}

// affine are units as centres and scales, with the names of the columns that are learned.
func affine(u units.Units, f units.Form) (a graph.ONNXUnits, columns []string, err error) {
	const allowed = "CMF_ONNX=data: %s; allowed is learning%s"
	switch u := u.(type) {
	case units.Affine:
		for j := range u.Center {
			columns = append(columns, f.Name(j))
		}
		return graph.ONNXUnits(u), columns, nil
	case *margins.Margins:
		for j, name := range u.Names() {
			c := u.Columns[j]
			switch {
			case c.Affine != nil:
				a.Center, a.Scale, columns = append(a.Center, c.Affine.Center), append(a.Scale, c.Affine.Scale), append(columns, name)
			case c.Learned():
				return a, nil, fmt.Errorf(allowed, fmt.Sprintf("column %q is learned by its margin, which no network of the model holds", name), ", or CMF_MARGINS=plain if all columns are numbers without missing values")
			}
		}
		return a, columns, nil
	}
	return a, nil, fmt.Errorf(allowed, "the data's units are not affine in those of learning", "")
}

// writeONNX writes model.onnx, with the units of learning and the form of the data as in
// checkpoints.
func (m *Model) writeONNX() error {
	u := m.Origin.Units
	switch u.(type) {
	case *units.Principal, *autoencoder.Latent:
		u = nil // these hold networks and arrays, which a text cannot
	}
	text, err := units.Marshal(u, m.Origin.Form)
	if err != nil {
		return err
	}
	o := m.export
	o.Metadata = map[string]string{"cmf.experiment": m.Origin.Experiment, "cmf.units": string(text), "cmf.version": run.Version()}
	if o.Input != nil || o.Output != nil {
		o.Metadata["cmf.columns"] = m.export.Metadata["cmf.columns"]
	}
	err = file.Write(filepath.Join(m.folder, "model.onnx"), func(f io.Writer) error { return layers.WriteONNX(f, m.network, o) })
	if err != nil {
		return fmt.Errorf("model.onnx: %w", err)
	}
	return nil
}
