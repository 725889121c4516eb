package ranks

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cmf/data"
	"cmf/graph"
	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// numbered has the rows 0, 1, … of one column, from the given one.
func numbered(from, n int) blas32.General {
	x := batch.New(n, 1)
	for i := range n {
		x.Data[i] = float32(from + i)
	}
	return x
}

// Every row belongs to one rank.
func TestShares(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7} {
		seen := make([]int, 20)
		for rank := range n {
			part := everyNth(numbered(0, 20), rank, n)
			if part.Rows != ofShare(20, rank, n) {
				t.Errorf("rank %d of %d has %d rows, want %d", rank, n, part.Rows, ofShare(20, rank, n))
			}
			for _, v := range part.Data {
				seen[int(v)]++
			}
		}
		if slices.Max(seen) != 1 || slices.Min(seen) != 1 {
			t.Errorf("%d ranks have the rows %v times", n, seen)
		}
	}
}

// ofRanks is a checkpoint of n ranks with a bank of as many rows.
func ofRanks(n, rows int) *graph.Checkpoint {
	c := graph.NewCheckpoint()
	c.Put("bank.y", numbered(0, rows).Data, rows, 1)
	c.Put("bank.partners", numbered(100, rows).Data, rows, 1)
	c.Put("walkers.x", numbered(200, 2*n).Data, 2*n, 1)
	c.Texts["step"], c.Texts["bank.next"] = "5", "3"
	c.Texts["ranks"], c.Texts["stream"] = fmt.Sprint(n), "of 0"
	for k := 1; k < n; k++ {
		c.Texts[fmt.Sprintf("rank.%d.stream", k)] = fmt.Sprint("of ", k)
		c.Texts[fmt.Sprintf("rank.%d.bank.next", k)] = fmt.Sprint(k)
	}
	return c
}

func TestOwnPart(t *testing.T) {
	next := 0
	for rank := range 3 {
		c := ofRanks(3, 8) // 3, 3 and 2 rows
		if err := ownPart(c, rank, 3); err != nil {
			t.Fatal(err)
		}
		y, partners, walkers := c.Tensors["bank.y"], c.Tensors["bank.partners"], c.Tensors["walkers.x"]
		want := numbered(next, ofShare(8, rank, 3)).Data
		if !slices.Equal(y.F32, want) || partners.F32[0] != want[0]+100 || !slices.Equal(walkers.F32, numbered(200+2*rank, 2).Data) || y.Shape[0] != len(want) {
			t.Errorf("rank %d has %v, %v and %v", rank, y.F32, partners.F32, walkers.F32)
		}
		next += len(want)
		if got := c.Texts["stream"]; got != fmt.Sprint("of ", rank) {
			t.Errorf("rank %d has the stream %q", rank, got)
		}
	}
	c := ofRanks(3, 8)
	delete(c.Texts, "rank.2.bank.next")
	if err := ownPart(c, 2, 3); err == nil || !strings.Contains(err.Error(), `"rank.2.bank.next"`) {
		t.Errorf("a missing text gives %v", err)
	}
}

func TestDealRefusesNumbers(t *testing.T) {
	for _, text := range []string{"0", "-2", "two", "99999999999"} {
		c := ofRanks(1, 2)
		c.Texts["ranks"] = text
		if _, err := (*Group)(nil).Deal(c, "", Own{}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s ranks: %v", text, err)
		}
	}
}

// Particles of another number of ranks are dealt in turn, or repeated where there are too few;
// the points of a given source stay.
func TestDealAnew(t *testing.T) {
	epochs, err := data.NewEpochs(numbered(0, 10), random.New(1, "epochs", 0))
	if err != nil {
		t.Fatal(err)
	}
	y := numbered(50, 3)
	state, err := solvers.NewStillState(y, y, 3, random.New(1, "state", 0))
	if err != nil {
		t.Fatal(err)
	}
	own := Own{Seed: 1, State: state, Walkers: 1, Epochs: epochs, Particles: true}
	streams := map[string]bool{}
	for rank, want := range [][]float32{{0, 1, 2}, {3, 0, 1}} {
		c := ofRanks(1, 4)
		own.deal(c, rank)
		if got := c.Tensors["bank.y"].F32; !slices.Equal(got, want) {
			t.Errorf("rank %d has %v, want %v", rank, got, want)
		}
		if got := c.Tensors["walkers.x"].F32; len(got) != 1 || got[0] != float32(200+rank) {
			t.Errorf("rank %d has the walkers %v", rank, got)
		}
		order, err := hex.DecodeString(c.Texts["epochs"])
		if err == nil {
			err = epochs.Restore(order)
		}
		if err != nil || c.Texts["bank.next"] != "0" {
			t.Errorf("rank %d: %v, next row %s", rank, err, c.Texts["bank.next"])
		}
		streams[c.Texts["stream"]], streams[c.Texts["epochs"]] = true, true
	}
	if len(streams) != 4 {
		t.Errorf("there are %d streams of 2 ranks, want 4", len(streams))
	}
	own.Particles = false
	c := ofRanks(1, 4)
	if own.deal(c, 0); !slices.Equal(c.Tensors["bank.y"].F32, y.Data) {
		t.Errorf("the given points are %v", c.Tensors["bank.y"].F32)
	}
}
