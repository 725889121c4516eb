package table

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// write writes the tables to a file and reads it.
func rewritten(folder string, o Options, like *Table, parts ...*Table) (*Table, error) {
	path := filepath.Join(folder, "again"+like.Format.Extension())
	w, err := Create(path, like)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if err := w.Append(part); err != nil {
			w.Abort()
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	again, _, err := Read(path, o)
	return again, err
}

func diff(a, b *Table) string {
	return cmp.Diff(a, b, cmpopts.EquateNaNs(), cmpopts.EquateEmpty())
}

// A text that is read and written is the same text.
func TestTextComesBack(t *testing.T) {
	for name, text := range map[string]string{
		"plain":    "a,b\n1,2.50\n3,4.00\n",
		"headless": "1,2.50\n3,4.00\n",
		"kinds":    "n,ok,city,when,x\n1,true,\"Bonn, am Rhein\",2024-01-01,1.5\n2,false,Köln,2024-01-03,2.5\n3,true,Köln,2024-01-03,2.5\n",
		"missing":  "n,ok,city,when\nNA,true,Bonn,2024-01-01\n2,NA,Köln,2024-01-03\n3,true,NA,NA\n",
		"German":   "a;b;d\r\n1,5;2,25;01.02.2024 10:00\r\n1,0;NA;03.02.2024 11:30\r\n",
		"tabs":     "a\tb\n1\t\n2\t5\n",
		"spaces":   "a b\n1 \"x y\"\n2 \"x y\"\n",
		"stamps":   "t,x\n2024-01-01T10:00:00.250+02:00,1\n2024-01-01T10:00:00.500+02:00,1\n",
		"UTC":      "t,x\n2024-01-01T10:00:00Z,1\n2024-01-01T10:00:07Z,1\n",
		"quotes":   "#,b\n", // replaced below
		"one":      "a\n1\n\"\"\n3\n",
		"codes":    "zip,y\n00123,1\n10115,1\n",
		"months":   "m,v\nJan 2024,1\nFeb 2024,2\n",
	} {
		if name == "quotes" {
			text = "\"#a\",\"b \"\"c\"\"\"\n\"#x\",1\n\"#x\",2\n"
		}
		first, _, err := Read(written(t, "a.csv", text), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		folder := t.TempDir()
		again, err := rewritten(folder, Options{}, first, first)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := os.ReadFile(filepath.Join(folder, "again"+first.Format.Extension()))
		if string(got) != text || err != nil || diff(first, again) != "" {
			t.Errorf("%s: %q comes back as %q: %v\n%s", name, text, got, err, diff(first, again))
		}
	}
}

// kinds are a column for each kind.
func drawTable(t *rapid.T, format Format) *Table {
	n := rapid.IntRange(1, 70).Draw(t, "rows")
	out := &Table{Format: format}
	gaps := format.Name != "npy" && format.Name != "npz"
	column := func(c Column, values *rapid.Generator[float64]) {
		c.Values = make([]float64, n)
		for i := range c.Values {
			if c.Values[i] = values.Draw(t, c.Name); gaps && rapid.IntRange(0, 9).Draw(t, "gap") == 0 && i > 1 {
				c.Values[i] = math.NaN()
				c.Null = map[bool]string{true: "NA"}[format.Name == "csv"]
			}
		}
		out.Columns = append(out.Columns, c)
	}
	whole := func(low, high int) *rapid.Generator[float64] {
		return rapid.Map(rapid.IntRange(low, high), func(i int) float64 { return float64(i) })
	}
	stored := func(csv, npy, arrow string) string {
		switch format.Name {
		case "csv":
			return csv
		case "npy", "npz":
			return npy
		}
		return arrow
	}
	decimals := -1
	if format.Name == "csv" {
		decimals = 2
	}
	column(Column{Name: "x", Kind: Real, Decimals: decimals, Stored: stored("", "<f8", "float64")}, rapid.Map(rapid.IntRange(-1e9, 1e9), func(i int) float64 { return float64(i) / 100 }))
	column(Column{Name: "f, 4", Kind: Real, Decimals: decimals, Stored: stored("", ">f4", "float32")}, rapid.Map(rapid.IntRange(-1000, 1000), func(i int) float64 { return float64(i) / 4 }))
	column(Column{Name: "n", Kind: Integer, Stored: stored("", "<i2", "int16")}, whole(-32768, 32767))
	column(Column{Name: "ok", Kind: Boolean, Labels: []string{"false", "true"}, Stored: stored("", "|b1", "bool")}, whole(0, 1))
	column(Column{Name: "city", Kind: Category, Labels: []string{"Köln", "Bonn, am Rhein", "#\"1\""}, Stored: stored("", "<U14", "dictionary<values=utf8, indices=int8, ordered=false>")}, whole(0, 2))
	column(Column{Name: "when", Kind: Time, Clock: &Clock{Unit: "s", Origin: 1e9, Layout: stored("2006-01-02 15:04:05", "", ""), Zone: stored("", "", "Europe/Berlin")}, Stored: stored("", "<M8[ms]", "timestamp[us, tz=Europe/Berlin]")}, whole(0, 1e6))
	settle(out)
	return out
}

// settle puts a table into the form in which it is read: labels in the order in
// which they occur, times since the first, and decimals as found.
func settle(t *Table) {
	for j := range t.Columns {
		c := &t.Columns[j]
		c.Values = slices.Clone(c.Values)
		if c.Kind == Category {
			words := texts{}
			for i, v := range c.Values {
				if !math.IsNaN(v) {
					c.Values[i] = words.code(c.Labels[int(v)])
				}
			}
			c.Labels = words.labels
		}
		if c.Kind == Time {
			c.Values[0], c.Values[min(1, len(c.Values)-1)] = 0, 1 // the first time, and steps of a second
		}
	}
}

// Tables that are written and read again are equal.
func TestTablesComeBack(t *testing.T) {
	groups := map[string][]Format{
		"text":  {{Name: "csv"}, {Name: "csv", Gzip: true}, {Name: "csv", Comma: ";", DecimalComma: true, CRLF: true}, {Name: "csv", Comma: "\t"}, {Name: "csv", Comma: "|"}, {Name: "csv", Comma: " "}},
		"numpy": {{Name: "npy"}, {Name: "npz"}, {Name: "npz", Gzip: true}, {Name: "npz", Array: "points"}},
		"arrow": {{Name: "parquet"}, {Name: "arrow"}, {Name: "feather"}},
	}
	hints := Hints{"x": {Kind: Real}, "f, 4": {Kind: Real}, "n": {Kind: Integer}, "ok": {Kind: Boolean}, "city": {Kind: Category}, "when": {Kind: Time}}
	for group, formats := range groups {
		t.Run(group, func(t *testing.T) {
			folder := t.TempDir()
			rapid.Check(t, func(t *rapid.T) {
				want := drawTable(t, rapid.SampledFrom(formats).Draw(t, "format"))
				cut := rapid.IntRange(0, want.Rows()).Draw(t, "cut")
				rows := make([]int, want.Rows())
				for i := range rows {
					rows[i] = i
				}
				again, err := rewritten(folder, Options{Header: HeaderYes, Hints: hints}, want, want.Rowed(rows[:cut]), want.Rowed(rows[cut:]))
				if err != nil {
					t.Fatal(err)
				}
				if d := diff(want, again); d != "" && want.Rows() > 1 { // a single time does not tell its unit
					t.Fatal(d)
				}
			})
		})
	}
}

// Arrays of each type, and Arrow's types, come back with their type.
func TestStoredTypesComeBack(t *testing.T) {
	values := []float64{1, 0, 1}
	for format, types := range map[string][]string{
		"npy":     {"<f2", "<f4", "<f8", ">f8", "|i1", "<i2", ">i4", "<i8", "|u1", "<u2", "<u4", "<u8"},
		"parquet": {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "decimal(9, 2)", "dictionary<values=utf8, indices=int16, ordered=true>", "utf8", "large_utf8", "timestamp[ms]", "timestamp[ns, tz=UTC]", "date32"},
		"arrow":   {"int8", "uint64", "float16", "float32", "decimal256(40, 3)", "dictionary<values=utf8, indices=uint8, ordered=false>", "utf8", "large_utf8", "string_view", "timestamp[s]", "timestamp[ns, tz=+02:00]", "date32", "date64", "bool"},
	} {
		for _, stored := range types {
			c := Column{Name: "a", Kind: Integer, Stored: stored, Values: values}
			switch {
			case strings.Contains(stored, "f"), strings.Contains(stored, "decimal"):
				c.Kind, c.Decimals = Real, -1
				if strings.Contains(stored, "decimal") {
					c.Decimals = int(stored[len(stored)-2] - '0')
				}
			case stored == "bool":
				c.Kind, c.Labels = Boolean, []string{"false", "true"}
			}
			if strings.Contains(stored, "utf8") || strings.Contains(stored, "string") {
				c.Kind, c.Labels, c.Values, c.Decimals = Category, []string{"u", "v"}, []float64{0, 1, 0}, 0
			}
			if strings.Contains(stored, "stamp") || strings.Contains(stored, "date") {
				_, zone, _ := strings.Cut(strings.TrimSuffix(stored, "]"), "tz=")
				c.Kind, c.Clock = Time, &Clock{Unit: "day", Origin: 19000, Zone: zone}
			}
			want := &Table{Columns: []Column{c}, Format: Format{Name: format, Vector: format == "npy"}}
			if format == "npy" {
				want.Columns[0].Name, want.Format.Headless = "", true
			}
			again, err := rewritten(t.TempDir(), Options{}, want, want)
			if err != nil {
				t.Errorf("%s %s: %v", format, stored, err)
			} else if d := diff(want, again); d != "" {
				t.Errorf("%s %s: %s", format, stored, d)
			}
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.csv")
	like := &Table{Columns: []Column{{Name: "a", Kind: Integer}, {Name: "b", Kind: Category, Labels: []string{"x"}}}, Format: Format{Name: "csv"}}
	for name, c := range map[string]struct {
		change func(t *Table)
		want   string
	}{
		"infinity":     {func(t *Table) { t.Columns[0].Values[1] = math.Inf(1) }, "column 1 (a): row 2 is +Inf"},
		"no label":     {func(t *Table) { t.Columns[1].Values[0] = 1 }, "column 2 (b): row 1 is 1, which is not the index"},
		"other kind":   {func(t *Table) { t.Columns[0].Kind = Real }, `must be "a" of kind integer`},
		"other labels": {func(t *Table) { t.Columns[1].Labels = []string{"y"} }, "other labels"},
		"few columns":  {func(t *Table) { t.Columns = t.Columns[:1] }, "1 columns for 2"},
	} {
		w, err := Create(path, like)
		if err != nil {
			t.Fatal(err)
		}
		part := like.Like(2)
		c.change(part)
		if err := w.Append(part); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
	}
	for _, format := range []string{"npy", "npz", "parquet", "arrow", "csv"} {
		numbers := &Table{Columns: []Column{{Name: "a", Kind: Integer, Stored: map[string]string{"npy": "|i1", "npz": "|i1"}[format]}}, Format: Format{Name: format}}
		if numbers.Columns[0].Stored == "" {
			numbers.Columns[0].Stored = "int8"
		}
		w, err := Create(path, numbers)
		if err != nil {
			t.Fatal(err)
		}
		part := numbers.Like(1)
		part.Columns[0].Values[0] = 1000
		if err := w.Append(part); format != "csv" && (err == nil || !strings.Contains(err.Error(), "1000 is not a value of the type")) {
			t.Errorf("%s: %v", format, err)
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("aborted writers left %v (%v)", left, err)
	}
	if _, err := Create(path, &Table{Columns: like.Columns, Format: Format{Name: "xls"}}); err == nil || !strings.Contains(err.Error(), "known are csv, npy") {
		t.Errorf("an unknown format: %v", err)
	}
}

func TestExtension(t *testing.T) {
	for want, f := range map[string]Format{".csv": {Name: "csv"}, ".csv.gz": {Name: "csv", Gzip: true}, ".tsv": {Name: "csv", Comma: "\t"}, ".npz": {Name: "npz", Gzip: true}, ".feather": {Name: "feather"}} {
		if got := f.Extension(); got != want {
			t.Errorf("%+v: %q, want %q", f, got, want)
		}
	}
}
