package sampling_test

import (
	"testing"

	"cmf/solvers/internal/problem"
	"cmf/solvers/random"
	"cmf/solvers/sampling"
)

// Chains restored from a checkpoint continue bit for bit, and equal seeds agree.
func TestLangevinContinuesFromItsState(t *testing.T) {
	w := problem.RandomGaussian(t, 5, 1)
	for _, name := range []sampling.Method{sampling.ByULA, sampling.ByMALA} {
		l, err := sampling.NewLangevin(name)
		if err != nil {
			t.Fatal(err)
		}
		l.Decay = .6
		whole, rng := problem.ChainsAt(t, 30, 5, 0), random.New(4, "whole", 0)
		advance := func(c *sampling.Chains, rng *random.Stream) {
			if _, err := l.Run(t.Context(), w, c, 10, rng); err != nil {
				t.Fatal(err)
			}
		}
		advance(whole, rng)
		state, err := rng.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		saved, err := sampling.NewChains(whole.Y)
		if err != nil {
			t.Fatal(err)
		}
		copy(saved.Value, whole.Value)
		copy(saved.Grad.Data, whole.Grad.Data)
		saved.Fresh, saved.Step, saved.Adaptations, saved.Curvature = whole.Fresh, whole.Step, whole.Adaptations, whole.Curvature
		var resumed random.Stream
		if err := resumed.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		advance(whole, rng)
		advance(saved, &resumed)
		sameChains(t, string(name)+" resumed", saved, whole)

		again, rng := problem.ChainsAt(t, 30, 5, 0), random.New(4, "whole", 0)
		advance(again, rng)
		advance(again, rng)
		sameChains(t, string(name)+" repeated", again, whole)
	}
}

func TestMinibatchOfABank(t *testing.T) {
	bank := problem.ChainsAt(t, 6, 2, 0)
	for k := range bank.Y.Data {
		bank.Y.Data[k], bank.Grad.Data[k], bank.Value[k/2] = float32(k), float32(-k), float32(k/2)
	}
	bank.Fresh, bank.Step, bank.Adaptations = true, .25, 7
	index := []int{5, 0, 3}
	var batch sampling.Chains
	if err := bank.Gather(&batch, index); err != nil {
		t.Fatal(err)
	}
	for k, i := range index {
		if batch.Y.Data[2*k] != float32(2*i) || batch.Grad.Data[2*k+1] != -float32(2*i+1) || batch.Value[k] != float32(i) {
			t.Errorf("row %d of the minibatch is not row %d of the bank", k, i)
		}
	}
	if !batch.Fresh || batch.Step != .25 || batch.Adaptations != 7 {
		t.Errorf("the minibatch is %+v", batch)
	}
	for k := range batch.Y.Data {
		batch.Y.Data[k] += 100
	}
	batch.Step, batch.Fresh = .5, false
	if err := bank.Scatter(&batch, index); err != nil {
		t.Fatal(err)
	}
	for k, y := range bank.Y.Data {
		want := float32(k)
		if i := k / 2; i == 5 || i == 0 || i == 3 {
			want += 100
		}
		if y != want {
			t.Errorf("number %d of the bank is %g, want %g", k, y, want)
		}
	}
	if bank.Fresh || bank.Step != .5 {
		t.Errorf("the bank is fresh (%t) with the step %g", bank.Fresh, bank.Step)
	}
	if bank.Gather(&batch, []int{6}) == nil || bank.Scatter(&batch, []int{0, -1, 2}) == nil || bank.Scatter(&batch, []int{0}) == nil {
		t.Error("a wrong index was taken")
	}
}
