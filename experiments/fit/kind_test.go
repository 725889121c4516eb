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
	"cmf/experiments/internal/exptest"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
)

// blurred has the rows x_i + z_i/10, z_i ~ N(0, I): a kind of batch that no known term
// reads. It logs the mean of ‖z_i‖²/d.
var blurred = &solvers.Kind{Name: "blurred", CMFGen: func(c *solvers.CMFGen, dst blas32.General) error {
	x, err := c.Batch(solvers.BatchData)
	if err != nil {
		return err
	}
	c.State.Stream.Normals(dst.Data)
	c.Log("blurred_variance", batch.SumSquares(dst.Data)/float64(len(dst.Data)))
	for i, v := range x.Data {
		dst.Data[i] = v + dst.Data[i]/10
	}
	return nil
}}

// steady penalises a Monge map that moves much where its argument does not,
// mean_i ‖∇w(x_i + z_i/10) − ∇w(x_i)‖².
type steady struct{}

func (steady) Name() string { return "steady" }

func (steady) Inputs() []*solvers.Kind { return []*solvers.Kind{solvers.BatchData, blurred} }

func (steady) Declare(s *graph.Scope, w layers.Potential, batch func(*solvers.Kind) *gorgonia.Node) *gorgonia.Node {
	moved := s.Sub(w.Gradient(s, batch(blurred)), w.Gradient(s, batch(solvers.BatchData)))
	return s.Mean(s.SumCols(s.Square(moved)))
}

// narrow fits N(0, I/4) with the term steady.
var narrow = run.Definition[bareConfig]{
	Name: "narrow",
	Presets: map[string]func(*bareConfig){
		"default": func(c *bareConfig) { c.Steps, c.Batch, c.Hidden, c.LR = 30, 64, config.Widths{8}, 1e-2 },
	},
	Do: func(ctx context.Context, r *run.Run, c *bareConfig) error {
		points := batch.New(1000, 2)
		random.New(c.Seed, "points", 0).Normals(points.Data)
		for i := range points.Data {
			points.Data[i] /= 2
		}
		w, err := layers.NewICNN(layers.Architecture{Dim: 2, Hidden: c.Hidden})
		if err != nil {
			return err
		}
		_, err = fit.Fit(ctx, r, &c.Core, fit.Problem{
			Potential: w, Start: layers.Start{Law: exact.StandardGaussian(2)}, Train: points, Terms: []losses.Term{steady{}},
		})
		return err
	},
}

// A term with a new kind of batch needs one declaration and one type, which may be in any
// package. A fit makes the batch, trains on it, logs its numbers, and repeats to the same
// bits.
func TestTermWithItsOwnBatch(t *testing.T) {
	fitted := func(variables ...string) *run.Run {
		t.Helper()
		env := config.Variables("CMF_OUT=" + t.TempDir()).With(variables...)
		r, err := run.Execute(t.Context(), narrow, env, nil, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	last := func(r *run.Run, name string) float64 {
		t.Helper()
		curves, err := report.ReadMetricsLog(r.Folder)
		if err != nil {
			t.Fatal(err)
		}
		if len(curves[name].Y) == 0 {
			t.Fatalf("the log has no %s", name)
		}
		return curves[name].Y[len(curves[name].Y)-1]
	}
	whole := fitted("CMF_LOSS=dual+10*steady")
	if v := last(whole, "blurred_variance"); math.Abs(v-1) > .5 {
		t.Errorf("the blur has variance %g, want about 1", v)
	}
	idle := fitted("CMF_LOSS=dual+1e-9*steady")
	if with, without := last(whole, "term_steady"), last(idle, "term_steady"); !(with < .9*without) {
		t.Errorf("the term is at %g where it is trained, at %g where it is not", with, without)
	}
	again := fitted("CMF_LOSS=dual+10*steady")
	want, got := exptest.LoadCheckpoint(t, whole.Folder), exptest.LoadCheckpoint(t, again.Folder)
	delete(want.Texts, "config")
	delete(got.Texts, "config")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the same fit again leaves other weights:\n%s", diff)
	}
}

// If the algorithm does not make a kind, the error names those that it makes.
func TestKindOfTheOtherAlgorithm(t *testing.T) {
	for _, c := range []struct {
		terms  []losses.Term
		loss   string
		energy bool
		want   []string
	}{
		{[]losses.Term{steady{}}, "monge-ampere+steady", true, []string{"the term steady needs samples", `CMFMA makes the batches mask, points, energy, slope; CMFGen makes "data"`}},
		{nil, "monge-ampere", false, []string{"the term monge-ampere needs an energy", "CMFGen makes the batches data, gibbs, conjugate, mask, paired, barycentre, probe, solved", `CMFMA makes "points"`}},
		{[]losses.Term{lost{}}, "dual+lost", false, []string{"the term lost: ", `nothing makes "lost"`}},
		{[]losses.Term{lost{}}, "lost", true, []string{"the term lost: ", `nothing makes "lost"`}},
	} {
		_, err := fit.ParseLoss(c.loss, c.energy, c.terms...)
		if err == nil || slices.ContainsFunc(c.want, func(text string) bool { return !strings.Contains(err.Error(), text) }) {
			t.Errorf("%s: error %v; want one that says %q", c.loss, err, c.want)
		}
	}
}

// lost reads a batch that nothing makes.
type lost struct{ steady }

func (lost) Name() string { return "lost" }

func (lost) Inputs() []*solvers.Kind { return []*solvers.Kind{{Name: "lost"}} }
