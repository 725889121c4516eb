package solvers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Kind declares a kind of batch that a loss may read: its name, its columns, and how
// each algorithm makes it. A term of a loss asks for a kind by its declaration, which
// may be in any package: those below are only the ones that the known terms need.
//
//	var blurred = &solvers.Kind{Name: "blurred", CMFGen: func(c *solvers.CMFGen, dst blas32.General) error {
//		x, err := c.Batch(solvers.BatchData)
//		…
//	}}
//
// A kind is made at most once in an iteration, and only if the loss or another kind
// asks for it. It takes random numbers from State.Stream, and keeps nothing between
// iterations but memory: so runs repeat and resume to the same bits.
type Kind struct {
	// Name stands in messages and names the input of the loss's graph.
	Name string

	// Columns is the number of columns; 0 means d. The rows are those of the minibatch.
	Columns int

	// CMFGen fills dst, which may hold anything, in an iteration of CMFGen; it is nil if
	// CMFGen has no such batch. c.Batch gives it the batches of other kinds, and c.Log
	// takes the numbers that it reports.
	CMFGen func(c *CMFGen, dst blas32.General) error

	// CMFMA is the same for CMFMA.
	CMFMA func(c *CMFMA, dst blas32.General) error
}

// String is the name.
func (k *Kind) String() string { return k.Name }

// Kinds lists the kinds of the known terms.
func Kinds() []*Kind {
	return []*Kind{
		BatchData, BatchGibbs, BatchConjugate, BatchMask, BatchPaired, BatchBarycentre, BatchProbe, BatchSolved,
		BatchPoints, BatchEnergy, BatchSlope,
	}
}

// CheckCMFGen returns an error that names a kind that CMFGen does not make, the kinds
// that it makes, and whether CMFMA makes that one.
func CheckCMFGen(kinds ...*Kind) error {
	return check(kinds, "CMFGen", (*Kind).byCMFGen, "CMFMA", (*Kind).byCMFMA)
}

// CheckCMFMA returns an error that names a kind that CMFMA does not make, the kinds
// that it makes, and whether CMFGen makes that one.
func CheckCMFMA(kinds ...*Kind) error {
	return check(kinds, "CMFMA", (*Kind).byCMFMA, "CMFGen", (*Kind).byCMFGen)
}

var errNilKind = errors.New("a kind of batch is nil; give a declaration such as solvers.BatchData")

func (k *Kind) byCMFGen() bool { return k.CMFGen != nil }
func (k *Kind) byCMFMA() bool  { return k.CMFMA != nil }

func check(kinds []*Kind, algorithm string, makes func(*Kind) bool, other string, otherMakes func(*Kind) bool) error {
	for _, k := range kinds {
		switch {
		case k == nil:
			return errNilKind
		case k.Columns < 0:
			return fmt.Errorf("the batch %s has %d columns; they must be 1 or more, or 0 for d", k, k.Columns)
		case makes(k):
			continue
		case !otherMakes(k):
			other = "nothing"
		}
		var known []string
		for _, k := range Kinds() {
			if makes(k) {
				known = append(known, k.Name)
			}
		}
		return fmt.Errorf("%s makes the batches %s; %s makes %q", algorithm, strings.Join(known, ", "), other, k)
	}
	return nil
}

// Batch returns the batch of kind k in the current iteration. It holds until the next
// Step.
func (c *CMFGen) Batch(k *Kind) (blas32.General, error) {
	if k == nil {
		return blas32.General{}, errNilKind
	}
	return produce(&c.State.made, k, k.CMFGen, c, c.State.x.Rows, c.State.x.Cols)
}

// Batch returns the batch of kind k in the current iteration. It holds until the next
// Step.
func (c *CMFMA) Batch(k *Kind) (blas32.General, error) {
	if k == nil {
		return blas32.General{}, errNilKind
	}
	return produce(&c.State.made, k, k.CMFMA, c, c.State.points.Rows, c.State.points.Cols)
}

// makeInputs makes the batches that the loss reads.
func (c *CMFGen) makeInputs() error {
	inputs := c.Objective.Inputs()
	if err := CheckCMFGen(inputs...); err != nil {
		return fmt.Errorf("solvers: %w", err)
	}
	for _, k := range inputs {
		if _, err := c.Batch(k); err != nil {
			return err
		}
	}
	return nil
}

func (c *CMFMA) makeInputs() error {
	inputs := c.Objective.Inputs()
	if err := CheckCMFMA(inputs...); err != nil {
		return fmt.Errorf("solvers: %w", err)
	}
	for _, k := range inputs {
		if _, err := c.Batch(k); err != nil {
			return err
		}
	}
	return nil
}

// Log puts a number of a kind of batch into the Numbers of the iteration. Its name
// should begin with the name of the kind, so that no two are the same.
func (c *CMFGen) Log(name string, v float64) { c.State.made.log(name, v) }

// Log is CMFGen.Log for CMFMA.
func (c *CMFMA) Log(name string, v float64) { c.State.made.log(name, v) }

// made holds the batches of an iteration, in memory that the next one reuses.
type made struct {
	batches, memory map[*Kind]blas32.General
	numbers         map[string]float64
	under           []*Kind // being made, each because the one before asked for it
}

// begin forgets the last iteration.
func (m *made) begin() (numbers map[string]float64) {
	if m.batches == nil {
		m.batches, m.memory = make(map[*Kind]blas32.General), make(map[*Kind]blas32.General)
		m.numbers = make(map[string]float64)
	}
	clear(m.batches)
	clear(m.numbers)
	return m.numbers
}

func (m *made) log(name string, v float64) {
	if m.numbers != nil {
		m.numbers[name] = v
	}
}

// produce lets the algorithm a fill the batch of kind k, (n, d) or (n, Columns), unless
// this iteration has made it already.
func produce[A any](m *made, k *Kind, fill func(a A, dst blas32.General) error, a A, n, d int) (blas32.General, error) {
	if b, ok := m.batches[k]; ok {
		return b, nil
	}
	if m.memory == nil {
		return blas32.General{}, fmt.Errorf("solvers: the batch %s is made in a Step; call Step first", k)
	}
	switch {
	case fill == nil:
		return blas32.General{}, fmt.Errorf("solvers: the batch %s does not say how %T makes it", k, a)
	case slices.Contains(m.under, k):
		return blas32.General{}, fmt.Errorf("solvers: the batch %s is made from itself: %v", k, m.under)
	}
	m.under = append(m.under, k)
	dst := batch.Reshaped(m.memory[k], n, cmp.Or(k.Columns, d))
	m.memory[k] = dst
	err := fill(a, dst)
	m.under = m.under[:len(m.under)-1]
	if err != nil {
		return blas32.General{}, fmt.Errorf("solvers: the batch %s: %w", k, err)
	}
	m.batches[k] = dst
	return dst, nil
}
