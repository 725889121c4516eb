// Package simd128 makes a WebAssembly module of the kernels and of the tiles of matrix
// products, by vectors of four float32, which the Go compiler does not use there.
//
// A program that is compiled with the tag simd128 for js/wasm imports them from the module
// "kernels"; the module imports that program's memory as "env" "memory". Haas et al.,
// "Bringing the Web up to Speed with WebAssembly", PLDI 2017; the instructions are those of
// "WebAssembly Core Specification 2.0", W3C.
package simd128

import (
	"encoding/binary"
	"math"
)

// Value types.
const (
	i32  byte = 0x7f
	f32  byte = 0x7d
	v128 byte = 0x7b
)

// Instructions.
const (
	opBlock byte = 0x02
	opLoop  byte = 0x03
	opIf    byte = 0x04
	opEnd   byte = 0x0b
	opBr    byte = 0x0c
	opBrIf  byte = 0x0d
	opGet   byte = 0x20
	opSet   byte = 0x21

	i32Load  byte = 0x28
	f32Load  byte = 0x2a
	f32Store byte = 0x38
	i32Const byte = 0x41
	f32Const byte = 0x43
	i32Eqz   byte = 0x45
	i32Ne    byte = 0x47
	f32Ne    byte = 0x5c
	i32Add   byte = 0x6a
	i32Sub   byte = 0x6b
	i32Shl   byte = 0x74

	vector byte = 0xfd // before the following

	v128Load   = 0
	splatLoad  = 9
	v128Store  = 11
	v128Const  = 12
	f32Splat   = 19
	f32Less    = 67
	f32AtLeast = 70
	v128And    = 78
	bitSelect  = 82
	i32VecShl  = 171
	i32VecAdd  = 174
	i32VecSub  = 177
	f32Abs     = 224
	f32Neg     = 225
	f32Add     = 228
	f32Sub     = 229
	f32Mul     = 230
	f32Div     = 231
	f32Max     = 233
)

// function is one exported function while it is written.
type function struct {
	name   string
	params []byte
	locals []byte
	code   []byte
}

// local declares a variable and is its index.
func (f *function) local(kind byte) int {
	f.locals = append(f.locals, kind)
	return len(f.params) + len(f.locals) - 1
}

func (f *function) op(code ...byte) { f.code = append(f.code, code...) }

func (f *function) get(v int) { f.op(opGet); f.code = unsigned(f.code, uint64(v)) }
func (f *function) set(v int) { f.op(opSet); f.code = unsigned(f.code, uint64(v)) }

func (f *function) int(v int32) { f.op(i32Const); f.code = signed(f.code, int64(v)) }

// vec is a vector instruction without operands in the code.
func (f *function) vec(code uint64) { f.op(vector); f.code = unsigned(f.code, code) }

// at is the operand of a load or store: an offset in bytes, of words that are aligned to 4.
func (f *function) at(offset int) { f.op(2); f.code = unsigned(f.code, uint64(offset)) }

func (f *function) load(code byte, offset int)      { f.op(code); f.at(offset) }
func (f *function) vecLoad(code uint64, offset int) { f.vec(code); f.at(offset) }

// all is a vector of four equal numbers.
func (f *function) all(v float32) { f.allBits(math.Float32bits(v)) }

func (f *function) allBits(v uint32) {
	f.vec(v128Const)
	for range 4 {
		f.code = binary.LittleEndian.AppendUint32(f.code, v)
	}
}

// advance adds a number of bytes to a pointer, or another variable.
func (f *function) advance(v int, by int32) { f.get(v); f.int(by); f.op(i32Add); f.set(v) }
func (f *function) move(v, by int)          { f.get(v); f.get(by); f.op(i32Add); f.set(v) }

// repeat runs body until count, at least 1, has come to 0 by steps.
func (f *function) repeat(count int, step int32, body func()) {
	f.op(opLoop, 0x40)
	body()
	f.advance(count, -step)
	f.get(count)
	f.op(opBrIf, 0, opEnd)
}

// when runs body if the number on the stack is not 0.
func (f *function) when(body func()) {
	f.op(opIf, 0x40)
	body()
	f.op(opEnd)
}

// assemble is the binary module.
func assemble(functions []*function) []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, items int, content []byte) {
		body := append(unsigned(nil, uint64(items)), content...)
		out = append(unsigned(append(out, id), uint64(len(body))), body...)
	}
	var types, indices, exports, codes []byte
	for k, f := range functions {
		types = append(types, 0x60)
		types = append(unsigned(types, uint64(len(f.params))), f.params...)
		types = append(types, 0)
		indices = unsigned(indices, uint64(k))
		exports = append(text(exports, f.name), 0)
		exports = unsigned(exports, uint64(k))
		body := unsigned(nil, uint64(len(f.locals)))
		for _, kind := range f.locals {
			body = append(body, 1, kind)
		}
		body = append(append(body, f.code...), opEnd)
		codes = append(unsigned(codes, uint64(len(body))), body...)
	}
	memory := append(text(text(nil, "env"), "memory"), 2, 0, 1) // of one page or more
	section(1, len(functions), types)
	section(2, 1, memory)
	section(3, len(functions), indices)
	section(7, len(functions), exports)
	section(10, len(functions), codes)
	return out
}

func text(out []byte, s string) []byte { return append(unsigned(out, uint64(len(s))), s...) }

// unsigned and signed are LEB128.
func unsigned(out []byte, v uint64) []byte {
	for ; v >= 0x80; v >>= 7 {
		out = append(out, byte(v)|0x80)
	}
	return append(out, byte(v))
}

func signed(out []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		if v >>= 7; v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}
