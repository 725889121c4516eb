//go:build unix

package fit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/plane"
	"cmf/experiments/metric"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
)

// recording is a hook that records its calls.
func recording(name string, every int, into *[]string) fit.Hook {
	note := func(when string) func(*fit.Loop) error {
		return func(l *fit.Loop) error {
			*into = append(*into, fmt.Sprintf("%s %s %d%s", name, when, l.Step(), l.Stopped().Reason))
			return nil
		}
	}
	return fit.Hook{Every: every, Start: note("start"), Step: note("step"), End: note("end")}
}

// executePlane runs the small experiment in a new folder with hooks.
func executePlane(t *testing.T, env config.Environment, hooks ...fit.Hook) (*run.Run, error) {
	t.Helper()
	env["CMF_OUT"] = t.TempDir()
	return run.Execute(fit.WithHooks(t.Context(), hooks...), plane.Moons, env, nil, &bytes.Buffer{})
}

// Hooks are called in their order, each at its steps; the same holds for a resumed run.
func TestHooksAreCalledInOrder(t *testing.T) {
	env := config.Variables("CMF_STEPS=4")
	var called []string
	r, err := executePlane(t, env, recording("a", 0, &called), recording("b", 3, &called))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a start 0", "b start 0", "a step 1", "a step 2", "a step 3", "b step 3", "a step 4", "a end 4finished", "b end 4finished"}
	if diff := cmp.Diff(want, called); diff != "" {
		t.Errorf("calls (−want +got):\n%s", diff)
	}
	late := fit.Hook{Step: func(l *fit.Loop) error {
		if l.Step() == l.Of {
			l.Halt("nothing is left to spare")
		}
		return nil
	}}
	if r, err := executePlane(t, env, late); err != nil || r.Report.Stop.Reason != report.Finished {
		t.Errorf("halted at the last step: stop %+v, error %v", r.Report.Stop, err)
	}
	if want := (report.Stop{Reason: report.Finished, Step: 4, Of: 4}); r.Report.Stop != want {
		t.Errorf("stop %+v, want %+v", r.Report.Stop, want)
	}
	env["CMF_STEPS"] = "6"
	env["CMF_RESUME"] = r.Path("checkpoint.safetensors")
	called = nil
	if _, err := executePlane(t, env, recording("b", 3, &called)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b start 4", "b step 6", "b end 6finished"}, called); diff != "" {
		t.Errorf("calls of a run that goes on (−want +got):\n%s", diff)
	}
}

// A hook halts training early. The work after training is done, and a resumed run makes
// the remaining steps.
func TestHookHaltsTraining(t *testing.T) {
	env := config.Variables("CMF_STEPS=20")
	level := fit.Hook{Every: 5, Step: func(l *fit.Loop) error {
		l.Halt("the loss is level")
		l.Halt("a second reason comes too late")
		return nil
	}}
	var called []string
	r, err := executePlane(t, env, level, recording("a", 5, &called))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a start 0", "a step 5halted", "a end 5halted"}, called); diff != "" {
		t.Errorf("calls (−want +got):\n%s", diff)
	}
	text, err := os.ReadFile(r.Path("report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var left struct {
		Stop    map[string]any
		Stopped string
		Metrics map[string]float64
	}
	if err := json.Unmarshal(text, &left); err != nil {
		t.Fatal(err)
	}
	says := "halted at step 5 of 20: the loss is level"
	if diff := cmp.Diff(map[string]any{"reason": "halted", "step": 5., "of": 20., "text": says}, left.Stop); diff != "" || left.Stopped != says {
		t.Errorf("report.json says stopped %q and (−want +got):\n%s", left.Stopped, diff)
	}
	if _, ok := left.Metrics["energy_distance"]; !ok {
		t.Errorf("the work after training is not done: metrics %v", left.Metrics)
	}
	if step := plane.StepIn(t, r.Folder); step != 5 {
		t.Errorf("the checkpoint is of step %d", step)
	}
	env["CMF_RESUME"] = r.Path("checkpoint.safetensors")
	if rest, err := executePlane(t, env); err != nil || rest.Report.Stop != (report.Stop{Reason: report.Finished, Step: 20, Of: 20}) {
		t.Errorf("going on: stop %+v, error %v", rest.Report.Stop, err)
	}
}

// An error of a hook ends the run; it names the checkpoint.
func TestHookFails(t *testing.T) {
	env := config.Variables("CMF_STEPS=10")
	before := interruptedPlane(t, 4, "CMF_STEPS=10")
	env["CMF_RESUME"] = before.Path("checkpoint.safetensors")
	broken := errors.New("the hook broke")
	fails := func(*fit.Loop) error { return broken }
	for when, hook := range map[string]fit.Hook{
		"": {Start: fails},
		"after step 7: ": {Step: func(l *fit.Loop) error {
			if l.Step() == 7 {
				return broken
			}
			return nil
		}},
		" ": {End: fails},
	} {
		var called []string
		_, err := executePlane(t, env, hook, recording("a", 5, &called))
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), strings.TrimLeft(when, " ")+"the hook broke") {
			t.Errorf("error %v", err)
		}
		if strings.Contains(strings.Join(called, " "), "end") {
			t.Errorf("hooks were called after the error: %v", called)
		}
		if when != "" && !strings.Contains(err.Error(), "; CMF_RESUME="+env["CMF_OUT"]) {
			t.Errorf("the error %v does not name the checkpoint", err)
		}
	}
}

// This hook halts training when the points of the bank have come no nearer to held-out
// ones for a thousand steps.
func ExampleHook() {
	held := exact.StandardGaussian(2).Sample(1000, random.New(1, "held out", 0))
	nearest, at := math.Inf(1), 0
	early := fit.Hook{Every: 100, Step: func(l *fit.Loop) error {
		distance, err := metric.EnergyDistance(l.Model.State.Partners, held)
		if err != nil {
			return err
		}
		if distance < nearest {
			nearest, at = distance, l.Step()
		}
		if l.Step()-at >= 1000 {
			l.Halt("the energy distance no longer falls")
		}
		return nil
	}}
	_ = fit.Problem{Hooks: []fit.Hook{early}} // and the data to learn
}

// CMF_MINUTES ends training, and the work after it is done.
func TestDeadline(t *testing.T) {
	env := config.Variables("CMF_STEPS=1000000")
	env["CMF_MINUTES"] = "0.001"
	r, err := executePlane(t, env)
	if err != nil {
		t.Fatal(err)
	}
	stop := r.Report.Stop
	if stop.Reason != report.Deadline || stop.Step < 1 || stop.Of != 1000000 || !strings.Contains(stop.Text, "CMF_MINUTES=0.001") {
		t.Errorf("stop %+v", stop)
	}
	if _, ok := r.Report.Metrics["energy_distance"]; !ok || stop.Step != plane.StepIn(t, r.Folder) {
		t.Errorf("metrics %v; the checkpoint is of step %d", r.Report.Metrics, plane.StepIn(t, r.Folder))
	}
}
