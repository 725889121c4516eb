//go:build unix

package fit_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/plane"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/layers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/potential"
	"cmf/solvers/random"
)

// small fits two moons, or the energy of a mixture, and does nothing else.
var small = run.Definition[smallConfig]{
	Name: "small",
	Presets: map[string]func(*smallConfig){
		"default": func(c *smallConfig) { c.Steps, c.Batch, c.Hidden, c.LR = 6, 16, config.Widths{4, 4}, 1e-2 },
	},
	Do: func(ctx context.Context, r *run.Run, c *smallConfig) error {
		set, err := data.Toy("moons")
		if err != nil {
			return err
		}
		points := set.Sample(random.New(c.Seed, "points", 0), c.Points)
		law, err := exact.FitGaussian(points, 0)
		if err != nil {
			return err
		}
		w, err := c.Network(layers.Architecture{Dim: 2, Hidden: c.Hidden, DiagonalSkips: true, Rank: 1}, layers.Architecture{Pieces: 4})
		if err != nil {
			return err
		}
		p := fit.Problem{Potential: w, Start: layers.Start{Law: law}, Train: points, Precondition: true, Decay: .9}
		if c.Held > 0 {
			p.Validation = fit.Validation{X: batch.Rows(points, 0, c.Held)}
		}
		if c.Signal > 0 { // Watch is called before the score
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			defer cancel()
			p.WatchEvery, p.Watch = c.Signal, func(*fit.Model) (report.Numbers, error) {
				cancel()
				return report.Numbers{}, nil
			}
		}
		if c.Energy {
			p.Energy, p.Loss = potential.Normal{D: 2}, "monge-ampere"
		}
		_, err = fit.Fit(ctx, r, &c.Core, p)
		return err
	},
}

type smallConfig struct {
	config.Core
	Points int  `default:"300" desc:"points"`
	Held   int  `default:"0" desc:"points that choose the state of training"`
	Signal int  `default:"0" desc:"step at whose score a signal comes"`
	Energy bool `default:"false" desc:"whether to learn an energy"`
}

func runSmall(t testing.TB, variables ...string) (*run.Run, error) {
	t.Helper()
	env := config.Variables("CMF_OUT="+t.TempDir(), "CMF_THREADS=1").With(variables...)
	return run.Execute(t.Context(), small, env, nil, new(bytes.Buffer))
}

// smallKinds are the variables of small runs with different checkpoints.
var smallKinds = [][]string{nil, {"CMF_ENERGY=true"}, {"CMF_POTENTIAL=quadratics"}, {"CMF_LOSS=dual+amortised"}}

// drawn are points of a checkpoint's model.
func drawn(t testing.TB, path string) ([]float32, error) {
	m, err := fit.LoadModel(path)
	if err != nil {
		return nil, err
	}
	d, err := m.Draw(t.Context(), 16, 10, random.New(1, "draw", 0))
	if err != nil {
		return nil, err
	}
	return d.Points.Data, nil
}

// tries is TEST_DAMAGE, for long measurements, or a number that takes a second or two.
func tries(number int) int {
	if n, err := strconv.Atoi(os.Getenv("TEST_DAMAGE")); err == nil {
		return n
	}
	return number
}

// A flipped bit anywhere in a checkpoint is refused, or changes nothing.
func TestFlippedBits(t *testing.T) {
	r, err := runSmall(t)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(r.Path("checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := drawn(t, r.Path("checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	path := filepath.Join(t.TempDir(), "c.safetensors")
	refused, n := 0, tries(200)
	for range n {
		damaged := slices.Clone(whole)
		at := rng.IntN(len(damaged))
		damaged[at] ^= 1 << rng.IntN(8)
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := drawn(t, path)
		if err != nil {
			refused++
			_, err = runSmall(t, "CMF_RESUME="+path, "CMF_STEPS=8")
			if err == nil || !strings.Contains(err.Error(), "CMF_RESUME="+path) {
				t.Errorf("a bit of byte %d is refused by a load, but by a resume %v", at, err)
			}
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("a bit of byte %d, flipped unseen, moves samples", at)
		}
	}
	t.Logf("%d of %d flipped bits refused, the others without effect", refused, n)
	if refused < n*99/100 {
		t.Errorf("only %d of %d flipped bits are refused", refused, n)
	}
}

// script makes the choices of mutate: those of its bytes, and then random ones.
type script struct {
	bytes []byte
	rest  rand.Source
}

func (s *script) Uint64() uint64 {
	if len(s.bytes) == 0 {
		return s.rest.Uint64()
	}
	b := uint64(s.bytes[0])
	s.bytes = s.bytes[1:]
	return b * 0x0101010101010101 // its high bits and its low bits say the same
}

// mutate changes the structure or a value of a checkpoint, and says how.
func mutate(c *graph.Checkpoint, rng *rand.Rand) string {
	names := slices.Sorted(maps.Keys(c.Tensors))
	name, other := names[rng.IntN(len(names))], names[rng.IntN(len(names))]
	v := c.Tensors[name]
	if v.F32 == nil { // an earlier change retyped it
		delete(c.Tensors, name)
		return "drop " + name
	}
	f := slices.Clone(v.F32)
	put := func(shape ...int) { c.Tensors[name] = graph.Tensor{Shape: shape, F32: f} }
	switch rng.IntN(12) {
	case 0:
		wide := make([]float64, len(f))
		for i, x := range f {
			wide[i] = float64(x)
		}
		c.Tensors[name] = graph.Tensor{Shape: v.Shape, F64: wide}
		return "retype " + name
	case 1:
		shape := slices.Clone(v.Shape)
		slices.Reverse(shape)
		put(append([]int{1}, shape...)...)
		return "add a dimension to " + name
	case 2:
		put(len(f))
		return "flatten " + name
	case 3:
		f = f[:len(f)/2]
		put(len(f), 1)
		return "cut " + name
	case 4:
		delete(c.Tensors, name)
		return "drop " + name
	case 5:
		c.Tensors[name], c.Tensors[other] = c.Tensors[other], v
		return "swap " + name + " and " + other
	case 6, 7:
		value := []float32{float32(math.NaN()), float32(math.Inf(1)), -1, 1e30, 0}[rng.IntN(5)]
		if len(f) > 0 {
			f[rng.IntN(len(f))] = value
		}
		put(v.Shape...)
		return fmt.Sprintf("%g in %s", value, name)
	case 8:
		value := []float32{math.MaxFloat32, -1e20, 1e-30, 0}[rng.IntN(4)]
		for i := range f {
			f[i] = value
		}
		put(v.Shape...)
		return fmt.Sprintf("%g all over %s", value, name)
	case 9:
		texts := slices.Sorted(maps.Keys(c.Texts))
		text, other := texts[rng.IntN(len(texts))], texts[rng.IntN(len(texts))]
		c.Texts[text], c.Texts[other] = c.Texts[other], c.Texts[text]
		return "swap the texts " + text + " and " + other
	case 10:
		texts := slices.Sorted(maps.Keys(c.Texts))
		text := texts[rng.IntN(len(texts))]
		delete(c.Texts, text)
		return "drop the text " + text
	default:
		texts := slices.Sorted(maps.Keys(c.Texts))
		text := texts[rng.IntN(len(texts))]
		c.Texts[text] = []string{"", "-1", "NaN", "1e999", "null", "{}", "999999999999", "00"}[rng.IntN(8)]
		return fmt.Sprintf("%q as %s", c.Texts[text], text)
	}
}

// A checkpoint of another structure, whose sum is right, is refused or gives a model of finite
// numbers; one whose sum is not right is always refused.
func TestMutatedCheckpoints(t *testing.T) {
	var files []string
	for _, variables := range smallKinds {
		r, err := runSmall(t, variables...)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, r.Path("checkpoint.safetensors"))
	}
	rng := rand.New(rand.NewPCG(3, 3))
	path := filepath.Join(t.TempDir(), "c.safetensors")
	loads, resumes, moved := 0, 0, 0
	n := tries(60)
	for k := range n {
		kind := k % len(files)
		c := exptest.LoadCheckpoint(t, filepath.Dir(files[kind]))
		was := c.Sum()
		how := mutate(c, rng)
		if c.Sum() == was {
			n--
			continue // it changed nothing
		}
		file, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := graph.ParseCheckpoint(bytes.Replace(file, []byte(c.Sum()), []byte(was), 1)); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: with the sum of before: %v", how, err)
		}
		if err := os.WriteFile(path, file, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := drawn(t, path)
		switch want, _ := drawn(t, files[kind]); {
		case err != nil:
			loads++
		case !batch.AllFinite(got):
			t.Errorf("%s: draws that are not finite", how)
		case !slices.Equal(want, got):
			moved++
			t.Logf("%s: other samples", how)
		}
		_, err = runSmall(t, append(smallKinds[kind], "CMF_RESUME="+path, "CMF_STEPS=8")...)
		if err != nil {
			resumes++
			if !strings.Contains(err.Error(), "CMF_RESUME="+path) {
				t.Errorf("%s: resumed: %v", how, err)
			}
		}
	}
	t.Logf("of %d mutations with a right sum, loads refuse %d and resumes %d; %d move samples", n, loads, resumes, moved)
	if resumes < n/2 {
		t.Errorf("only %d of %d mutations are refused", resumes, n)
	}
}

// Parts that no run has written are refused by name, whether the model is loaded or a run goes
// on with it.
func TestForeignParts(t *testing.T) {
	r, err := runSmall(t)
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		change func(c *graph.Checkpoint)
		want   string
		loads  bool // only runs that go on read it
	}{
		"a weight":           {func(c *graph.Checkpoint) { c.Tensors["weight.layer0.skip"].F32[0] = nan }, `"weight.layer0.skip" holds NaN`, false},
		"a last good weight": {func(c *graph.Checkpoint) { c.Tensors["good.layer0.skip"].F32[0] = nan }, `"good.layer0.skip" holds NaN`, false},
		"a moment":           {func(c *graph.Checkpoint) { c.Tensors["adam.m.layer0.skip"].F32[0] = nan }, `"adam.m.layer0.skip" holds NaN`, false},
		"a second moment":    {func(c *graph.Checkpoint) { c.Tensors["adam.v.layer0.skip"].F32[0] = -1 }, "second moments are not negative", false},
		"no second moment":   {func(c *graph.Checkpoint) { delete(c.Tensors, "adam.v.layer0.skip") }, "not those of the same weights", false},
		"no average":         {func(c *graph.Checkpoint) { delete(c.Tensors, "average.layer0.skip") }, `no "average.layer0.skip"`, false},
		"a particle":         {func(c *graph.Checkpoint) { c.Tensors["bank.y"].F32[0] = nan }, `"bank.y" holds NaN`, false},
		"the bank in float64": {func(c *graph.Checkpoint) {
			c.Tensors["bank.y"] = graph.Tensor{Shape: []int{16, 2}, F64: make([]float64, 32)}
		}, `"bank.y" is not of [16 2] float32 values`, false},
		"a turned bank":         {func(c *graph.Checkpoint) { c.Put("bank.y", c.Tensors["bank.y"].F32, 2, 16) }, `"bank.y"`, false},
		"a position":            {func(c *graph.Checkpoint) { c.Texts["bank.next"] = "16" }, `"bank.next" is "16"; it must be a whole number from 0 to 15`, true},
		"steps of Adam":         {func(c *graph.Checkpoint) { c.Texts["adam.steps"] = "7" }, `"adam.steps" is 7, after 6 steps`, true},
		"a step of Langevin":    {func(c *graph.Checkpoint) { c.Texts["chains.gamma"] = "NaN" }, `"chains.gamma" is "NaN"`, false},
		"a preconditioner":      {func(c *graph.Checkpoint) { c.Tensors["metric.p"].F32[0] = -1 }, "must be positive", false},
		"a root":                {func(c *graph.Checkpoint) { c.Tensors["metric.l"].F32[0] *= 1.01 }, "but by its root", false},
		"no root":               {func(c *graph.Checkpoint) { delete(c.Tensors, "metric.l") }, `no "metric.l"`, false},
		"immensely many halves": {func(c *graph.Checkpoint) { c.Texts["halvings"] = "5000" }, `"halvings" is "5000"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			saved := exptest.LoadCheckpoint(t, r.Folder)
			c.change(saved)
			path := filepath.Join(t.TempDir(), "c.safetensors")
			if err := saved.Save(path); err != nil {
				t.Fatal(err)
			}
			if _, err := fit.LoadModel(path); (err == nil) != c.loads || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("loaded: error %v; want %q", err, c.want)
			}
			if _, err := runSmall(t, "CMF_RESUME="+path, "CMF_STEPS=8"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("resumed: error %v; want %q", err, c.want)
			}
		})
	}
}

// A checkpoint without texts gives the same message each time.
func TestMessagesRepeat(t *testing.T) {
	r, err := runSmall(t)
	if err != nil {
		t.Fatal(err)
	}
	c := exptest.LoadCheckpoint(t, r.Folder)
	clear(c.Texts)
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for range 6 {
		_, err := runSmall(t, "CMF_RESUME="+path)
		said[fmt.Sprint(err)] = true
	}
	if len(said) != 1 || said["<nil>"] {
		t.Errorf("messages %q", slices.Sorted(maps.Keys(said)))
	}
}

// The checkpoint before the last is kept, and the message of a damaged one names it.
func TestPreviousCheckpoint(t *testing.T) {
	r := interruptedPlane(t, 9, "CMF_STEPS=20")
	last, previous := r.Path("checkpoint.safetensors"), r.Path("checkpoint.previous.safetensors")
	if c, err := graph.LoadCheckpoint(previous); err != nil || c.Texts["step"] == "9" {
		t.Errorf("the previous checkpoint: %v", err)
	}
	if err := os.Truncate(last, 5000); err != nil {
		t.Fatal(err)
	}
	if _, err := plane.Run(t, "CMF_STEPS=20", "CMF_RESUME="+last); err == nil || !strings.HasSuffix(err.Error(), "; the one before it is "+previous) || strings.Count(err.Error(), previous) != 1 {
		t.Errorf("error %v", err)
	}
	if _, err := plane.Run(t, "CMF_STEPS=20", "CMF_RESUME="+previous); err != nil {
		t.Error(err)
	}
}

// A run goes on only with the data and units of its checkpoint, and says what else differs.
func TestResumeKnowsItsData(t *testing.T) {
	r, err := runSmall(t)
	if err != nil {
		t.Fatal(err)
	}
	file := r.Path("checkpoint.safetensors")
	if _, err := runSmall(t, "CMF_RESUME="+file, "CMF_SEED=5"); err == nil || !strings.Contains(err.Error(), "rows to learn from are not those of the checkpoint") || !strings.Contains(err.Error(), "CMF_SEED") {
		t.Errorf("other rows: %v", err)
	}
	for _, c := range []struct {
		change func(c *graph.Checkpoint)
		steps  string
		want   string
	}{
		{func(*graph.Checkpoint) {}, "4", "has made 6 steps, more than CMF_STEPS=4"},
		{func(c *graph.Checkpoint) { c.Texts["machine"] = "products by hand" }, "8", "was written with products by hand"},
		{func(c *graph.Checkpoint) {
			c.Texts["machine"], c.Texts["data.sum"] = "products by hand", strings.Repeat("0", 64)
		}, "8", "The rows to learn from differ"},
	} {
		saved := exptest.LoadCheckpoint(t, r.Folder)
		c.change(saved)
		path := filepath.Join(t.TempDir(), "c.safetensors")
		if err := saved.Save(path); err != nil {
			t.Fatal(err)
		}
		on, err := runSmall(t, "CMF_RESUME="+path, "CMF_STEPS="+c.steps)
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if notes := strings.Join(on.Report.Notes, "\n"); !strings.Contains(notes, c.want) {
			t.Errorf("notes %q; want %q", notes, c.want)
		}
	}
	saved := exptest.LoadCheckpoint(t, r.Folder)
	saved.Texts["units.sum"] = strings.Repeat("0", 64)
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := saved.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := runSmall(t, "CMF_RESUME="+path); err == nil || !strings.Contains(err.Error(), "units of learning are not those") {
		t.Errorf("other units: %v", err)
	}
}

// A run that was ended right after its first checkpoint, which is written before the first step,
// goes on like any other: each row of metrics is there once. A new run keeps none of an earlier one.
func TestResumeBeforeTheFirstStep(t *testing.T) {
	rows := func(r *run.Run) string {
		text, err := os.ReadFile(r.Path("metrics.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	execute := func(variables ...string) *run.Run {
		r, err := runSmall(t, append([]string{"CMF_HELD=50", "CMF_STEPS=2"}, variables...)...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	whole, begun := execute(), execute("CMF_STEPS=0")
	want := rows(whole)
	if n := strings.Count(rows(begun), "\n"); n != 1 {
		t.Fatalf("%d rows before the first step:\n%s", n, rows(begun))
	}
	file := begun.Path("checkpoint.safetensors")
	if got := rows(execute("CMF_RESUME=" + file)); got != want {
		t.Errorf("in another folder, rows of metrics\n%swant\n%s", got, want)
	}
	if got := rows(execute("CMF_RESUME="+file, "CMF_OUT="+begun.Folder)); got != want {
		t.Errorf("in the same folder, rows of metrics\n%swant\n%s", got, want)
	}
	if err := os.Remove(whole.Path(".files")); err != nil { // which says what a new run removes
		t.Fatal(err)
	}
	if got := rows(execute("CMF_OUT=" + whole.Folder)); got != want {
		t.Errorf("anew beside the rows of an earlier run, rows of metrics\n%swant\n%s", got, want)
	}
}

// FuzzStructure retypes, reshapes, cuts, drops and swaps arrays of checkpoints and changes their
// values and texts, several at once. The result is refused, or is a model that evaluates; and
// training refuses to go on with it, or makes a step. Nothing is left of what was refused. (A
// sum that is not right is refused before all this; see TestMutatedCheckpoints.)
func FuzzStructure(f *testing.F) {
	var files [][]byte
	var trained []*fit.Model
	for kind, variables := range smallKinds {
		keep := fit.Hook{End: func(l *fit.Loop) error { trained = append(trained, l.Model); return nil }}
		env := config.Variables("CMF_OUT="+f.TempDir(), "CMF_THREADS=1").With(variables...)
		r, err := run.Execute(fit.WithHooks(f.Context(), keep), small, env, nil, new(bytes.Buffer))
		if err != nil {
			f.Fatal(err)
		}
		file, err := os.ReadFile(r.Path("checkpoint.safetensors"))
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, file)
		for how := range byte(12) {
			f.Add(byte(kind), byte(1), []byte{40 * how, 90, 22 * how, 130})
		}
		f.Add(byte(kind), byte(3), []byte("swaps, cuts and drops"))
	}
	f.Fuzz(func(t *testing.T, kind, times byte, choices []byte) {
		at := int(kind) % len(files)
		c, err := graph.ParseCheckpoint(files[at])
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(&script{choices, rand.NewPCG(uint64(kind), uint64(times))})
		var how []string
		for range 1 + times%4 {
			if len(c.Tensors) > 0 && len(c.Texts) > 0 {
				how = append(how, mutate(c, rng))
			}
		}
		if m, err := fit.ModelOf(c); err == nil {
			y := m.State.Bank.Y
			values, gradients := make([]float32, y.Rows), batch.New(y.Rows, y.Cols)
			if err := m.Evaluator.Eval(y, values, gradients); err != nil {
				t.Fatalf("%q: %v", how, err)
			}
		}
		m := trained[at]
		if err := m.Restore(c); err == nil {
			if err := m.Advance(); err != nil {
				t.Logf("%q: a step: %v", how, err)
			}
		}
		if c, err = graph.ParseCheckpoint(files[at]); err != nil {
			t.Fatal(err)
		}
		if err := m.Restore(c); err != nil {
			t.Fatalf("%q: and then what it was: %v", how, err)
		}
	})
}

// FuzzCheckpoint changes bytes of a checkpoint's file, and gives it a right sum. The result
// is refused, or is a model that draws.
func FuzzCheckpoint(f *testing.F) {
	r, err := runSmall(f)
	if err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(r.Path("checkpoint.safetensors"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	for seed := range uint64(40) {
		c, err := graph.ParseCheckpoint(whole)
		if err != nil {
			f.Fatal(err)
		}
		mutate(c, rand.New(rand.NewPCG(seed, 0)))
		if file, err := c.Marshal(); err == nil {
			f.Add(file)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		// Without its sum and format the file is one of an earlier version.
		file = bytes.Replace(file, []byte(`"sha256"`), []byte(`"sha255"`), 1)
		c, err := graph.ParseCheckpoint(bytes.Replace(file, []byte(`"format"`), []byte(`"former"`), 1))
		if err != nil {
			return
		}
		m, err := fit.ModelOf(c)
		if err != nil || m.Evaluator.Dim() > 8 || m.State.Bank.Y.Rows > 100 {
			return
		}
		y := m.State.Bank.Y
		if err := m.Evaluator.Eval(y, make([]float32, y.Rows), batch.New(y.Rows, y.Cols)); err != nil {
			t.Log(err)
		}
	})
}
