package kernel

import "testing"

// The peak is known with vector instructions only. It lies in the range of
// today's cores.
func TestPeakFLOPS(t *testing.T) {
	before := active
	defer func() { active = before }()
	for _, p := range paths {
		active = p
		peak := PeakFLOPS()
		if p.name == "generic" {
			if peak != 0 {
				t.Errorf("generic: a peak of %g; want 0, for unknown", peak)
			}
			continue
		}
		// A core does 1e8 to 1e10 multiply–adds of 8 or 16 lanes a second.
		if !(peak >= 16e8 && peak <= 32*4e10) {
			t.Errorf("%s: a peak of %g operations a second", p.name, peak)
		}
		t.Logf("%s: %.1f GFLOP/s", p.name, peak/1e9)
	}
}
