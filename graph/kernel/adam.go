package kernel

import (
	"math"
	"sync"
)

// AdamStep holds the settings of one step of [Adam]; all must be set.
type AdamStep struct {
	Beta1, Beta2 float32 // decay of the first and second moment, in [0, 1)
	LR           float32 // learning rate
	Eps          float32 // added to the root of the second moment, > 0
	C1, C2       float32 // bias corrections 1 − β1ᵗ and 1 − β2ᵗ at step t = 1, 2, …
	NonNegative  bool    // project the value onto [0, ∞) after the step
}

// Adam does one step in one pass over parameters value with gradient grad and
// moments m, v:
//
//	m ← β1·m + (1 − β1)·g,  v ← β2·v + (1 − β2)·g²,
//	value ← value − lr·(m/c1)/(√(v/c2) + ε),
//
// then value ← max(value, 0) where p.NonNegative is set (Kingma and Ba, Adam: a
// method for stochastic optimization, ICLR 2015, Algorithm 1). Long slices are
// shared among threads.
func Adam(p AdamStep, value, grad, m, v []float32) {
	sameLength(len(value), len(grad), len(m), len(v))
	c := adamCalls.Get().(*adamCall)
	c.AdamStep, c.value, c.grad, c.m, c.v = p, value, grad, m, v
	Parallel(len(value), 1<<16, c.body)
	c.value, c.grad, c.m, c.v = nil, nil, nil, nil
	adamCalls.Put(c)
}

// adamCall is a call of Adam that Parallel runs. It is pooled with its method
// value, so that it allocates nothing.
type adamCall struct {
	AdamStep
	value, grad, m, v []float32
	body              func(lo, hi int)
}

var adamCalls = sync.Pool{New: func() any {
	c := new(adamCall)
	c.body = c.do
	return c
}}

func (c *adamCall) do(lo, hi int) {
	floor := float32(math.Inf(-1))
	if c.NonNegative {
		floor = 0
	}
	active.adam(c.value[lo:hi], c.grad[lo:hi], c.m[lo:hi], c.v[lo:hi], c.Beta1, 1-c.Beta1, c.Beta2, 1-c.Beta2,
		c.LR/c.C1, 1/c.C2, c.Eps, floor)
}

// adam is the loop of Adam, free of divisions and branches, with the constants
// that it needs: rest = 1 − beta, rate = lr/c1, scale2 = 1/c2.
func adam(value, grad, m, v []float32, beta1, rest1, beta2, rest2, rate, scale2, eps, floor float32) {
	grad, m, v = grad[:len(value)], m[:len(value)], v[:len(value)]
	for i, g := range grad {
		g = Flush(g)
		m[i] = Flush(Flush(beta1*Flush(m[i])) + Flush(rest1*g))
		v[i] = Flush(Flush(beta2*Flush(v[i])) + Flush(rest2*Flush(g*g)))
		root := float32(math.Sqrt(float64(Flush(scale2 * v[i]))))
		t := Flush(Flush(value[i]) - Flush(Flush(rate*m[i])/(root+eps)))
		if t < floor {
			t = floor
		}
		value[i] = t
	}
}
