package experiments

import (
	"io"
	"maps"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/report"
	"cmf/experiments/run"
	"cmf/losses"

	"github.com/google/go-cmp/cmp"
)

// planned is an ablation up to the plan of its cells.
type planned struct{ run.Experiment }

func (planned) Command() string { return "ablation" }

func (planned) Settings([]string, io.Writer) ([]config.Setting, error) {
	few := ToyAblation
	few.Sets, few.Variants, few.Seeds = few.Sets[:1], few.Variants[:2], 1
	return few.Settings(nil, io.Discard)
}

// setup is a command whose variables are tried, with those that it cannot do without.
type setup struct {
	run.Experiment
	needed map[string]string
}

var commands = []setup{
	{Gaussian, nil},
	{Mixture1D, nil},
	{Energy, nil},
	{Toy2D, nil},
	{MNIST, nil},
	{Inpaint, nil},
	{Cartoon, nil},
	{Samples, map[string]string{"CMF_DATA_FILE": "points.npy"}},
	{Generate, map[string]string{"CMF_CHECKPOINT": "checkpoint.safetensors"}},
	{planned{Toy2D}, map[string]string{"CMF_OUT": "out"}},
}

// FuzzVariables sets one variable of one command: the configuration is taken, and
// then its values given back make the same, or refused by a message that names the
// variable; at once, and without much memory.
func FuzzVariables(f *testing.F) {
	f.Chdir(f.TempDir()) // where the ablation makes its folder
	environment := os.Environ()
	f.Cleanup(func() {
		os.Clearenv()
		for _, v := range environment {
			name, value, _ := strings.Cut(v, "=")
			os.Setenv(name, value)
		}
	})
	names := make([][]string, len(commands))
	for i, command := range commands {
		settings, err := command.with(command.needed)
		if err != nil {
			f.Fatalf("%s: %v", command.Command(), err)
		}
		for j, s := range settings {
			names[i] = append(names[i], s.Name)
			for _, value := range []string{s.Value, "", "NaN", "9e99", "9;9", "="} {
				f.Add(byte(i), byte(j), value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, i, j byte, value string) {
		command, known := commands[int(i)%len(commands)], names[int(i)%len(commands)]
		name := known[int(j)%len(known)]
		_, plan := command.Experiment.(planned)
		if strings.ContainsRune(value, 0) || plan && name == "CMF_OUT" {
			return // no environment holds the one, and the other makes any folder
		}
		variables := maps.Clone(command.needed)
		if variables == nil {
			variables = map[string]string{}
		}
		variables[name] = value
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		settings, err := command.with(variables)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 256<<20 || took > 10*time.Second {
			t.Errorf("%s %s=%q took %v and %d bytes", command.Command(), name, value, took, taken)
		}
		if err != nil {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s=%q: %v; the variable is not named", command.Command(), name, value, err)
			}
			return
		}
		if plan {
			return // CMF_DATASETS and the cells' CMF_DATASET are not given together
		}
		again, err := command.with(report.ConfigOf(settings))
		if diff := cmp.Diff(settings, again); err != nil || diff != "" {
			t.Errorf("%s %s=%q: given back, %v (−first +again)\n%s", command.Command(), name, value, err, diff)
		}
	})
}

// with loads the configuration that these variables make. The environment is made
// anew: one whose variables come and go would grow with every change.
func (c setup) with(variables map[string]string) ([]config.Setting, error) {
	os.Clearenv()
	for name, value := range variables {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	return c.Settings(nil, io.Discard)
}

// FuzzLoss reads a loss: it reads as it is written, and as CMF_LOSS it is taken or
// refused by name.
func FuzzLoss(f *testing.F) {
	for _, spec := range []string{"dual+0.1*pairs", "monge-ampere", "1e-320*dual", "Inf*dual", "0x1p3 * penalty", "dual+dual", "+", "1e+6*dual", "penalty"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		sum, err := losses.Parse(spec)
		if err == nil {
			again, err := losses.Parse(sum.String())
			if diff := cmp.Diff(sum, again); err != nil || diff != "" {
				t.Errorf("%q is written %q: %v\n%s", spec, sum, err, diff)
			}
		}
		for _, energy := range []bool{false, true} {
			bad := fit.CheckLoss((&config.Core{Loss: spec}), energy)
			if err != nil && bad == nil || bad != nil && !strings.HasPrefix(bad.Error(), "CMF_LOSS="+spec+": ") {
				t.Errorf("%q: %v as a sum, %v as CMF_LOSS", spec, err, bad)
			}
		}
	})
}
