// Package random has the module's only source of random numbers: a Stream, named by a
// seed, a purpose and an index. Streams with different names are independent, so the
// draws of one part of a program never change those of another.
package random

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	rand "math/rand/v2"
)

// Stream is a seeded stream of random numbers. It has the methods of a rand.Rand, and
// holds the generator behind it, so that its state can go into a checkpoint. Everything
// that draws in the module takes a Stream; other code may use it as a rand.Source. It
// is not safe for concurrent use. The zero value only accepts UnmarshalBinary.
type Stream struct {
	*generator
	pcg *rand.PCG
}

type generator = rand.Rand

// New returns the stream of a seed, a purpose such as "langevin", and an index
// such as the number of a chain. The generator is PCG-DXSM (O'Neill, "PCG: A
// Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random
// Number Generation", 2014), seeded by SHA-256 of the three. Streams that differ in
// any of them are independent; equal ones give the same numbers on every computer.
func New(seed uint64, purpose string, index uint64) *Stream {
	key := binary.BigEndian.AppendUint64(nil, seed)
	key = binary.BigEndian.AppendUint64(key, index)
	key = append(key, purpose...)
	sum := sha256.Sum256(key)
	return Seeded(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16]))
}

// Seeded returns the stream of a PCG-DXSM that is seeded directly by two words, where
// New takes them from a hash.
func Seeded(high, low uint64) *Stream {
	pcg := rand.NewPCG(high, low)
	return &Stream{generator: rand.New(pcg), pcg: pcg}
}

// MarshalBinary returns the state of the generator, 20 bytes.
func (s *Stream) MarshalBinary() ([]byte, error) {
	if s.pcg == nil {
		return nil, fmt.Errorf("random: a zero Stream has no state; make it with New")
	}
	return s.pcg.MarshalBinary()
}

// UnmarshalBinary makes s continue where the marshalled stream stood. A state that
// MarshalBinary did not write gives an error and leaves s unchanged.
func (s *Stream) UnmarshalBinary(state []byte) error {
	pcg := new(rand.PCG)
	if err := pcg.UnmarshalBinary(state); err != nil {
		return fmt.Errorf("random: reading the state of a random stream: %w", err)
	}
	s.pcg, s.generator = pcg, rand.New(pcg)
	return nil
}

// The ziggurat covers the half density e^{−x²/2} by layers of equal area, from
// layer 1 at the top down to layer 0, which holds the tail beyond tailStart.
// Marsaglia and Tsang, "The Ziggurat Method for Generating Random Variables",
// J. Stat. Softw. 5(8), 2000.
const (
	zigguratLayers = 128
	tailStart      = 3.442619855899
	layerArea      = 9.91256303526217e-3
)

// ziggurat holds, for each layer: the width of one of the 2²⁴ cells across it, the
// number of cells that are wholly below the density, and the density at its outer
// edge (for layer 0: 1, the height of layer 1's inner edge).
var ziggurat = func() (z [zigguratLayers]struct {
	width  float32
	inside int32
	edge   float64
}) {
	const cells = 1 << 24
	density := func(x float64) float64 { return math.Exp(-x * x / 2) }
	x := tailStart
	base := layerArea / density(x) // the base layer as a box of the same area
	z[0].width, z[0].inside, z[0].edge = float32(base/cells), int32(x/base*cells), 1
	for i := zigguratLayers - 1; i > 0; i-- {
		z[i].width, z[i].edge = float32(x/cells), density(x)
		inner := 0.0 // the top layer ends at the axis
		if i > 1 {
			inner = math.Sqrt(-2 * math.Log(layerArea/x+density(x)))
		}
		z[i].inside = int32(inner / x * cells)
		x = inner
	}
	return z
}()

// Normals fills dst with N(0, 1) numbers, two from each draw of 64 bits: a float32
// has room for 24 random bits; with the sign and the layer these are 32, and no bit
// is used twice.
func (s *Stream) Normals(dst []float32) {
	var bits uint64
	for i := range dst {
		if i&1 == 0 {
			bits = s.Uint64()
		} else {
			bits >>= 32
		}
		layer, cell := bits&(zigguratLayers-1), int32(bits)>>7
		z := &ziggurat[layer]
		dst[i] = float32(cell) * z.width
		if max(cell, -cell) >= z.inside {
			dst[i] = s.normalOutside(layer, cell)
		}
	}
}

// normalOutside finishes the draws, about one in eighty, that fall outside the part of
// a layer that is surely below the density. The conversions to float64 keep a compiler
// from fusing products and sums, which would make the numbers depend on the computer.
func (s *Stream) normalOutside(layer uint64, cell int32) float32 {
	for {
		z := &ziggurat[layer]
		x := float64(float32(cell) * z.width)
		if max(cell, -cell) < z.inside {
			return float32(x)
		}
		if layer == 0 {
			return float32(math.Copysign(s.normalTail(), x))
		}
		inner := ziggurat[layer-1].edge
		height := z.edge + float64(s.Float64()*(inner-z.edge))
		if height < math.Exp(float64(-x*x)/2) {
			return float32(x)
		}
		bits := s.Uint64()
		layer, cell = bits&(zigguratLayers-1), int32(bits)>>7
	}
}

// normalTail draws |ξ| given |ξ| > tailStart (Marsaglia 1964).
func (s *Stream) normalTail() float64 {
	for {
		x := -math.Log(1-s.Float64()) / tailStart
		y := -math.Log(1 - s.Float64())
		if y+y > float64(x*x) {
			return tailStart + x
		}
	}
}
