package experiments

import (
	"io"
	"testing"

	"cmf/experiments/config"
	"cmf/losses"
)

// Every cell of the ablation is a run of toy2d on its set, with a loss that can be read.
func TestToyAblationIsWellFormed(t *testing.T) {
	for _, preset := range []string{"quick", "default", "paper"} {
		cells, err := ToyAblation.Cells(config.Variables("CMF_PRESET="+preset, "CMF_OUT="+t.TempDir()), nil, io.Discard)
		if err != nil {
			t.Errorf("%s: %v", preset, err)
			continue
		}
		for _, c := range cells {
			if c.Config["CMF_DATASET"] != c.Set {
				t.Errorf("%s: cell of %s has the data %s", preset, c.Set, c.Config["CMF_DATASET"])
			}
			if _, err := losses.Parse(c.Config["CMF_LOSS"]); err != nil {
				t.Errorf("%s: variant %s: %v", preset, c.Variant, err)
			}
		}
	}
}
