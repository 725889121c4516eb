package sweep

import "testing"

// A run has the settings of a cell although it found values for some of its variables itself.
func TestResolvedVariablesOfACell(t *testing.T) {
	c := &cell{config: map[string]string{"CMF_LR": "0.001", "CMF_STEPS": "10", "CMF_OUT": "a"}}
	found := map[string]string{"CMF_LR": "0.01", "CMF_STEPS": "10", "CMF_OUT": "b"}
	if !c.same(found, []string{"CMF_LR"}) {
		t.Error("a value that the run found counts")
	}
	if c.same(found, nil) || c.same(map[string]string{"CMF_LR": "0.01", "CMF_STEPS": "20"}, []string{"CMF_LR"}) {
		t.Error("another setting does not count")
	}
}
