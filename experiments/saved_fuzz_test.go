package experiments

import (
	"context"
	"io"
	"maps"
	"slices"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/solvers/batch"
)

// savedModels are the checkpoints of two small runs: one on points with their own units, and
// one on a Gaussian, which names no units.
func savedModels(t testing.TB) (saved []*graph.Checkpoint) {
	t.Helper()
	for _, v := range []struct {
		of    run.Experiment
		quick []string
	}{{Toy2D, []string{"CMF_SAMPLES=64", "CMF_REPEATS=1", "CMF_MIXING=20"}}, {Gaussian, []string{"CMF_CHAIN=20"}}} {
		variables := append(v.quick, "CMF_OUT="+t.TempDir(), "CMF_PRESET=quick", "CMF_STEPS=2", "CMF_HIDDEN=4,4", "CMF_BATCH=32")
		r, err := v.of.Execute(context.Background(), config.Variables(variables...), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		c, err := graph.LoadCheckpoint(r.Path("checkpoint.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, c)
	}
	return saved
}

// changed is c with another text.
func changed(c *graph.Checkpoint, name, text string) *graph.Checkpoint {
	out := *c
	out.Texts = maps.Clone(c.Texts)
	out.Texts[name] = text
	return &out
}

// FuzzModel replaces one text of a saved model that is read with it (its architecture, units,
// configuration, step or step size). The result is a model that evaluates, or an error.
func FuzzModel(f *testing.F) {
	saved := savedModels(f)
	names := make([][]string, len(saved))
	for i, c := range saved {
		for _, name := range slices.Sorted(maps.Keys(c.Texts)) {
			if _, err := fit.ModelOf(changed(c, name, "\x00")); err != nil {
				names[i] = append(names[i], name)
			}
		}
		for j, name := range names[i] {
			for _, text := range []string{c.Texts[name], "", "null", "{}", "[]", "NaN", "-1", "1e999"} {
				f.Add(byte(i), byte(j), text)
			}
		}
	}
	for _, a := range []string{
		`{"Dim":2,"Hidden":[1000000000]}`, `{"Dim":1000000000,"Hidden":[4,4]}`, `{"Dim":-2,"Hidden":[-1]}`,
		`{"Dim":2,"Hidden":[4,4],"Knots":1000000000}`, `{"Dim":2,"Hidden":[4,4],"Rank":-1}`, `{"Dim":2,"Hidden":[4,4],"Float64":true}`,
		`{"Dim":2,"Picture":[2,1,1],"Convolutions":[{"Filters":1000000000,"Size":1,"Stride":1}]}`,
		`{"Dim":2,"Picture":[2,1,1],"Convolutions":[{"Filters":4,"Size":1,"Stride":9000000000000000000}],"Hidden":[4]}`,
		`{"Dim":2,"Picture":[4611686018427387905,2,1],"Convolutions":[{"Filters":4,"Size":0,"Stride":0}]}`,
	} {
		f.Add(byte(0), byte(slices.Index(names[0], "architecture")), a)
	}
	f.Fuzz(func(t *testing.T, i, j byte, text string) {
		k := int(i) % len(saved)
		m, err := fit.ModelOf(changed(saved[k], names[k][int(j)%len(names[k])], text))
		if err != nil {
			return
		}
		x, err := m.Units().Learning(m.State.Partners)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Units().Data(x, nil); err != nil {
			t.Fatal(err)
		}
		if err := m.Evaluator.Eval(batch.Rows(x, 0, 2), make([]float32, 2), batch.New(2, x.Cols)); err != nil {
			t.Fatal(err)
		}
	})
}
