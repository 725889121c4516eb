package table

import (
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// written is a file of the test with the given content.
func written(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// shown is a table's content in short.
func shown(t *Table) string {
	var out []string
	for j, c := range t.Columns {
		text := fmt.Sprintf("%s %s", t.Name(j), c.Kind)
		for _, v := range c.Values[:min(3, len(c.Values))] {
			switch {
			case math.IsNaN(v):
				text += " _"
			case c.Kind == Category || c.Kind == Boolean:
				text += " " + c.Labels[int(v)]
			case c.Kind == Time:
				text += " " + c.Clock.instant(v).Format(time.RFC3339Nano)
			default:
				text += " " + short(v)
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// Files that were read wrongly or refused before, and what their authors mean.
func TestFieldFiles(t *testing.T) {
	for name, want := range map[string]struct {
		shown string
		rows  int
		note  string
	}{
		"year_header.csv":         {"2019 real -0.6038628505068948 -1.64871799125629 0.5032767558095029; 2020 real 2.397114789593175 1.0685927716176957 3.2386254616630983", 25, "header of numbers"},
		"half_numeric_header.csv": {"x real -0.6038628505068948 -1.64871799125629 0.5032767558095029; 1 real 2.397114789593175 1.0685927716176957 3.2386254616630983", 25, "header"},
		"hash_header.csv":         {"a real -0.6039 -1.6487 0.5033; b real 2.3971 1.0686 3.2386", 25, `the comment line before the values names the columns: "a", "b"`},
		"bom_quoted_comma.csv":    {"size, mm real -0.6039 -1.6487 0.5033; dose real 2.3971 1.0686 3.2386", 25, ""},
		"bom_comment.csv":         {"size real -0.6039 -1.6487 0.5033; dose real 2.3971 1.0686 3.2386", 24, ""},
		"latin1.csv":              {"größe real -0.6039 -1.6487 0.5033; b real 2.3971 1.0686 3.2386", 25, "Windows-1252"},
		"pandas_index.csv":        {"height real -0.6038628505068948 -1.64871799125629 0.5032767558095029; dose real 2.397114789593175 1.0685927716176957 3.2386254616630983", 25, "it counts the rows"},
		"cr_only.csv":             {"a real -0.6039 -1.6487 0.5033; b real 2.3971 1.0686 3.2386", 25, "carriage returns"},
		"gz.csv":                  {"a real -0.6039 -1.6487 0.5033; b real 2.3971 1.0686 3.2386", 240, "gzip"},
		"blank_end.csv":           {"a real -0.6039 -1.6487 0.5033; b real 2.3971 1.0686 3.2386", 210, ""},
		"sentinel.csv":            {"temp real 8.676 13.143 5.745; wind real 3.97 1.119 5.936", 300, `column "temp": -9999 occurs 5 times`},
		"ts.csv":                  {"t integer 1.699999994e+09 1.700000044e+09 1.700000125e+09; b real 2.3971 1.0686 3.2386", 25, ""},
		"ts_month.csv":            {"unix_time integer 1.700013771e+09 1.700014377e+09 1.700023057e+09; temp real 23.132 24.618 21.659", 25, ""},
		"latlon.csv":              {"lat real 59.3287429 59.3281406 59.3289924; lon real 18.0686415 18.0692173 18.0699435", 25, ""},
		"order.npy":               {"x1 real -0.6038628220558167 -1.648717999458313 0.5032767653465271; x2 real 2.3971147537231445 1.0685927867889404 3.2386255264282227", 240, ""},
		"eqf4.npy":                {"x1 real -0.6038628220558167 -1.648717999458313 0.5032767653465271; x2 real 2.3971147537231445 1.0685927867889404 3.2386255264282227", 240, ""},
		"py2_L.npy":               {"x1 real -0.6038628220558167 -1.648717999458313 0.5032767653465271; x2 real 2.3971147537231445 1.0685927867889404 3.2386255264282227", 240, ""},
		"v3.npy":                  {"x1 real -0.6038628505068948 -1.64871799125629 0.5032767558095029; x2 real 2.397114789593175 1.0685927716176957 3.2386254616630983", 240, ""},
	} {
		got, notes, err := Read(filepath.Join("testdata", name), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := shown(got); s != want.shown || got.Rows() != want.rows || !strings.Contains(strings.Join(notes, "\n"), want.note) {
			t.Errorf("%s: %d rows of %s with the notes %q; want %d of %s with %q", name, got.Rows(), s, notes, want.rows, want.shown, want.note)
		}
	}
}

func lines(n int, line func(i int) string) string {
	var text strings.Builder
	for i := range n {
		text.WriteString(line(i) + "\n")
	}
	return text.String()
}

func latin(text string) string {
	var out []byte
	for _, r := range text {
		out = append(out, byte(r))
	}
	return string(out)
}

func utf16LE(text string) string {
	out := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(text)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return string(out)
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var out strings.Builder
	zip := gzip.NewWriter(&out)
	io.WriteString(zip, text)
	zip.Close()
	return out.String()
}

// Further files of each kind.
func TestReadText(t *testing.T) {
	half := func(i int) string { return fmt.Sprintf("%d.5", i) }
	for name, c := range map[string]struct{ text, want, note string }{
		"plain":                {"1,-2.5\n3e-3,4\n", "x1 real 1 0.003; x2 real -2.5 4", "no header"},
		"header":               {"x,y\n1,-2.5\n3e-3,4\n", "x real 1 0.003; y real -2.5 4", "first line is a header"},
		"comments":             {"# x y\n1,-2.5\n\n# more\n3e-3,4", "x1 real 1 0.003; x2 real -2.5 4", ""},
		"spaces":               {" 1 , -2.5\n 0.003, 4 \n", "x1 real 1 0.003; x2 real -2.5 4", ""},
		"windows":              {"\ufeffx,y\r\n1,-2.5\r\n3e-3,4\r\n", "x real 1 0.003; y real -2.5 4", ""},
		"quoted":               {"\"x, in m\",y\n\"1\",-2.5\n3e-3,4\n", "x, in m real 1 0.003; y real -2.5 4", ""},
		"hexadecimal":          {"0x1p0,-2.5\n3e-3,4\n", "x1 real 1 0.003; x2 real -2.5 4", ""},
		"years, semicolons":    {"1999;2000;2001\n" + lines(9, func(i int) string { return half(i) + ";" + half(i+1) + ";" + half(i) }), "1999 real 0.5 1.5 2.5; 2000 real 1.5 2.5 3.5; 2001 real 0.5 1.5 2.5", "header of numbers"},
		"counts over counts":   {"0,1,2\n" + lines(9, func(i int) string { return fmt.Sprintf("%d,%d,%d", i, i*i, 3) }), "x1 integer 0 0 1; x2 integer 1 0 1; x3 integer 2 3 3", "CMF_HEADER=yes"},
		"quantiles":            {"id,name,0.1\n" + lines(9, func(i int) string { return fmt.Sprintf("%d,u,%d.5", i*i, i) }), "id integer 0 1 4; name category u u u; 0.1 real 0.5 1.5 2.5", ""},
		"months as header":     {"2019-01,2019-02\n1,2\n3,4\n", "2019-01 integer 1 3; 2019-02 integer 2 4", ""},
		"hash without space":   {"#lon\tlat\n1.5\t2\n2.5\t3\n", "lon real 1.5 2.5; lat integer 2 3", "tabs"},
		"savetxt":              {"# made today\n# t x\n1.0 2.0\n3.0 4.5\n", "t real 1 3; x real 2 4.5", "spaces"},
		"bom semicolons":       {"\ufeff\"a;b\";c\n1;2\n3;4\n", "a;b integer 1 3; c integer 2 4", "semicolons"},
		"UTF-16":               {utf16LE("größe,b\n1,2\n3,4\n"), "größe integer 1 3; b integer 2 4", "UTF-16"},
		"UTF-16 tabs":          {utf16LE("a\tß\r\n1\t2\r\n"), "a integer 1; ß integer 2", "UTF-16"},
		"Latin-1 texts":        {latin("stadt,b\nKöln,2\nKöln,3\nBonn,4\n"), "stadt category Köln Köln Bonn; b integer 2 3 4", "Windows-1252"},
		"Windows-1252":         {"price in \x80;b\n1;2\n", "price in € integer 1; b integer 2", "Windows-1252"},
		"late Latin-1":         {"a,b\n" + lines(120000, func(i int) string { return fmt.Sprintf("%d,abcd", i*i) }) + latin("7,ü\n"), "a integer 0 1 4; b category abcd abcd abcd", "Windows-1252"},
		"Unnamed: 0":           {"Unnamed: 0,a,b\n1,5,6\n2,7,8\n", "a integer 5 7; b integer 6 8", "it counts the rows"},
		"index":                {"index,a\n0,5\n1,9\n2,7\n", "a integer 5 9 7", "it counts the rows"},
		"index that is data":   {"index,a\n4,5\n1,9\n2,7\n", "index integer 4 1 2; a integer 5 9 7", ""},
		"CR and quotes":        {"a,b\r\"1\",2\r3,4\r", "a integer 1 3; b integer 2 4", "carriage"},
		"CR without end":       {"1.5,2\r3,4\r5,6", "x1 real 1.5 3 5; x2 integer 2 4 6", "carriage"},
		"gzip":                 {gzipped(t, "a;b\n1,5;2\n3,25;4\n"), "a real 1.5 3.25; b integer 2 4", "decimal comma"},
		"gzip of CR":           {gzipped(t, "a,b\r1,2\r3,4\r"), "a integer 1 3; b integer 2 4", "gzip"},
		"blank lines":          {"a,b\n\n1,2\n  \n\n3,4\n\n\n \t \n", "a integer 1 3; b integer 2 4", ""},
		"blank CRLF":           {"a;b\r\n\r\n1;2\r\n\r\n3;4\r\n\r\n", "a integer 1 3; b integer 2 4", ""},
		"bars":                 {"a|b\n1|x\n2|x\n", "a integer 1 2; b category x x", "vertical bars"},
		"runs of spaces":       {"  a    b\n  1   -2.5\n 30    4\n", "a integer 1 30; b real -2.5 4", "spaces"},
		"quoted spaces":        {"a b\n1 \"New  York\"\n2 \"New  York\"\n", "a integer 1 2; b category New  York New  York", ""},
		"tabs with gaps":       {"a\tb\tc\n1\t\t3\n4\t5\t\n", "a integer 1 4; b integer _ 5; c integer 3 _", "missing values"},
		"decimal commas":       {"1,5;2\n3,25;4\n", "x1 real 1.5 3.25; x2 integer 2 4", "decimal comma"},
		"missing":              {"a,b,c\n1,NA,x\n?,2.50,N/A\nnull,-,x\n", "a integer 1 _ _; b real _ 2.5 _; c category x _ x", `"?" in column "a" (2 rows)`},
		"booleans":             {"a,b,c,d\ntrue,No,T,1\nfalse,Yes,F,0\ntrue,No,,1\n", "a boolean true false true; b boolean No Yes No; c boolean T F _; d integer 1 0 1", ""},
		"codes":                {"zip\n00123\n10115\n00123\n", "zip category 00123 10115 00123", ""},
		"texts and numbers":    {"a\n1\nx\n2\nx\n", "a category 1 x 2", ""},
		"late texts":           {"a,b\n" + lines(150000, func(i int) string { return fmt.Sprintf("%d,1.50", i*i) }) + lines(20000, func(int) string { return "5,low" }), "a integer 0 1 4; b category 1.50 1.50 1.50", ""},
		"dates":                {"d\n2024-02-29\n2024-03-01\n", "d time 2024-02-29T00:00:00Z 2024-03-01T00:00:00Z", ""},
		"stamps":               {"d,x\n2024-02-29 10:00:00.250,1\n2024-03-01 11:30:00,2\n", "d time 2024-02-29T10:00:00.25Z 2024-03-01T11:30:00Z; x integer 1 2", ""},
		"zones":                {"d,x\n2024-02-29T10:00:00+02:00,1\n2024-03-01T11:30:00Z,2\n", "d time 2024-02-29T08:00:00Z 2024-03-01T11:30:00Z; x integer 1 2", ""},
		"days first":           {"d\n01/02/2024\n25/02/2024\n", "d time 2024-02-01T00:00:00Z 2024-02-25T00:00:00Z", ""},
		"months first":         {"d\n01/02/2024\n01/25/2024\n", "d time 2024-01-02T00:00:00Z 2024-01-25T00:00:00Z", ""},
		"late days first":      {"d\n" + lines(100000, func(i int) string { return fmt.Sprintf("%02d/%02d/2024", 1+i%12, 1+i/12%12) }) + "25/02/2024\n", "d time 2024-01-01T00:00:00Z 2024-01-02T00:00:00Z 2024-01-03T00:00:00Z", ""},
		"months":               {"m,v\n2024-01,1\n2024-02,2\n", "m time 2024-01-01T00:00:00Z 2024-02-01T00:00:00Z; v integer 1 2", ""},
		"names of months":      {"m,v\nJan 2024,1\nFeb 2024,2\n", "m time 2024-01-01T00:00:00Z 2024-02-01T00:00:00Z; v integer 1 2", ""},
		"one column of stamps": {"2024-01-01 10:00:00\n2024-01-02 10:00:00\n", "x1 time 2024-01-01T10:00:00Z 2024-01-02T10:00:00Z", ""},
		"names twice":          {"a,a,a\n1,2,3\n4,5,6\n", "a integer 1 4; a.1 integer 2 5; a.2 integer 3 6", "two columns"},
		"names of rows":        {"id,v\n" + lines(60, func(i int) string { return fmt.Sprintf("u%d,%d", i, i%7) }), "v integer 0 1 2", `column "id" is left out`},
		"commas at the ends":   {"a,b,\n1,2,\n3,4,\n", "a integer 1 3; b integer 2 4", "neither a name nor values"},
		"quotes within":        {"size,x\n5\" pipe,1\n5\" pipe,2\n", "size category 5\" pipe 5\" pipe; x integer 1 2", "quotes"},
		"texts only":           {"city,color\nBonn,red\nKöln,red\n", "city category Bonn Köln; color category red red", "header"},
	} {
		got, notes, err := Read(written(t, "points.csv", c.text), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := shown(got); s != c.want || !strings.Contains(strings.Join(notes, "\n"), c.note) {
			t.Errorf("%s:\n got %s\nwant %s\nnotes %q, want %q", name, s, c.want, notes, c.note)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	many := lines(1000, func(i int) string { return fmt.Sprintf("%d,%d", i, i*i%311) })
	for text, want := range map[string]string{
		"x,y\n" + many + "3,abc\n":              `line 1002, column 2 (y): "abc" is not a number`,
		"x,y\n" + many + "3,inf\n":              `line 1002, column 2 (y): "inf" is not a finite number`,
		"1,2\n1e400,2\n":                        `line 2, column 1 (x1): "1e400" is not a finite number`,
		"x,y\n1,2\n3,4,5\n":                     "line 3 has 3 columns, line 1 has 2; they must agree",
		"x,y\n1,2,3\n4,5,6\n":                   "line 2 has 3 columns, line 1 has 2; they must agree",
		"# a,b\n1,2\n3,4,5\n":                   "line 3 has 3 columns",
		"1,2\n\"3,4\n":                          "line 2",
		"x,y\n":                                 "no row of values",
		"":                                      "no row of values",
		"# only\n\n# comments ":                 "no row of values",
		"\x00\x01\x02\n\x00":                    "zero bytes",
		"d\n01/02/2024\n03/04/2024\n":           `CMF_COLUMNS=d:time(01/02/2006) or CMF_COLUMNS=d:time(02/01/2006)`,
		"x,y\n1," + strings.Repeat("2", 17<<20): "line 2 is longer than 16777216 bytes",
		"\x1f\x8b\x08no more":                   "gzip",
		"FEA1 and so on":                        "Feather file of version 1",
		"d,x\n" + lines(99, func(i int) string { return "2024-01-02,1" }) + "soon,1\n": `line 101, column 1 (d): "soon" is not a time like the others`,
	} {
		path := written(t, "points.csv", text)
		_, _, err := Read(path, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.60q: error %v, want the path and %q", text, err, want)
		}
	}
	if _, _, err := Read(filepath.Join(t.TempDir(), "absent.csv"), Options{}); err == nil || !strings.Contains(err.Error(), "absent.csv") {
		t.Errorf("an absent file: %v", err)
	}
}

func TestHeaderOption(t *testing.T) {
	path := written(t, "a.csv", "1,2\n3,4\n")
	for header, want := range map[Header]string{HeaderYes: "1 integer 3; 2 integer 4", HeaderNo: "x1 integer 1 3; x2 integer 2 4", HeaderAuto: "x1 integer 1 3; x2 integer 2 4"} {
		got, _, err := Read(path, Options{Header: header})
		if err != nil || shown(got) != want {
			t.Errorf("%s: %v: %v", header, got, err)
		}
	}
	if _, _, err := Read(path, Options{Header: "maybe"}); err == nil || !strings.Contains(err.Error(), "auto, yes and no") {
		t.Errorf("an unknown value: %v", err)
	}
}

func TestDecimalsAndNulls(t *testing.T) {
	got, _, err := Read(written(t, "a.csv", "a,b,c\n1.50,1e3,NA\n2.125,2,7\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := got.Columns[0], got.Columns[1], got.Columns[2]
	if a.Decimals != 3 || b.Decimals != -1 || c.Null != "NA" || c.Kind != Integer {
		t.Errorf("%+v", got.Columns)
	}
}

func TestBatch(t *testing.T) {
	for text, want := range map[string]string{
		"a,b\n1,2\n3,NA\n":   "row 2, column 2 (b) is missing",
		"a,b\n1,x\n3,x\n":    `column 2 (b) holds texts, such as "x"`,
		"a,b\n1,2\n3,1e39\n": "row 2, column 2 (b) is 1e+39",
	} {
		_, err := ReadBatch(written(t, "a.csv", text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	x, err := ReadBatch(written(t, "a.csv", "1,2\n3,4.5\n"))
	if err != nil || x.Rows != 2 || x.Cols != 2 || !slices.Equal(x.Data, []float32{1, 2, 3, 4.5}) {
		t.Errorf("%v: %v", x, err)
	}
}

func TestParseHints(t *testing.T) {
	got, err := ParseHints(`age:integer, share:[0,1],income:[0,inf],id:skip,city:category,wind:circular(0,360),when:time,"size, mm":real,d:time(02/01/2006 15:04)`)
	want := Hints{
		"age": {Kind: Integer}, "share": {High: 1, Bounded: true}, "income": {High: math.Inf(1), Bounded: true}, "id": {Skip: true},
		"city": {Kind: Category}, "wind": {High: 360, Bounded: true, Circular: true}, "when": {Kind: Time}, "size, mm": {Kind: Real},
		"d": {Kind: Time, Layout: "02/01/2006 15:04"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (−want +got)\n%s", err, diff)
	}
	for text, want := range map[string]string{
		"age":               `"age" is not NAME:HINT`,
		"age:whole":         "real, integer, boolean, category, time",
		"age:[1,0]":         "LOW < HIGH",
		"age:[0":            "do not match",
		"age:[0,x]":         "LOW,HIGH",
		"w:circular(0,inf)": "must be finite",
		"a:real,a:integer":  "two hints",
		":real":             "NAME:HINT",
		`":real`:            "do not match",
		"a:time(x)":         "layout",
	} {
		if _, err := ParseHints(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestHints(t *testing.T) {
	text := "id,age,sex,city,when,ratio\n1,30,0,Bonn,1700000000,1.5\n2,31,1,3,1700000060,2.5\n"
	for hints, want := range map[string]string{
		"id:skip,age:real,sex:boolean,city:category,when:time,ratio:[1,3]": "age real 30 31; sex boolean 0 1; city category Bonn 3; when time 2023-11-14T22:13:20Z 2023-11-14T22:14:20Z; ratio real 1.5 2.5",
		"ratio:integer":      "column 6 (ratio): row 1 is 1.5, which is not a whole number",
		"ratio:[0,2]":        "column 6 (ratio): row 2 is 2.5, outside of [0, 2]",
		"nowhere:real":       `"nowhere", which is not there; its columns are "id", "age"`,
		"city:real":          `line 2, column 4 (city): "Bonn" is not a number`,
		"city:time":          `"Bonn" is not a time`,
		"id:circular(0,1.5)": "column 1 (id): row 2 is 2",
	} {
		h, err := ParseHints(hints)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := Read(written(t, "a.csv", text), Options{Hints: h})
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", hints, err, want)
			}
			continue
		}
		if s := shown(got); s != want {
			t.Errorf("%s: %s, want %s", hints, s, want)
		}
	}
}
