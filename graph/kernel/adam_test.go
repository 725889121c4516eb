package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// adamDefault is Adam with the settings of its paper at step t = 1, 2, ….
func adamDefault(t int) AdamStep {
	return AdamStep{
		Beta1: 0.9, Beta2: 0.999, LR: 1e-3, Eps: 1e-8,
		C1: float32(1 - math.Pow(0.9, float64(t))),
		C2: float32(1 - math.Pow(0.999, float64(t))),
	}
}

// In its first step Adam moves every value by lr against the sign of its
// gradient, whatever the gradient's size.
func TestAdamFirstStep(t *testing.T) {
	grad := []float32{3, -0.5, 1e-3, -1e4, 0}
	eachPath(t, func(t *testing.T) {
		value, m, v := make([]float32, len(grad)), make([]float32, len(grad)), make([]float32, len(grad))
		Adam(adamDefault(1), value, grad, m, v)
		for i, want := range []float64{-1e-3, 1e-3, -1e-3, 1e-3, 0} {
			if math.Abs(float64(value[i])-want) > 1e-7 {
				t.Errorf("gradient %g moves the value by %g, want %g", grad[i], value[i], want)
			}
		}
	})
}

func TestAdamAgainstFloat64(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for n := range 71 {
			for _, nonNegative := range []bool{false, true} {
				checkAdam(t, n, nonNegative)
			}
		}
	})
}

func checkAdam(t *testing.T, n int, nonNegative bool) {
	const steps = 5
	rng := rand.New(rand.NewPCG(uint64(n), 11))
	start := normals[float32](rng, n)
	for i := range start {
		start[i] *= 1e-3 // near 0, so that some are projected
	}
	value, m, v := slices.Clone(start), make([]float32, n+1), make([]float32, n+1)
	m[n], v[n] = 7, 7 // guards
	exact, exactM, exactV := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range exact {
		exact[i] = float64(start[i])
	}
	for k := 1; k <= steps; k++ {
		p := adamDefault(k)
		p.NonNegative = nonNegative
		grad := normals[float32](rng, n)
		Adam(p, value, grad, m[:n], v[:n])
		for i, g := range grad {
			g := float64(g)
			exactM[i] = float64(p.Beta1)*exactM[i] + float64(1-p.Beta1)*g
			exactV[i] = float64(p.Beta2)*exactV[i] + float64(1-p.Beta2)*g*g
			exact[i] -= float64(p.LR) * exactM[i] / float64(p.C1) / (math.Sqrt(exactV[i]/float64(p.C2)) + float64(p.Eps))
			if nonNegative {
				exact[i] = max(exact[i], 0)
			}
		}
	}
	for i := range exact {
		if math.Abs(float64(value[i])-exact[i]) > 1e-8 ||
			math.Abs(float64(m[i])-exactM[i]) > 1e-6 || math.Abs(float64(v[i])-exactV[i]) > 1e-7 {
			t.Fatalf("length %d, element %d: value %g, m %g, v %g, want %g, %g, %g",
				n, i, value[i], m[i], v[i], exact[i], exactM[i], exactV[i])
		}
	}
	if m[n] != 7 || v[n] != 7 {
		t.Fatalf("length %d: written past the end", n)
	}
}
