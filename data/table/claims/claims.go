// Package claims checks what Arrow and Parquet files claim to hold before their
// libraries take memory for it.
package claims

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"

	"github.com/apache/arrow-go/v18/parquet/file"
	flatbuffers "github.com/google/flatbuffers/go"
)

var errSchema = errors.New("its schema is damaged: a list claims more entries than the file can hold")

// schemaCheck walks an Arrow schema, a FlatBuffer, before arrow takes memory for
// the lists that it claims to have. Offsets out of range panic; Read turns that
// into an error.
type schemaCheck struct {
	left int // tables that may be visited, so that shared ones end too
}

// Fields of the tables of Arrow's format, Schema.fbs, File.fbs and Message.fbs.
const (
	schemaFields, schemaMetadata             = 1, 2
	fieldType, fieldChildren, fieldMetadata  = 3, 5, 6
	unionIDs                                 = 1
	footerSchema, footerWords, footerBatches = 1, 2, 3
	messageHeader, messageBody               = 2, 3

	pointerSize, blockSize = 4, 24 // bytes
	mostNested, noData     = 64, 0
)

// at is where field k of a table is, relative to the table; 0 if it is not set.
func at(t *flatbuffers.Table, k int) flatbuffers.UOffsetT {
	return flatbuffers.UOffsetT(t.Offset(flatbuffers.VOffsetT(4 + 2*k)))
}

// length is the length of the vector in field k, whose entries have the given
// size.
func length(t *flatbuffers.Table, k, size int) (int, error) {
	o := at(t, k)
	if o == noData {
		return 0, nil
	}
	n, start := t.VectorLen(o), t.Vector(o)
	if int64(n)*int64(size) > int64(len(t.Bytes))-int64(start) {
		return 0, errSchema
	}
	return n, nil
}

// child is the table in field k, nil if it is not set.
func child(t *flatbuffers.Table, k int) *flatbuffers.Table {
	o := at(t, k)
	if o == noData {
		return nil
	}
	return &flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(t.Pos + o)}
}

func (c *schemaCheck) schema(t *flatbuffers.Table) error {
	if t == nil {
		return errSchema
	}
	if _, err := length(t, schemaMetadata, pointerSize); err != nil {
		return err
	}
	return c.fields(t, schemaFields, 0)
}

// fields checks the vector of fields in field k.
func (c *schemaCheck) fields(t *flatbuffers.Table, k, depth int) error {
	n, err := length(t, k, pointerSize)
	if err != nil || n == 0 {
		return err
	}
	if c.left -= n; c.left < 0 || depth > mostNested {
		return errSchema
	}
	start := t.Vector(at(t, k))
	for i := range n {
		f := &flatbuffers.Table{Bytes: t.Bytes, Pos: t.Indirect(start + flatbuffers.UOffsetT(i*pointerSize))}
		if _, err := length(f, fieldMetadata, pointerSize); err != nil {
			return err
		}
		if kind := child(f, fieldType); kind != nil && at(kind, unionIDs) != noData && f.GetByteSlot(4+2*(fieldType-1), 0) == 14 {
			if _, err := length(kind, unionIDs, pointerSize); err != nil {
				return err
			}
		}
		if err := c.fields(f, fieldChildren, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func root(b []byte) *flatbuffers.Table {
	return &flatbuffers.Table{Bytes: b, Pos: flatbuffers.GetUOffsetT(b)}
}

// File checks the footer of an Arrow file.
func File(f io.ReaderAt, size int64) error {
	const tail = 10 // the footer's length and ARROW1
	end := make([]byte, tail)
	if size < 2*tail {
		return errors.New("the file is cut")
	}
	if _, err := f.ReadAt(end, size-tail); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(end))
	if string(end[4:]) != "ARROW1" || n < pointerSize || n > size-2*tail+2 {
		return errors.New("the file is cut: it does not end as an Arrow file does")
	}
	footer := make([]byte, n)
	if _, err := f.ReadAt(footer, size-tail-n); err != nil {
		return err
	}
	t := root(footer)
	for _, k := range []int{footerWords, footerBatches} {
		if _, err := length(t, k, blockSize); err != nil {
			return err
		}
	}
	return (&schemaCheck{left: int(n)}).schema(child(t, footerSchema))
}

// Stream checks the first message of a stream, of which b is the
// beginning.
func Stream(b []byte) error {
	if len(b) >= 8 && binary.LittleEndian.Uint32(b) == 0xffffffff {
		b = b[4:]
	}
	if len(b) < 8 {
		return errors.New("the stream is cut")
	}
	n := binary.LittleEndian.Uint32(b)
	if b = b[4:]; int64(n) > int64(len(b)) || n < pointerSize {
		return errors.New("the stream is cut: its schema does not end")
	}
	message := root(b[:n])
	if body := message.GetInt64Slot(4+2*messageBody, 0); body < 0 || body > int64(len(b)) {
		return errSchema
	}
	return (&schemaCheck{left: int(n)}).schema(child(message, messageHeader))
}

// Stored checks the Arrow schema that a Parquet file holds beside its own.
func Stored(in *file.Reader) error {
	stored := in.MetaData().KeyValueMetadata().FindValue("ARROW:schema")
	if stored == nil {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(*stored)
	if err != nil || len(b) == 0 {
		if b, err = base64.RawStdEncoding.DecodeString(*stored); err != nil {
			return errSchema
		}
	}
	return Stream(b)
}
