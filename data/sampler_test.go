package data

import (
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

// numbered is an (n, 2) batch whose row i is (i, −i).
func numbered(n int) blas32.General {
	m := batch.New(n, 2)
	for i := range n {
		m.Data[2*i], m.Data[2*i+1] = float32(i), -float32(i)
	}
	return m
}

// For any size of minibatch, n rows from the start of an epoch are the whole
// data, each row once.
func TestEpochsDealEachRowOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "rows")
		size := rapid.IntRange(1, 30).Draw(t, "batch")
		data := numbered(n)
		epochs, err := NewEpochs(data, random.Seeded(rapid.Uint64().Draw(t, "seed"), 0))
		if err != nil {
			t.Fatal(err)
		}
		var dealt []int
		dst := batch.New(size, 2)
		for len(dealt) < 4*n {
			if err := epochs.Next(dst); err != nil {
				t.Fatal(err)
			}
			for i := range size {
				r := batch.Row(dst, i)
				if r[0] != -r[1] {
					t.Fatalf("row %v is not of the data", r)
				}
				dealt = append(dealt, int(r[0]))
			}
		}
		for epoch := range 4 {
			seen := slices.Sorted(slices.Values(dealt[epoch*n : (epoch+1)*n]))
			for i, v := range seen {
				if v != i {
					t.Fatalf("epoch %d dealt %v", epoch, seen)
				}
			}
		}
	})
}

func TestEpochsShuffle(t *testing.T) {
	data, dst := numbered(100), batch.New(100, 2)
	epochs, err := NewEpochs(data, random.Seeded(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	var previous []float32
	for range 3 {
		if err := epochs.Next(dst); err != nil {
			t.Fatal(err)
		}
		if slices.Equal(dst.Data, data.Data) || slices.Equal(dst.Data, previous) {
			t.Error("an epoch is in the order of the data or of the last epoch")
		}
		previous = slices.Clone(dst.Data)
	}
}

// After Restore come the minibatches that followed State, even if the Epochs
// were at another place of another epoch, with another seed.
func TestEpochsRestore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := numbered(7)
		deal := func(e *Epochs, n int) []float32 {
			dst := batch.New(n, 2)
			if err := e.Next(dst); err != nil {
				t.Fatal(err)
			}
			return dst.Data
		}
		a, err := NewEpochs(data, random.Seeded(1, 2))
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewEpochs(data, random.Seeded(3, 4))
		if err != nil {
			t.Fatal(err)
		}
		deal(a, rapid.IntRange(0, 30).Draw(t, "steps of one"))
		deal(b, rapid.IntRange(0, 30).Draw(t, "steps of the other"))
		state := a.State()
		want := deal(a, 20)
		if err := b.Restore(state); err != nil {
			t.Fatal(err)
		}
		if got := deal(b, 20); !slices.Equal(got, want) {
			t.Fatalf("after Restore got %v, want %v", got, want)
		}
	})
}

func TestEpochsRefuse(t *testing.T) {
	if _, err := NewEpochs(batch.New(0, 2), random.Seeded(1, 2)); err == nil {
		t.Error("data without rows passed")
	}
	if _, err := NewEpochs(batch.New(3, 2), nil); err == nil {
		t.Error("a missing random source passed")
	}
	epochs, err := NewEpochs(batch.New(3, 2), random.Seeded(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewEpochs(batch.New(4, 2), random.Seeded(1, 2))
	if err != nil {
		t.Fatal(err)
	}
	far := epochs.State()
	far[8] = 4
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"columns":    {epochs.Next(batch.New(2, 3)), "dst has 3 columns; data has 2"},
		"empty":      {epochs.Restore(nil), "the state has 0 bytes"},
		"other data": {epochs.Restore(other.State()), "data with 4 rows; this has 3"},
		"position":   {epochs.Restore(far), "at row 4; it must be 0 to 3"},
		"cut":        {epochs.Restore(epochs.State()[:20]), "PCG"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", name, c.err, c.want)
		}
	}
}
