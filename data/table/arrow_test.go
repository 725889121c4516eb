package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// A message of a stream that claims to be longer than the file is refused before memory is
// taken for it.
func TestArrowStreamThatClaimsMuch(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Float64}}, nil)
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader(`[{"x":1},{"x":2}]`))
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	w := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	if err := errors.Join(w.Write(rec), w.Close()); err != nil {
		t.Fatal(err)
	}
	const end = 8 // bytes that end a stream
	whole := stream.String()[:stream.Len()-end]
	if got, _, err := Read(written(t, "whole.arrow", whole), Options{}); err != nil || got.Rows() != 2 {
		t.Fatalf("a stream without its end: %v", err)
	}
	file := written(t, "long.arrow", whole+string(binary.LittleEndian.AppendUint32([]byte("\xff\xff\xff\xff"), 1<<30)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err = Read(file, Options{})
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "length 1073741824 exceeds limit") {
		t.Errorf("error %v", err)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 1<<26 {
		t.Errorf("%d bytes were taken for a file of %d", taken, len(whole)+end)
	}
}
