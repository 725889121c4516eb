package random

import (
	"math"
	"testing"
)

// Moments and tail masses of the ziggurat, each within five standard errors.
func TestNormalsFollowTheNormalLaw(t *testing.T) {
	const n = 4_000_000
	x := make([]float32, n)
	New(1, "normals", 0).Normals(x)
	var sum [5]float64
	edges := []float64{-4, -3.442619855899, -3, -2, -1, -.5, -.25, 0, .2, 1, 2, 3, 3.442619855899, 4}
	below := make([]float64, len(edges))
	var serial float64
	for i, v := range x {
		p := 1.0
		for k := range sum {
			sum[k] += p
			p *= float64(v)
		}
		for k, e := range edges {
			if float64(v) < e {
				below[k]++
			}
		}
		if i > 0 {
			serial += float64(v) * float64(x[i-1])
		}
	}
	moments := []struct {
		got, want, sd float64 // sd of one term
	}{
		{sum[1], 0, 1}, {sum[2], 1, math.Sqrt(2)}, {sum[3], 0, math.Sqrt(15)}, {sum[4], 3, math.Sqrt(96)}, {serial, 0, 1},
	}
	for k, m := range moments {
		if err := math.Abs(m.got/n - m.want); err > 5*m.sd/math.Sqrt(n) {
			t.Errorf("moment %d: off by %g, standard error %g", k, err, m.sd/math.Sqrt(n))
		}
	}
	for k, e := range edges {
		p := math.Erfc(-e/math.Sqrt2) / 2
		if se := math.Sqrt(p * (1 - p) / n); math.Abs(below[k]/n-p) > 5*se {
			t.Errorf("mass below %g is %g, want %g ± %g", e, below[k]/n, p, se)
		}
	}
}

func TestStreamsDifferInSeedPurposeAndIndex(t *testing.T) {
	const n = 10_000
	streams := []*Stream{
		New(7, "data", 0), New(8, "data", 0), New(7, "langevin", 0), New(7, "data", 1),
	}
	draws := make([][]float32, len(streams))
	for i, s := range streams {
		draws[i] = make([]float32, n)
		s.Normals(draws[i])
	}
	for i := range draws {
		for j := range i {
			var dot float64
			for k := range n {
				dot += float64(draws[i][k]) * float64(draws[j][k])
			}
			if math.Abs(dot) > 5*math.Sqrt(n) {
				t.Errorf("streams %d and %d correlate: %g", i, j, dot/n)
			}
		}
	}
}

func TestStreamContinuesFromItsState(t *testing.T) {
	s := New(3, "checkpoint", 2)
	s.Normals(make([]float32, 101))
	state, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Stream
	if err := back.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if a, b := s.Uint64(), back.Uint64(); a != b {
			t.Fatalf("draw %d: %d after restoring, want %d", i, b, a)
		}
	}
	if err := back.UnmarshalBinary(state[:10]); err == nil {
		t.Error("a truncated state was taken")
	}
	if _, err := new(Stream).MarshalBinary(); err == nil {
		t.Error("a zero stream was marshalled")
	}
}

// The first numbers of one stream are fixed, so that a change of Go or of computer
// cannot alter results unnoticed.
func TestStreamIsTheSameEverywhere(t *testing.T) {
	s := New(42, "golden", 0)
	x := make([]float32, 1000)
	s.Normals(x)
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	if x[0] != -0.8504707 || x[1] != 0.24582575 || x[2] != -2.2994478 {
		t.Errorf("the first three normals are %v", x[:3])
	}
	if got := s.Uint64(); math.Abs(sum+14.753927730940632) > 1e-5 || got != 13171571736280021236 {
		t.Errorf("the sum of a thousand is %v and the next word %d", sum, got)
	}
}

func BenchmarkNormals(b *testing.B) {
	s := New(1, "benchmark", 0)
	x := make([]float32, 1<<14)
	b.SetBytes(4 << 14)
	for b.Loop() {
		s.Normals(x)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x)), "ns/normal")
}
