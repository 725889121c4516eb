package main

import . "github.com/mmcloughlin/avo/build"

// arithmetic emits the kernels of a few operations per element.
func arithmetic(s instructionSet) {
	for _, op := range []struct {
		name, doc string
		of        func(a, b vector) vector
	}{
		{"add", "writes a + b.", s.add},
		{"sub", "writes a − b.", s.sub},
		{"mul", "writes a·b.", s.mul},
	} {
		l := begin(s, op.name, "func(dst, a, b []float32)", op.doc, "dst", "a", "b")
		l.each(func() { l.store(op.of(l.load("a", 0), l.load("b", 0)), "dst") })
	}

	l := begin(s, "mulAdd", "func(dst, a, b []float32)", "adds a·b to dst.", "dst", "a", "b")
	l.each(func() {
		l.store(s.mulAdd(l.load("a", 0), l.load("b", 0), l.load("dst", 0)), "dst")
	})

	l = begin(s, "axpy", "func(dst []float32, alpha float32, x []float32)", "adds alpha·x to dst.", "dst", "x")
	alpha := l.scalar("alpha")
	l.each(func() { l.store(s.mulAdd(alpha, l.load("x", 0), l.load("dst", 0)), "dst") })

	l = begin(s, "affine", "func(dst []float32, a float32, x []float32, b float32)", "writes a·x + b.", "dst", "x")
	a, b := l.scalar("a"), l.scalar("b")
	l.each(func() {
		y := l.load("x", 0)
		VFMADD213PS(b, a, y)
		l.store(y, "dst")
	})

	l = begin(s, "relu", "func(dst, x []float32)", "writes max(x, 0).", "dst", "x")
	l.each(func() { l.store(s.atLeast(l.load("x", 0), s.constant(0)), "dst") })

	l = begin(s, "step", "func(dst, x []float32)", "writes 1 where x > 0, and 0 for the rest.", "dst", "x")
	l.each(func() {
		zero := s.constant(0)
		l.store(s.where(less, zero, l.load("x", 0), s.constant(1), zero), "dst")
	})

	l = begin(s, "sigmoidGrad", "func(dst, s, g []float32)", "writes s·(1 − s)·g.", "dst", "s", "g")
	l.each(func() {
		y := l.load("s", 0)
		y = s.mul(y, s.sub(s.constant(1), y))
		l.store(s.mul(y, l.load("g", 0)), "dst")
	})

	l = begin(s, "sigmoidGrad2", "func(dst, s, g, u []float32)", "writes (1 − 2s)·g·u.", "dst", "s", "g", "u")
	l.each(func() {
		y := s.subMul(s.constant(2), l.load("s", 0), s.constant(1))
		l.store(s.mul(s.mul(y, l.load("g", 0)), l.load("u", 0)), "dst")
	})
}

// adam emits one step of Adam; the parameters are those of the Go function.
func adam(s instructionSet) {
	l := begin(s, "adam",
		"func(value, grad, m, v []float32, beta1, rest1, beta2, rest2, rate, scale2, eps, floor float32)",
		"does one step of Adam.", "value", "grad", "m", "v")
	beta1, rest1, beta2, rest2 := l.scalar("beta1"), l.scalar("rest1"), l.scalar("beta2"), l.scalar("rest2")
	rate, scale2, eps, floor := l.scalar("rate"), l.scalar("scale2"), l.scalar("eps"), l.scalar("floor")
	l.each(func() {
		g := l.load("grad", 0)
		m := s.mulAdd(beta1, l.load("m", 0), s.mul(rest1, g))
		v := s.mulAdd(beta2, l.load("v", 0), s.mul(rest2, s.mul(g, g)))
		l.store(m, "m")
		l.store(v, "v")
		root := s.mul(scale2, v)
		VSQRTPS(root, root)
		step := s.div(s.mul(rate, m), s.add(root, eps))
		l.store(s.atLeast(s.sub(l.load("value", 0), step), floor), "value")
	})
}
