package table

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// npyFile is an array file with the given dtype, memory order and shape.
func npyFile(descr, fortran, shape string, body []byte) string {
	header := "{'descr': " + descr + ", 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n"
	file := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	return string(append(append(file, header...), body...))
}

// encoded are values in the given byte order.
func encoded(t testing.TB, order binary.ByteOrder, values any) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := binary.Write(&out, order, values); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func utf32(width int, texts ...string) (out []byte) {
	for _, text := range texts {
		runes := []rune(text)
		for k := range width {
			r := rune(0)
			if k < len(runes) {
				r = runes[k]
			}
			out = binary.LittleEndian.AppendUint32(out, uint32(r))
		}
	}
	return out
}

func archive(t testing.TB, method uint16, files ...string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for k := 0; k < len(files); k += 2 {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: files[k], Method: method})
		if err != nil {
			t.Fatal(err)
		}
		entry.Write([]byte(files[k+1]))
	}
	w.Close()
	return out.String()
}

func TestReadArrays(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	six, columnwise := []float64{1, 2, 3, 4, 5, 6}, []float64{1, 4, 2, 5, 3, 6}
	wide := "x1 real 1 4; x2 real 2 5; x3 real 3 6"
	nan := encoded(t, le, []float32{1, float32(math.NaN())})
	vector := npyFile("'<f8'", "False", "(2,)", encoded(t, le, []float64{1, 2}))
	matrix := npyFile("'<f8'", "False", "(2, 3)", encoded(t, le, six))
	for name, c := range map[string]struct{ file, want string }{
		"<f8":                        {matrix, wide},
		">f8":                        {npyFile("'>f8'", "False", "(2, 3)", encoded(t, be, six)), wide},
		"=f8":                        {npyFile("'=f8'", "False", "(2, 3)", encoded(t, le, six)), wide},
		"Fortran":                    {npyFile("'<f8'", "True", "(2, 3)", encoded(t, le, columnwise)), wide},
		"Fortran, one":               {npyFile("'<f8'", "True", "(2, 1)", encoded(t, le, []float64{1, 4})), "x1 real 1 4"},
		"f4":                         {npyFile("'>f4'", "False", "(2, 3)", encoded(t, be, []float32{1, 2, 3, 4, 5, 6})), wide},
		"f2":                         {npyFile("'<f2'", "False", "(2, 1)", encoded(t, le, []uint16{0x3c00, 0xc000})), "x1 real 1 -2"},
		"NaN":                        {npyFile("'<f4'", "False", "(2,)", nan), "x1 real 1 _"},
		"i1":                         {npyFile("'|i1'", "False", "(2, 1)", []byte{1, 0xff}), "x1 integer 1 -1"},
		"i2":                         {npyFile("'>i2'", "False", "(2, 1)", encoded(t, be, []int16{1, -300})), "x1 integer 1 -300"},
		"i8":                         {npyFile("'<i8'", "False", "(2, 1)", encoded(t, le, []int64{1, -300})), "x1 integer 1 -300"},
		"u4":                         {npyFile("'<u4'", "False", "(2, 1)", encoded(t, le, []uint32{1, 4294967295})), "x1 integer 1 4.294967295e+09"},
		"b1":                         {npyFile("'|b1'", "False", "(3,)", []byte{1, 0, 1}), "x1 boolean true false true"},
		"?":                          {npyFile("'?'", "False", "(2,)", []byte{1, 0}), "x1 boolean true false"},
		"S":                          {npyFile("'|S3'", "False", "(3,)", []byte("ab\x00abcab\x00")), "x1 category ab abc ab"},
		"U":                          {npyFile("'<U3'", "False", "(2,)", utf32(3, "Öl", "Gas")), "x1 category Öl Gas"},
		"days":                       {npyFile("'<M8[D]'", "False", "(3,)", encoded(t, le, []int64{0, math.MinInt64, -1})), "x1 time 1970-01-01T00:00:00Z _ 1969-12-31T00:00:00Z"},
		"nanoseconds":                {npyFile("'<M8[ns]'", "False", "(2,)", encoded(t, le, []int64{1500000000, -1})), "x1 time 1970-01-01T00:00:01.5Z 1969-12-31T23:59:59.999999999Z"},
		"months":                     {npyFile("'<M8[M]'", "False", "(2,)", encoded(t, le, []int64{13, -1})), "x1 time 1971-02-01T00:00:00Z 1969-12-01T00:00:00Z"},
		"25 seconds":                 {npyFile("'<M8[25s]'", "False", "(2,)", encoded(t, le, []int64{1, 2})), "x1 time 1970-01-01T00:00:25Z 1970-01-01T00:00:50Z"},
		"structured":                 {npyFile("[('a', '<i4'), ('name', '|S2'), ((u'title', 'b'), '<f4')]", "False", "(1,)", append(encoded(t, le, int32(7)), "xy\x00\x00\x80\x3f"...)), "a integer 7; name category xy; b real 1"},
		"titles":                     {npyFile("[('index', '<i8'), ('b', '<f8')]", "False", "(2,)", append(append(encoded(t, le, int64(0)), encoded(t, le, 1.5)...), append(encoded(t, le, int64(1)), encoded(t, le, 2.5)...)...)), "b real 1.5 2.5"},
		"npz":                        {archive(t, zip.Store, "points.npy", matrix), wide},
		"npz, deflated":              {archive(t, zip.Deflate, "points.npy", matrix), wide},
		"npz, columns":               {archive(t, zip.Deflate, "a.npy", vector, "b.npy", vector), "a real 1 2; b real 1 2"},
		"npz, one of two dimensions": {archive(t, zip.Store, "labels.npy", vector, "points.npy", matrix), wide},
	} {
		got, _, err := Read(written(t, "a.npz", c.file), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if s := shown(got); s != c.want {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
}

func TestReadArraysRefuses(t *testing.T) {
	body := make([]byte, 16)
	vector := npyFile("'<f4'", "False", "(4,)", body)
	for name, c := range map[string]struct{ file, want string }{
		"empty":           {"", "does not begin as a file .npy does"},
		"other file":      {"1,2\n3,4\n", "does not begin as a file .npy does"},
		"malformed":       {"\x93NUMPY\x01\x00\x04\x00{}{}", `malformed header: it lacks the key "descr"`},
		"nested":          {npyFile(strings.Repeat("[", 50), "False", "(2,)", nil), "nested too deeply"},
		"endless header":  {"\x93NUMPY\x02\x00\xff\xff\xff\xffxxxx", "header length is 4294967295; it must be at most"},
		"version 9":       {"\x93NUMPY\x09\x00\xff\xff\xff\xffxxxx", "version 9.0; versions 1 to 3"},
		"objects":         {npyFile("'|O'", "False", "(2,)", body), "Python objects"},
		"complex":         {npyFile("'<c8'", "False", "(2,)", body), "complex numbers"},
		"objects by name": {npyFile("[('a', '<f4'), ('b', 'O')]", "False", "(2,)", body), `field "b" is "O", which is Python objects`},
		"nested field":    {npyFile("[('a', '<f4', (2,))]", "False", "(2,)", body), `field "a" is nested`},
		"three":           {npyFile("'<f4'", "False", "(2, 1, 2)", body), "shape is [2 1 2]; it must be (n, d) or (n,)"},
		"cut":             {npyFile("'<f4'", "False", "(2, 2)", body[:15]), "15 bytes follow the header; shape [2 2] of \"<f4\" needs 16"},
		"trailing bytes":  {npyFile("'<f4'", "False", "(2, 1)", body), "16 bytes follow the header"},
		"too large":       {npyFile("'<f4'", "False", "(4294967296, 4294967296)", body), "at most 1073741824 values"},
		"beyond 64 bits":  {npyFile("'<f4'", "False", "(99999999999999999999, 1)", body), "not a whole number of 64 bits"},
		"negative":        {npyFile("'<f4'", "False", "(-2, -2)", body), "shape is [-2 -2]"},
		"no columns":      {npyFile("'<f4'", "False", "(3, 0)", nil), "no columns"},
		"texts of 0":      {npyFile("'|S0'", "False", "(1000000000,)", nil), `dtype is "|S0"`},
		"infinity":        {npyFile("'<f4'", "False", "(2, 2)", encoded(t, binary.LittleEndian, []float32{1, 2, float32(math.Inf(-1)), 4})), "row 2, column 1 (x1) is -Inf"},
		"a spreadsheet":   {archive(t, zip.Deflate, "xl/workbook.xml", "<x/>"), "without arrays"},
		"unequal lengths": {archive(t, zip.Deflate, "a.npy", vector, "b.npy", npyFile("'<f4'", "False", "(2,)", body[:8])), `"b" has 2 values, "a" has 4`},
		"two matrices":    {archive(t, zip.Deflate, "a.npy", npyFile("'<f4'", "False", "(2, 2)", body), "b.npy", npyFile("'<f4'", "False", "(4, 1)", body)), `"a" of shape [2 2], "b" of shape [4 1]`},
		"damaged archive": {archive(t, zip.Deflate, "a.npy", vector)[:60], "zip archive"},
	} {
		path := written(t, "a.npy", c.file)
		_, _, err := Read(path, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got error %v, want one with the path and %q", name, err, c.want)
		}
	}
}

// An archive's directory may claim any size.
func TestReadClaims(t *testing.T) {
	file := []byte(archive(t, zip.Deflate, "a.npy", npyFile("'|i1'", "False", "(4,)", make([]byte, 4))))
	at := bytes.Index(file, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(file[at+24:], 1<<31)
	if _, _, err := Read(written(t, "a.npz", string(file)), Options{}); err == nil || !strings.Contains(err.Error(), "claims 2147483648 bytes") {
		t.Errorf("a claim of 2 GiB: %v", err)
	}
}

func TestNPYHeaderIsNumPys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	like := &Table{Columns: []Column{{Kind: Real, Stored: "<f4"}, {Kind: Real, Stored: "<f4"}}, Format: Format{Name: "npy"}}
	w, err := Create(path, like)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(like.Like(3)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil || len(file)%64 != 3*2*4%64 || !strings.HasPrefix(string(file[12:]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), } ") {
		t.Errorf("%d bytes, the first %q: %v", len(file), file[:min(128, len(file))], err)
	}
}
