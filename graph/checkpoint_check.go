package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/nlpodyssey/safetensors"
)

// Sum is the SHA-256 of the arrays with their names, types and shapes, and of the
// texts, in hexadecimal. It does not depend on how a file orders them.
func (c *Checkpoint) Sum() string {
	h := sha256.New()
	word := make([]byte, 8)
	number := func(n int) {
		binary.LittleEndian.PutUint64(word, uint64(n))
		h.Write(word)
	}
	text := func(s string) {
		number(len(s))
		io.WriteString(h, s)
	}
	number(len(c.Tensors))
	for _, name := range slices.Sorted(maps.Keys(c.Tensors)) {
		t := c.Tensors[name]
		text(name)
		number(len(t.Shape))
		for _, n := range t.Shape {
			number(n)
		}
		text(t.dtype().String())
		number(max(4*len(t.F32), 8*len(t.F64)))
		const at = 1 << 14 // values at once, so that large arrays need no copy
		for rest := t; len(rest.F32)+len(rest.F64) > 0; {
			n, m := min(at, len(rest.F32)), min(at, len(rest.F64))
			h.Write(Tensor{F32: rest.F32[:n], F64: rest.F64[:m]}.raw())
			rest = Tensor{F32: rest.F32[n:], F64: rest.F64[m:]}
		}
	}
	number(len(c.Texts))
	for _, name := range slices.Sorted(maps.Keys(c.Texts)) {
		text(name)
		text(c.Texts[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// checkSum compares the sum of a file that was read with its content, and takes the texts
// of the file format out.
func (c *Checkpoint) checkSum() error {
	sum, summed := c.Texts[sumKey]
	version, named := c.Texts[formatKey]
	delete(c.Texts, sumKey)
	delete(c.Texts, formatKey)
	switch c.Unchecked = !summed && !named; {
	case named && version != format:
		return fmt.Errorf("it is damaged, or of a later version: its format is %q; this version knows %q", version, format)
	case named && !summed:
		return errors.New("it is damaged: the sum of its content is missing")
	case summed && sum != c.Sum():
		return errors.New("it is damaged: its content does not have the sum that it was written with")
	}
	return nil
}

func (t Tensor) dtype() safetensors.DType {
	if t.F32 != nil {
		return safetensors.F32
	}
	return safetensors.F64
}

// raw are the values as the file holds them.
func (t Tensor) raw() []byte {
	raw := make([]byte, 0, max(4*len(t.F32), 8*len(t.F64)))
	for _, v := range t.F32 {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	for _, v := range t.F64 {
		raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
	}
	return raw
}

// Values are the values of the named array, which must be of float32, finite and of
// the given shape. They share its memory.
func (c *Checkpoint) Values(name string, shape ...int) ([]float32, error) {
	t, ok := c.Tensors[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("it has no %q", name)
	case !slices.Equal(t.Shape, shape):
		return nil, fmt.Errorf("its %q has shape %v; it must be %v", name, t.Shape, shape)
	}
	return t.F32, t.check(name)
}

// Check returns an error that names an array that is not of float32 or not finite.
func (c *Checkpoint) Check() error {
	for _, name := range slices.Sorted(maps.Keys(c.Tensors)) {
		if err := c.Tensors[name].check(name); err != nil {
			return err
		}
	}
	return nil
}

func (t Tensor) check(name string) error {
	if size, ok := t.size(); !ok || size != len(t.F32) {
		return fmt.Errorf("its %q is not of %v float32 values", name, t.Shape)
	}
	if slices.ContainsFunc(t.F32, func(v float32) bool { return v-v != 0 }) {
		return fmt.Errorf("its %q holds NaN or ±Inf", name)
	}
	return nil
}

// size is the number of values of the shape, if that is one.
func (t Tensor) size() (n int, ok bool) {
	n = 1
	for _, m := range t.Shape {
		if m < 0 || m > 0 && n > math.MaxInt/m {
			return 0, false
		}
		n *= m
	}
	return n, true
}
