package solvers

import (
	"errors"
	"strings"
	"testing"

	"gonum.org/v1/gonum/blas/blas32"
)

// A kind is made only if it is asked for, once an iteration, with the columns that it
// declares, and after the kinds that it needs; the numbers that it logs are reported.
func TestKindIsMadeOnce(t *testing.T) {
	c, f := newLoop(t)
	var calls int
	base := &Kind{Name: "base", Columns: 3, CMFGen: func(c *CMFGen, dst blas32.General) error {
		calls++
		c.Log("base_calls", float64(calls))
		dst.Data[0] = float32(calls)
		return nil
	}}
	above := func(name string) *Kind {
		return &Kind{Name: name, CMFGen: func(c *CMFGen, dst blas32.General) error {
			b, err := c.Batch(base)
			if err == nil {
				dst.Data[0] = 10 * b.Data[0]
			}
			return err
		}}
	}
	one, two := above("one"), above("two")
	if _, err := c.Step(); err != nil || calls != 0 {
		t.Fatalf("made %d times without being asked for; error %v", calls, err)
	}
	f.inputs = []*Kind{one, two, base}
	for step := 1; step <= 3; step++ {
		info, err := c.Step()
		if err != nil {
			t.Fatal(err)
		}
		b := f.seen[base]
		if calls != step || info.Numbers["base_calls"] != float64(step) || b.Rows != 32 || b.Cols != 3 {
			t.Errorf("step %d: made %d times, logged %v, shape (%d, %d)", step, calls, info.Numbers, b.Rows, b.Cols)
		}
		if f.seen[one].Data[0] != float32(10*step) || f.seen[two].Data[0] != float32(10*step) {
			t.Errorf("step %d: the kinds above have %v and %v", step, f.seen[one].Data[0], f.seen[two].Data[0])
		}
	}
}

// An error of a kind ends the run and names the kind.
func TestKindErrors(t *testing.T) {
	sorry := errors.New("sorry")
	var ring [2]*Kind
	for i := range ring {
		ring[i] = &Kind{Name: []string{"snake", "tail"}[i], CMFGen: func(c *CMFGen, _ blas32.General) error {
			_, err := c.Batch(ring[1-i])
			return err
		}}
	}
	for name, kind := range map[string]*Kind{
		"the batch failing: sorry":                         {Name: "failing", CMFGen: func(*CMFGen, blas32.General) error { return sorry }},
		`CMFMA makes "points"`:                             BatchPoints,
		`paired, barycentre, probe, solved; nothing makes`: {Name: "unmade"},
		"the batch eager: solvers: the batch points":       {Name: "eager", CMFGen: func(c *CMFGen, _ blas32.General) error { _, err := c.Batch(BatchPoints); return err }},
		"the batch snake is made from itself":              ring[0],
		"has -1 columns":                                   {Name: "thin", Columns: -1, CMFGen: func(*CMFGen, blas32.General) error { return nil }},
		"is nil":                                           nil,
	} {
		c, f := newLoop(t)
		f.inputs = []*Kind{kind}
		if _, err := c.Step(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v; want one that says %q", err, name)
		}
	}
	idle, _ := newLoop(t)
	if _, err := idle.Batch(BatchData); err == nil || !strings.Contains(err.Error(), "in a Step") {
		t.Errorf("a batch before the first step: %v", err)
	}
	c, _ := newCMFMA(t, 2, 16, Shares{}, normalEnergy{d: 2, v: 1})
	steep := &Kind{Name: "steep", CMFMA: func(c *CMFMA, _ blas32.General) error { _, err := c.Batch(BatchSlope); return err }}
	c.Objective = &asking{c.Objective, []*Kind{steep}}
	if _, err := c.Step(); err == nil || !strings.Contains(err.Error(), "list it among its Inputs") {
		t.Errorf("a kind made from slopes that nobody evaluates: %v", err)
	}
	c.Objective = &asking{c.Objective, []*Kind{BatchSlope}}
	if _, err := c.Step(); err != nil {
		t.Errorf("where they are: %v", err)
	}
	c.Objective = &asking{c.Objective, []*Kind{BatchData}}
	if _, err := c.Step(); err == nil || !strings.Contains(err.Error(), `CMFMA makes the batches mask, points, energy, slope; CMFGen makes "data"`) {
		t.Errorf("samples of a fit to an energy: %v", err)
	}
}

// asking is an objective that reads further kinds.
type asking struct {
	Objective
	further []*Kind
}

func (a *asking) Inputs() []*Kind { return append(a.further, a.Objective.Inputs()...) }
