package fit

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"

	"cmf/data/file"
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
// If the network is the conjugate w*, the input y is noise or a point of the other table, and
// the outputs are conjugate, gradient and points, inverse or map. Only columns that are learned
// take part. Units that are not affine are an error.
func (m *Model) exportIn(u config.ExportUnits) error {
	if u != config.ExportData {
		return nil
	}
	to, columns, err := units.AffineOf(m.Units(), m.Form())
	var source units.Affine
	if from := m.Origin.From; from != nil && err == nil {
		source, _, err = units.AffineOf(from.Units, from.Form)
	}
	if err != nil {
		return fmt.Errorf("CMF_ONNX=data: %w; allowed is learning, or CMF_MARGINS=plain if all columns are numbers without missing values", err)
	}
	text, err := json.Marshal(columns)
	of := func(u units.Affine) *graph.ONNXUnits { return (*graph.ONNXUnits)(&u) }
	m.export = layers.ONNX{Input: of(to), Image: "noise", Metadata: map[string]string{"cmf.columns": string(text)}}
	conjugate := m.Origin.architecture.Family == layers.NetworkQuadratics
	switch {
	case m.Origin.From != nil && m.Origin.OnSource != conjugate:
		m.export.Input, m.export.Image, m.export.Output = of(source), "map", of(to)
	case m.Origin.From != nil:
		m.export.Image, m.export.Output = "inverse", of(source)
	case conjugate:
		m.export.Input, m.export.Image, m.export.Output = nil, "points", of(to)
	}
	return err
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
	maps.Copy(o.Metadata, m.export.Metadata)
	err = file.Write(filepath.Join(m.folder, "model.onnx"), func(f io.Writer) error { return layers.WriteONNX(f, m.network, o) })
	if err != nil {
		return fmt.Errorf("model.onnx: %w", err)
	}
	return nil
}
