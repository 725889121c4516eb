package main

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cmf/data/table"
	"cmf/experiments/picture"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/losses"
	"cmf/solvers"
	"cmf/solvers/batch"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
)

// trainedTiny is the tiny size after a few iterations.
func trainedTiny(t *testing.T) *bench {
	t.Helper()
	set, err := planePoints()
	if err != nil {
		t.Fatal(err)
	}
	set.train = batch.Rows(set.train, 0, 4096)
	set.Particles = 512
	b, err := benchSizes[2].trained(t.Context(), set, 5)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func icnn(b *bench) *layers.ICNN { return b.w.(*layers.ICNN) }

// Training leaves the quadratic at ¼|x|², and its hinges far into both tails.
func TestBenchTrainedState(t *testing.T) {
	b := trainedTiny(t)
	w := icnn(b)
	for j := range b.w.Dim() {
		if w.Floor.At(j) != benchCurvature || w.Share.At(j) != 0 || w.Center.At(j) != 0 {
			t.Errorf("coordinate %d: quadratic %g + %g about %g", j, w.Floor.At(j), w.Share.At(j), w.Center.At(j))
		}
	}
	for name, m := range b.arrays() {
		if blas32.Asum(blas32.Vector{N: len(m.Data), Inc: 1, Data: m.Data}) == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	if low, high, subnormal := b.reach(icnn(b)); !(low < -30 && high > 30 && subnormal >= 0 && subnormal < 1) {
		t.Errorf("pre-activations from %g to %g, %g of them deep", low, high, subnormal)
	}
}

func TestBenchStateRoundTrip(t *testing.T) {
	want := trainedTiny(t)
	folder := filepath.Join(t.TempDir(), "tiny")
	if err := want.save(folder); err != nil {
		t.Fatal(err)
	}
	got, err := benchSizes[2].load(folder)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.arrays(), got.arrays()); diff != "" {
		t.Errorf("arrays (-want +got):\n%s", diff)
	}
	larger := benchSizes[2]
	larger.n++
	if _, err := larger.load(folder); err == nil || !strings.Contains(err.Error(), "its shape is") {
		t.Errorf("another size: error %v", err)
	}
	os.Remove(filepath.Join(folder, "out.npy"))
	if _, err := benchSizes[2].load(folder); err == nil || !strings.Contains(err.Error(), "out.npy") {
		t.Errorf("a lacking array: error %v", err)
	}
}

// A second case of a size uses the weights that the first has trained.
func TestBenchTrainsOnce(t *testing.T) {
	r := &run.Run{Folder: t.TempDir(), Progress: run.NewProgress(&bytes.Buffer{}, run.ProgressOptions{})}
	r.Report.Metrics = report.Numbers{}
	c := &BenchConfig{Train: 2}
	folder, err := dataFolder(r, t.Context(), c, benchSizes[2])
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(folder, "out.npy"))
	if err != nil {
		t.Fatal(err)
	}
	if folder, err = dataFolder(r, t.Context(), c, benchSizes[2]); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(filepath.Join(folder, "out.npy")); err != nil || !os.SameFile(before, after) || len(r.Report.Notes) != 1 {
		t.Errorf("it trained anew: %v, notes %v", err, r.Report.Notes)
	}
	c.Weights = filepath.Join(r.Folder, "absent")
	if _, err := dataFolder(r, t.Context(), c, benchSizes[2]); err == nil || !strings.Contains(err.Error(), "CMF_WEIGHTS") {
		t.Errorf("absent weights: error %v", err)
	}
}

// The peer computes the same functions: on the same weights its gradients equal ours up to
// rounding.
func TestBenchPeerAgrees(t *testing.T) {
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import numpy, torch").Run(); err != nil {
		t.Skip("no PyTorch:", err)
	}
	if testing.Short() {
		t.Skip("starts Python often")
	}
	for _, size := range benchSizes {
		if size.pieces > 0 {
			testPeerAgreesOnQuadratics(t, python, size)
		}
	}
	twoPieces := benchSizes[2]
	twoPieces.name, twoPieces.unit = "tiny-maximum", layers.Maximum
	for _, size := range []benchSize{benchSizes[2], benchSizes[3], twoPieces} {
		b, err := size.random()
		if err != nil {
			t.Fatal(err)
		}
		if size.learns() {
			b = trainedTiny(t)
		} else {
			for i := range b.y.Data {
				b.y.Data[i]++ // of two equal laws the gradients of dual would cancel, but for rounding
			}
		}
		weights := filepath.Join(t.TempDir(), size.name)
		if err := b.save(weights); err != nil {
			t.Fatal(err)
		}
		for _, work := range []string{"grad", "values", "dual", "pairs", "logdet"} {
			if work != "logdet" || size.d == 2 {
				testPeerAgrees(t, python, size, work, weights)
			}
		}
	}
}

// smallStart is the start of quadratics on fewer points.
func smallStart(t *testing.T, size benchSize) *bench {
	t.Helper()
	const points = 1000
	set, err := size.points(t.Context(), t.TempDir(), points)
	if err != nil {
		t.Fatal(err)
	}
	set.train = batch.Gathered(set.train, picture.SpreadRows(set.train.Rows, min(points, set.train.Rows)))
	b, err := size.started(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testPeerAgreesOnQuadratics(t *testing.T, python string, size benchSize) {
	b := smallStart(t, size)
	weights := filepath.Join(t.TempDir(), size.name)
	if err := b.save(weights); err != nil {
		t.Fatal(err)
	}
	for _, work := range []string{"values", "solve", "dual"} {
		testPeerAgrees(t, python, size, work, weights)
	}
}

func testPeerAgrees(t *testing.T, python string, size benchSize, work, weights string) {
	b, err := size.load(weights)
	if err != nil {
		t.Fatal(err)
	}
	tolerance := 2e-5
	if size.pieces > 0 && work != "values" {
		tolerance = 1e-3 // a solve ends after a step of 1e-4
	}
	found := t.TempDir()
	peer := exec.Command(python, "peer.py", size.name+"/"+work, "--weights", weights, "--gradients", found)
	peer.Env = append(os.Environ(), "PEER_KERNEL=")
	if said, err := peer.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	for name, want := range b.gradients(t, work) {
		got, err := table.ReadBatch(filepath.Join(found, name+".npy"))
		if err != nil {
			t.Fatal(err)
		}
		scale, worst := 0., 0.
		for i, v := range want {
			scale = max(scale, math.Abs(float64(v)))
			worst = max(worst, math.Abs(float64(v-got.Data[i])))
		}
		if len(want) != len(got.Data) || !(worst <= tolerance*scale) {
			t.Errorf("%s/%s, %s: differs by %g of at most %g", size.name, work, name, worst, scale)
		}
	}
}

// gradients are ∇w at x, or the loss of a work and its gradient in each weight.
func (b *bench) gradients(t *testing.T, work string) map[string][]float32 {
	if work == "values" {
		g, v, at, eval := batch.New(b.x.Rows, b.x.Cols), make([]float32, b.x.Rows), b.x, b.evaluator.Eval
		if b.evaluator.Explicit() {
			at, eval = b.y, b.evaluator.EvalConjugate
		}
		if err := eval(at, v, g); err != nil {
			t.Fatal(err)
		}
		return map[string][]float32{"value": v, "gradient": g.Data}
	}
	if work == "grad" || work == "solve" {
		g := batch.New(b.x.Rows, b.x.Cols)
		if err := b.evaluator.Eval(b.x, nil, g); err != nil {
			t.Fatal(err)
		}
		return map[string][]float32{"gradient": g.Data}
	}
	term := map[string]losses.Term{"dual": losses.Dual{}, "pairs": losses.Pairs{}, "logdet": logDetVariance{}}[work]
	program, trained, err := losses.Compile(b.w, losses.Sum{{Factor: 1, Term: term}}, b.x.Rows)
	if err != nil {
		t.Fatal(err)
	}
	batches := map[*solvers.Kind]blas32.General{solvers.BatchData: b.x, solvers.BatchGibbs: b.y, solvers.BatchConjugate: b.y, solvers.BatchPaired: b.y, solvers.BatchMask: b.mask()}
	for _, kind := range term.Inputs() {
		copy(program.In(kind.Name).F32, batches[kind].Data)
	}
	if err := program.Run(); err != nil {
		t.Fatal(err)
	}
	found := map[string][]float32{}
	if work != "dual" { // whose value also has mean ⟨x̂, y⟩, which depends on no weight
		found["loss"] = program.Out("loss").F32
	}
	for _, p := range trained {
		found[p.Name] = program.Out("gradient " + p.Name).F32
	}
	return found
}

// Without MNIST the digits are those of the stand-in, and are named so.
func TestBenchDigits(t *testing.T) {
	set, err := digitPoints(t.Context(), t.TempDir(), 500)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(set.name, "stand-in") || set.train.Cols != benchSizes[0].d || set.train.Rows != 500 {
		t.Errorf("%s of shape (%d, %d)", set.name, set.train.Rows, set.train.Cols)
	}
	law, share, err := lawOfQuadratic(set.train)
	if err != nil || math.Abs(share*math.Pow(law.Values[0], -1./3)-benchCurvature) > 1e-12 || share > .9 {
		t.Errorf("share %g of the law of variance %g, %v", share, law.Values[0], err)
	}
}
