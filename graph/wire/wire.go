// Package wire encodes Protocol Buffers field by field. It serves formats of
// other programs where only a few messages are needed.
//
// Reference: protobuf.dev/programming-guides/encoding.
package wire

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Message is an encoded message. Its methods return it with one more field, so
// that a message reads as one expression; a repeated field is added repeatedly.
type Message []byte

// Bytes adds a field of bytes, which may be an embedded message.
func (m Message) Bytes(field int, v []byte) Message {
	return protowire.AppendBytes(m.tag(field, protowire.BytesType), v)
}

// Text adds a string.
func (m Message) Text(field int, v string) Message {
	return protowire.AppendString(m.tag(field, protowire.BytesType), v)
}

// Int adds an integer (int32, int64 or an enumeration) or, as 0 or 1, a bool.
func (m Message) Int(field, v int) Message {
	return protowire.AppendVarint(m.tag(field, protowire.VarintType), uint64(v))
}

// Float adds a float.
func (m Message) Float(field int, v float32) Message {
	return protowire.AppendFixed32(m.tag(field, protowire.Fixed32Type), math.Float32bits(v))
}

// Double adds a double.
func (m Message) Double(field int, v float64) Message {
	return protowire.AppendFixed64(m.tag(field, protowire.Fixed64Type), math.Float64bits(v))
}

func (m Message) tag(field int, t protowire.Type) []byte {
	return protowire.AppendTag(m, protowire.Number(field), t)
}
