package table

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// fuzzed reads a file's bytes under a name. A table that is read has columns of
// one length with values that are finite, or missing, and labels for all of them.
func fuzzed(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := Read(path, Options{})
	if err != nil {
		return
	}
	if len(got.Columns) == 0 {
		t.Error("a table without columns")
	}
	for j, c := range got.Columns {
		if len(c.Values) != got.Rows() {
			t.Errorf("column %d has %d rows, the first has %d", j, len(c.Values), got.Rows())
		}
		if err := c.check(); err != nil {
			t.Errorf("column %d: %v", j, err)
		}
		for _, v := range c.Values {
			if c.Kind == Time && !math.IsNaN(v) {
				c.Clock.instant(v)
			}
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, text := range []string{
		"x,y\n1,2\n3,4\n", "\ufeff1;2\n", "# c\n\n 1 ,\"2\"\r\n", "1,2\n\"3,4\n", "1e39,NaN\n", "a\n0x1p-3\n", "1,2\n3\n", "a b\n1  2\n", "1,5;2\n",
		"d\n2024-01-01\n01/02/2024\n", "a\tb\rx\ty\r", "\xff\xfea\x00\n\x00", "gr\xf6\xdfe,b\n1,2\n", "t\n2024-01-01T10:00:00.5+02:00\n", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff",
	} {
		f.Add([]byte(text))
	}
	seedFiles(f, "testdata/*.csv")
	path := filepath.Join(f.TempDir(), "a.csv")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzed(t, path, content) })
}

func FuzzArrays(f *testing.F) {
	vector := npyFile("'<f4'", "False", "(4,)", make([]byte, 16))
	f.Add([]byte(npyFile("'<f4'", "False", "(2, 2)", make([]byte, 16))))
	f.Add([]byte(npyFile("'>f8'", "True", "(1, 2)", make([]byte, 16))))
	f.Add([]byte(npyFile("'<M8[D]'", "False", "(2,)", make([]byte, 16))))
	f.Add([]byte(npyFile("[('a', '<U1'), ('b', '|S1')]", "False", "(2,)", make([]byte, 10))))
	f.Add([]byte(archive(f, zip.Store, "a.npy", vector, "b.npy", vector)))
	f.Add([]byte(archive(f, zip.Deflate, "a.npy", vector)))
	seedFiles(f, "testdata/*.npy")
	path := filepath.Join(f.TempDir(), "a.npy")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzed(t, path, content) })
}

// seedFiles adds files.
func seedFiles(f *testing.F, pattern string) {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		f.Fatalf("no files %s, %v", pattern, err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
}

// foreign is a table of types, nulls and a dictionary that this package's own writers use little.
func foreign(f *testing.F) arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "h", Type: arrow.FixedWidthTypes.Float16, Nullable: true}, {Name: "u", Type: arrow.PrimitiveTypes.Uint8},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32}, {Name: "at", Type: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Paris"}, Nullable: true},
		{Name: "price", Type: &arrow.Decimal128Type{Precision: 9, Scale: 2}}, {Name: "text", Type: arrow.BinaryTypes.LargeString, Nullable: true},
		{Name: "code", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, Nullable: true},
	}, nil)
	rows := `{"h":1.5,"u":3,"day":"2024-02-29","at":"2024-03-31 01:30:00.5Z","price":"1.25","text":"a","code":"x"}
		{"h":null,"u":4,"day":"1969-12-31","at":null,"price":"-0.01","text":null,"code":null}
		{"h":-2,"u":255,"day":"2024-03-01","at":"1969-07-20 20:17:40Z","price":"99","text":"","code":"y"}`
	rec, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("["+strings.ReplaceAll(rows, "\n", ",")+"]"))
	if err != nil {
		f.Fatal(err)
	}
	return rec
}

// seeds adds small files of a format.
func seeds(f *testing.F, format string) {
	numbers := Column{Name: "x", Kind: Real, Stored: "float64", Values: []float64{1, math.NaN(), 3}}
	city := Column{Name: "city", Kind: Category, Labels: []string{"a", "b"}, Values: []float64{0, 1, 0}}
	when := Column{Name: "when", Kind: Time, Clock: &Clock{Unit: "s"}, Values: []float64{0, 1, 2}}
	ok := Column{Name: "ok", Kind: Boolean, Labels: []string{"false", "true"}, Values: []float64{0, 1, 0}}
	for _, columns := range [][]Column{{numbers}, {city, when}, {ok}} {
		like := &Table{Columns: columns, Format: Format{Name: format}}
		path := filepath.Join(f.TempDir(), "seed")
		w, err := Create(path, like)
		if err != nil {
			f.Fatal(err)
		}
		if err := w.Append(like); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
}

func FuzzParquet(f *testing.F) {
	seeds(f, "parquet")
	rec := foreign(f)
	table := array.NewTableFromRecords(rec.Schema(), []arrow.RecordBatch{rec})
	for _, properties := range [][]parquet.WriterProperty{
		{parquet.WithDictionaryDefault(true), parquet.WithCompression(compress.Codecs.Gzip)},
		{parquet.WithDictionaryDefault(false), parquet.WithDataPageVersion(parquet.DataPageV2), parquet.WithCompression(compress.Codecs.Zstd)},
		{parquet.WithDictionaryDefault(false), parquet.WithEncodingFor("u", parquet.Encodings.DeltaBinaryPacked), parquet.WithEncodingFor("text", parquet.Encodings.DeltaByteArray)},
	} {
		var content bytes.Buffer
		if err := pqarrow.WriteTable(table, &content, 2, parquet.NewWriterProperties(properties...), pqarrow.DefaultWriterProps()); err != nil {
			f.Fatal(err)
		}
		f.Add(content.Bytes())
	}
	path := filepath.Join(f.TempDir(), "a.parquet")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzed(t, path, content) })
}

func FuzzArrow(f *testing.F) {
	seeds(f, "arrow")
	rec := foreign(f)
	for _, packed := range [][]ipc.Option{nil, {ipc.WithLZ4()}, {ipc.WithZstd()}} {
		var content bytes.Buffer
		w := ipc.NewWriter(&content, append(packed, ipc.WithSchema(rec.Schema()))...)
		if err := errors.Join(w.Write(rec), w.Close()); err != nil {
			f.Fatal(err)
		}
		f.Add(content.Bytes())
		part, err := os.Create(filepath.Join(f.TempDir(), "seed"))
		if err != nil {
			f.Fatal(err)
		}
		file, err := ipc.NewFileWriter(part, append(packed, ipc.WithSchema(rec.Schema()))...)
		if err != nil {
			f.Fatal(err)
		}
		if err := errors.Join(file.Write(rec), file.Close()); err != nil {
			f.Fatal(err)
		}
		part.Close()
		seedFiles(f, part.Name())
	}
	f.Add(binary.LittleEndian.AppendUint32([]byte("\xff\xff\xff\xff"), 16))
	path := filepath.Join(f.TempDir(), "a.arrow")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzed(t, path, content) })
}

func FuzzHints(f *testing.F) {
	for _, text := range []string{"age:integer,share:[0,1]", `"a,b":circular(0,360)`, "d:time(02/01/2006)", `""":real`, "[(", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		hints, err := ParseHints(text)
		for name, h := range hints {
			if err == nil && h.Bounded && !(h.Low < h.High) {
				t.Errorf("column %q in [%g, %g]", name, h.Low, h.High)
			}
		}
	})
}
