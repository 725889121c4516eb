package kernel

// Add writes dst_i = a_i + b_i.
func Add[T Float](dst, a, b []T) {
	sameLength(len(dst), len(a), len(b))
	if isFloat32[T]() {
		active.add(f32(dst), f32(a), f32(b))
	} else {
		add(dst, a, b)
	}
}

// Sub writes dst_i = a_i − b_i.
func Sub[T Float](dst, a, b []T) {
	sameLength(len(dst), len(a), len(b))
	if isFloat32[T]() {
		active.sub(f32(dst), f32(a), f32(b))
	} else {
		sub(dst, a, b)
	}
}

// Mul writes dst_i = a_i·b_i.
func Mul[T Float](dst, a, b []T) {
	sameLength(len(dst), len(a), len(b))
	if isFloat32[T]() {
		active.mul(f32(dst), f32(a), f32(b))
	} else {
		mul(dst, a, b)
	}
}

// MulAdd adds a_i·b_i to dst_i.
func MulAdd[T Float](dst, a, b []T) {
	sameLength(len(dst), len(a), len(b))
	if isFloat32[T]() {
		active.mulAdd(f32(dst), f32(a), f32(b))
	} else {
		mulAdd(dst, a, b)
	}
}

// Axpy adds alpha·x_i to dst_i.
func Axpy[T Float](dst []T, alpha T, x []T) {
	sameLength(len(dst), len(x))
	if isFloat32[T]() {
		active.axpy(f32(dst), float32(alpha), f32(x))
	} else {
		axpy(dst, alpha, x)
	}
}

// Affine writes dst_i = a·x_i + b.
func Affine[T Float](dst []T, a T, x []T, b T) {
	sameLength(len(dst), len(x))
	if isFloat32[T]() {
		active.affine(f32(dst), float32(a), f32(x), float32(b))
	} else {
		affine(dst, a, x, b)
	}
}

// Relu writes max(x, 0) to dst, which may be x; NaN stays NaN.
func Relu[T Float](dst, x []T) {
	sameLength(len(dst), len(x))
	if isFloat32[T]() {
		active.relu(f32(dst), f32(x))
		return
	}
	for i, v := range x {
		dst[i] = max(Flush(v), 0)
	}
}

// Step writes 1 where x > 0, and 0 for the rest and NaN, to dst, which may be x.
func Step[T Float](dst, x []T) {
	sameLength(len(dst), len(x))
	if isFloat32[T]() {
		active.step(f32(dst), f32(x))
		return
	}
	for i, v := range x {
		dst[i] = 0
		if Flush(v) > 0 {
			dst[i] = 1
		}
	}
}

func add[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = Flush(Flush(a[i]) + Flush(b[i]))
	}
}

func sub[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = Flush(Flush(a[i]) - Flush(b[i]))
	}
}

func mul[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = Flush(Flush(a[i]) * Flush(b[i]))
	}
}

func mulAdd[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = Flush(Flush(dst[i]) + Flush(Flush(a[i])*Flush(b[i])))
	}
}

func axpy[T Float](dst []T, alpha T, x []T) {
	x, alpha = x[:len(dst)], Flush(alpha)
	for i := range dst {
		dst[i] = Flush(Flush(dst[i]) + Flush(alpha*Flush(x[i])))
	}
}

func affine[T Float](dst []T, a T, x []T, b T) {
	x, a, b = x[:len(dst)], Flush(a), Flush(b)
	for i := range dst {
		dst[i] = Flush(Flush(a*Flush(x[i])) + b)
	}
}
