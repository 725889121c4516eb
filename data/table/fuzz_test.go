package table

import (
	"archive/zip"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
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
	path := filepath.Join(f.TempDir(), "a.npy")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzed(t, path, content) })
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
	path := filepath.Join(f.TempDir(), "a.parquet")
	f.Fuzz(func(t *testing.T, content []byte) { fuzzed(t, path, content) })
}

func FuzzArrow(f *testing.F) {
	seeds(f, "arrow")
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
