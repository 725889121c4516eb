package wire

import (
	"bytes"
	"testing"
)

// The expected encodings are from protobuf.dev/programming-guides/encoding;
// fixed-width types are little-endian.
func TestMessageEncoding(t *testing.T) {
	for name, c := range map[string]struct{ got, want []byte }{
		"int":      {Message(nil).Int(1, 150), []byte{0x08, 0x96, 0x01}},
		"text":     {Message(nil).Text(2, "testing"), []byte{0x12, 0x07, 't', 'e', 's', 't', 'i', 'n', 'g'}},
		"embedded": {Message(nil).Bytes(3, Message(nil).Int(1, 150)), []byte{0x1a, 0x03, 0x08, 0x96, 0x01}},
		"negative": {Message(nil).Int(1, -2), []byte{0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
		"far":      {Message(nil).Int(16, 0), []byte{0x80, 0x01, 0x00}},
		"float":    {Message(nil).Float(1, 1), []byte{0x0d, 0, 0, 0x80, 0x3f}},
		"double":   {Message(nil).Double(1, 1), []byte{0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f}},
		"repeated": {Message(nil).Int(1, 1).Int(1, 2), []byte{0x08, 1, 0x08, 2}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", name, c.got, c.want)
		}
	}
}
