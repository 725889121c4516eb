package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"cmf/data"
	"cmf/data/table"
	"cmf/experiments/run"
	"cmf/graph/blas"
	"cmf/graph/kernel"
	"cmf/layers"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// openBench is the potential and the points for a case.
func openBench(r *run.Run, ctx context.Context, c *BenchConfig, k benchCase) (*bench, error) {
	if !k.onData() {
		return k.size.random()
	}
	folder, err := dataFolder(r, ctx, c, k.size)
	if err != nil {
		return nil, err
	}
	return k.size.load(folder)
}

// dataFolder is the folder of the state of a size on data, in CMF_WEIGHTS or in this run's
// folder: trained, or, of quadratics, at their start. In the latter folder it makes a state
// that is not there yet.
func dataFolder(r *run.Run, ctx context.Context, c *BenchConfig, s benchSize) (string, error) {
	folder := filepath.Join(weightsOf(r, c), s.name)
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) || c.Weights != "" {
		if err != nil {
			err = fmt.Errorf("CMF_WEIGHTS=%s: %w", c.Weights, err)
		}
		return folder, err
	}
	set, err := s.points(ctx, c.DataDir, 20000)
	if err != nil {
		return "", err
	}
	if s.pieces > 0 {
		r.Report.Notes = append(r.Report.Notes, fmt.Sprintf("%s: the start on %s.", s.name, set.name))
		b, err := s.started(set)
		if err != nil {
			return "", fmt.Errorf("the start of %s on %s: %w", s.name, set.name, err)
		}
		return folder, b.save(folder)
	}
	r.Progress.Log.Info("training", "size", s.name, "data", set.name, "steps", c.Train)
	b, err := s.trained(ctx, set, c.Train)
	if err != nil {
		return "", err
	}
	low, high, subnormal := b.reach(b.w.(*layers.ICNN))
	r.Report.Notes = append(r.Report.Notes, fmt.Sprintf(
		"%s-trained: %d iterations of CMFGen on %s. Over the data the inputs a of hidden units are between %.0f and %.0f; for %.2g %% of them e^−|a| is below the normal float32 numbers.",
		s.name, c.Train, set.name, low, high, 100*subnormal))
	r.Report.Metrics[s.name+"-trained.subnormal_share"] = subnormal
	return folder, b.save(folder)
}

// points are what a size learns or starts from; n is the number of digits.
func (s benchSize) points(ctx context.Context, folder string, n int) (benchData, error) {
	switch s.d {
	case 2:
		return planePoints()
	case benchSizes[0].d:
		return digitPoints(ctx, folder, n)
	}
	return mixturePoints(s.d), nil
}

// weightsOf is the folder of trained weights. Only one of the run's own begins the run.
func weightsOf(r *run.Run, c *BenchConfig) string {
	if c.Weights != "" {
		return c.Weights
	}
	return r.Path("trained")
}

// save writes a folder of arrays: the weights by name, and x and y.
func (b *bench) save(folder string) error {
	part := folder + ".part" // so that the folder is complete if it exists
	if err := os.MkdirAll(part, 0o777); err != nil {
		return err
	}
	for name, m := range b.arrays() {
		if err := data.WriteNPY(filepath.Join(part, name+".npy"), m); err != nil {
			return err
		}
	}
	return os.Rename(part, folder)
}

// arrays are the trained weights, of quadratics also their floor, and the points.
func (b *bench) arrays() map[string]blas32.General {
	arrays := map[string]blas32.General{"x": b.x, "y": b.y}
	for _, p := range b.w.Params().All() {
		if p.Frozen && b.w.Describe().Family != layers.NetworkQuadratics {
			continue
		}
		arrays[p.Name] = blas32.General{Rows: p.Rows, Cols: p.Cols, Stride: p.Cols, Data: p.Float32s()}
	}
	return arrays
}

// load reads what save wrote, for the size s.
func (s benchSize) load(folder string) (*bench, error) {
	w, err := s.empty()
	if err != nil {
		return nil, err
	}
	b, err := newBenchAt(w, batch.New(s.n, s.d), batch.New(s.n, s.d))
	if err != nil {
		return nil, err
	}
	for name, m := range b.arrays() {
		path := filepath.Join(folder, name+".npy")
		read, err := table.ReadBatch(path)
		if err != nil {
			return nil, err
		}
		if read.Rows != m.Rows || read.Cols != m.Cols {
			return nil, fmt.Errorf("%s: its shape is (%d, %d); that of %s is (%d, %d)", path, read.Rows, read.Cols, s.name, m.Rows, m.Cols)
		}
		copy(m.Data, read.Data)
	}
	return b, nil
}

// reach is the range of the pre-activations a over the points x, and the share of them for which
// e^{−|a|} is subnormal or 0 in float32.
func (b *bench) reach(w *layers.ICNN) (low, high float32, subnormal float64) {
	deepest := float32(126 * math.Ln2)
	low, high = math.MaxFloat32, -math.MaxFloat32
	n, d := b.x.Rows, b.x.Cols
	var z []float32
	var count, below float64
	for l, layer := range w.Layers {
		layer := layer[0] // softplus has one piece
		h := layer.Bias.Cols
		a := make([]float32, n*h)
		for i := range n {
			copy(a[i*h:], layer.Bias.Float32s())
		}
		blas.Gemm(false, false, n, h, d, 1, b.x.Data, d, layer.Skip.Float32s(), h, 1, a, h)
		if l > 0 {
			k := layer.Weigh.Rows
			blas.Gemm(false, false, n, h, k, 1, z, k, layer.Weigh.Float32s(), h, 1, a, h)
		}
		for _, v := range a {
			low, high = min(low, v), max(high, v)
			if v < -deepest || v > deepest {
				below++
			}
		}
		count += float64(len(a))
		z = make([]float32, len(a))
		kernel.Softplus(z, a)
	}
	return low, high, below / count
}
