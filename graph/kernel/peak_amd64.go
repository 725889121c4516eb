package kernel

//go:generate go -C asm run ./peak -pkg kernel -out ../peak_amd64.s -stubs ../peak_stubs_amd64.go

// multiplyAdds is a loop of independent multiply–adds and the operations of one
// round of it; nil where there is none.
func multiplyAdds() (run func(n int), operations int) {
	switch Features() {
	case "avx512":
		return multiplyAddsAVX512, 24 * 16 * 2
	case "avx2":
		return multiplyAddsAVX2, 12 * 8 * 2
	}
	return nil, 0
}
