package kernel

// Softplus writes dst_i = log(1 + e^{x_i}), computed as
// max(x, 0) + log1p(e^{−|x|}), so that neither tail loses accuracy: in float32
// the error is at most 2.5 ulp for every x.
func Softplus[T Float](dst, x []T) {
	sameLength(len(dst), len(x))
	if isFloat32[T]() {
		active.softplus(f32(dst), f32(x))
	} else {
		softplus64(f64(dst), f64(x))
	}
}

// Sigmoid writes dst_i = 1/(1 + e^{−x_i}), the derivative of softplus, in
// float32 within 2.5 ulp.
func Sigmoid[T Float](dst, x []T) {
	sameLength(len(dst), len(x))
	if isFloat32[T]() {
		active.sigmoid(f32(dst), f32(x))
	} else {
		sigmoid64(f64(dst), f64(x))
	}
}

// SoftplusSigmoid writes sp_i = log(1 + e^{x_i}) and sg_i = 1/(1 + e^{−x_i})
// with one exponential for both; sp and sg must be different slices.
func SoftplusSigmoid[T Float](sp, sg, x []T) {
	sameLength(len(sp), len(sg), len(x))
	if isFloat32[T]() {
		active.softplusSigmoid(f32(sp), f32(sg), f32(x))
	} else {
		softplusSigmoid64(f64(sp), f64(sg), f64(x))
	}
}

// SigmoidGrad writes dst_i = s_i(1 − s_i)·g_i, the gradient through a sigmoid
// whose output was s.
func SigmoidGrad[T Float](dst, s, g []T) {
	sameLength(len(dst), len(s), len(g))
	if isFloat32[T]() {
		active.sigmoidGrad(f32(dst), f32(s), f32(g))
	} else {
		sigmoidGrad(dst, s, g)
	}
}

// SigmoidGrad2 writes dst_i = (1 − 2s_i)·g_i·u_i, the gradient through
// [SigmoidGrad] to its s where u is the gradient of its result.
func SigmoidGrad2[T Float](dst, s, g, u []T) {
	sameLength(len(dst), len(s), len(g), len(u))
	if isFloat32[T]() {
		active.sigmoidGrad2(f32(dst), f32(s), f32(g), f32(u))
	} else {
		sigmoidGrad2(dst, s, g, u)
	}
}

// Exp writes dst_i = e^{x_i}, in float32 within 1 ulp.
func Exp[T Float](dst, x []T) {
	sameLength(len(dst), len(x))
	if isFloat32[T]() {
		active.exp(f32(dst), f32(x))
	} else {
		exp64(f64(dst), f64(x))
	}
}

// Log writes dst_i = log x_i, in float32 within 1 ulp; it is −∞ at 0 and NaN
// below.
func Log[T Float](dst, x []T) {
	sameLength(len(dst), len(x))
	if isFloat32[T]() {
		active.log(f32(dst), f32(x))
	} else {
		log(dst, x)
	}
}
