package kernel

//go:generate go -C asm run ./peak -pkg kernel -out ../peak_amd64.s -stubs ../peak_stubs_amd64.go

// multiplyAdds returns a loop of independent multiply–adds and the number of
// operations in one round, or nil where there is no such loop.
func multiplyAdds() (run func(n int), operations int) {
	switch Features() {
	case "avx512":
		return multiplyAddsAVX512, 24 * 16 * 2
	case "avx2":
		return multiplyAddsAVX2, 12 * 8 * 2
	}
	return nil, 0
}
