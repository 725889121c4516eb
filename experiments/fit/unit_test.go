//go:build unix

package fit_test

import (
	"bytes"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/plane"
	"cmf/experiments/run"
	"cmf/layers"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
)

// Networks of every kind learn the same bits on any number of threads and after an
// interruption, and are read back as what they are.
func TestNetworksRepeat(t *testing.T) {
	for variable, text := range map[string]string{"CMF_UNIT=maximum": `"Unit":"maximum"`, "CMF_POTENTIAL=quadratics": `"Family":"quadratics"`} {
		t.Run(variable, func(t *testing.T) { testRepeats(t, text, variable, "CMF_STEPS=24") })
	}
}

func testRepeats(t *testing.T, architecture string, variables ...string) {
	whole, err := plane.Run(t, append(variables, "CMF_THREADS=2")...)
	if err != nil {
		t.Fatal(err)
	}
	want := exptest.LoadCheckpoint(t, whole.Folder)
	one, err := plane.Run(t, append(variables, "CMF_THREADS=1")...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Tensors, exptest.LoadCheckpoint(t, one.Folder).Tensors); diff != "" {
		t.Errorf("one thread and two differ:\n%s", diff)
	}
	r := interruptedPlane(t, 11, variables...)
	env := config.Variables("CMF_OUT="+r.Folder, "CMF_RESUME="+r.Path("checkpoint.safetensors")).With(variables...)
	if _, err := run.Execute(t.Context(), plane.Moons, env, nil, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Tensors, exptest.LoadCheckpoint(t, r.Folder).Tensors); diff != "" {
		t.Errorf("a run that went on differs:\n%s", diff)
	}
	m, err := fit.LoadModel(whole.Path("checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Draw(t.Context(), 50, 20, random.New(1, "draw", 0)); err != nil {
		t.Error(err)
	}
	if text := want.Texts["architecture"]; !strings.Contains(text, architecture) {
		t.Errorf("the checkpoint's architecture is %s", text)
	}
}

// A network of softplus is saved in the words of files without a choice of units,
// and one of maxima does not go on from it.
func TestSoftplusIsSavedAsBefore(t *testing.T) {
	r, err := plane.Run(t, "CMF_STEPS=2")
	if err != nil {
		t.Fatal(err)
	}
	if text := exptest.LoadCheckpoint(t, r.Folder).Texts["architecture"]; strings.Contains(text, "Unit") || strings.Contains(text, "Tau") {
		t.Errorf("the checkpoint's architecture is %s", text)
	}
	_, err = plane.Run(t, "CMF_STEPS=4", "CMF_UNIT="+string(layers.Maximum), "CMF_RESUME="+r.Path("checkpoint.safetensors"))
	if err == nil || !strings.Contains(err.Error(), "another architecture") || !strings.Contains(err.Error(), "CMF_UNIT=softplus (here maximum)") {
		t.Errorf("error %v", err)
	}
}
