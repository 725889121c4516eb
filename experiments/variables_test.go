package experiments

import (
	"io"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/inputs"
	"cmf/experiments/monge"
	"cmf/experiments/picture/inpaint"
	"cmf/experiments/run"
	"cmf/losses"

	"github.com/google/go-cmp/cmp"
)

// planned is an ablation, run only as far as the plan of its cells.
type planned struct{ run.Experiment }

func (planned) Command() string { return "ablation" }

func (planned) Settings(env config.Environment, args []string, out io.Writer) ([]config.Setting, error) {
	few := ToyAblation
	few.Sets, few.Variants, few.Seeds = few.Sets[:1], few.Variants[:2], 1
	return few.Settings(env, args, out)
}

var commands = []inputs.Command{
	{Experiment: Gaussian},
	{Experiment: Mixture1D},
	{Experiment: Energy},
	{Experiment: Toy2D},
	{Experiment: MNIST},
	{Experiment: inpaint.Inpaint},
	{Experiment: Cartoon},
	{Experiment: Samples, Needed: config.Variables("CMF_DATA_FILE=points.npy")},
	{Experiment: Generate, Needed: config.Variables("CMF_CHECKPOINT=checkpoint.safetensors")},
	{Experiment: monge.Transport, Needed: config.Variables("CMF_SOURCE_FILE=source.npy", "CMF_TARGET_FILE=target.npy")},
	{Experiment: planned{Toy2D}, Needed: config.Variables("CMF_OUT=out"), Plans: true},
}

func FuzzVariables(f *testing.F) {
	f.Chdir(f.TempDir()) // where the ablation makes its folder
	inputs.FuzzVariables(f, commands...)
}

func TestVariables(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range commands {
		if !c.Plans { // its refusals begin with the name of a variant
			inputs.TestVariables(t, c)
		}
	}
}

// The command that draws from a model has none of the variables of learning.
func TestGenerateVariables(t *testing.T) {
	inputs.TestNames(t, inputs.Command{Experiment: Generate, Needed: config.Variables("CMF_CHECKPOINT=checkpoint.safetensors")},
		"PRESET OUT VM BLAS THREADS WATCH SEED MIXING CHECKPOINT CLASSES COUNT CONTEXTS POINTS")
}

// FuzzLoss reads a loss. What it writes reads back as the same loss, and as CMF_LOSS it is
// accepted, or refused with its name.
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
