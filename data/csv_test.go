package data

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cmf/solvers/batch"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

func TestReadCSV(t *testing.T) {
	want := blas32.General{Rows: 2, Cols: 2, Stride: 2, Data: []float32{1, -2.5, 3e-3, 4}}
	for name, text := range map[string]string{
		"plain":       "1,-2.5\n3e-3,4\n",
		"header":      "x,y\n1,-2.5\n3e-3,4\n",
		"comments":    "# x y\n1,-2.5\n\n# more\n3e-3,4",
		"spaces":      " 1 , -2.5\n 0.003, 4 \n",
		"windows":     "\ufeffx,y\r\n1,-2.5\r\n3e-3,4\r\n",
		"quoted":      "\"x, in m\",y\n\"1\",-2.5\n3e-3,4\n",
		"hexadecimal": "0x1p0,-2.5\n3e-3,4\n",
	} {
		got, err := ReadCSV(written(t, text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (−want +got)\n%s", name, diff)
		}
	}
}

func TestReadCSVRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"1,2\n3,four\n":         `line 2, column 2: "four"`,
		"x,y\n1,2\n\n3,NaN\n":   `line 4, column 2: "NaN"`,
		"1,y\n":                 `line 1, column 2: "y"`,
		"1,2\n3,\n":             `line 2, column 2: ""`,
		"1,2\n1e39,2\n":         `line 2, column 1: "1e39"`,
		"x,y\n1,2\n3,4,5\n":     "line 3 has 3 columns, line 1 has 2",
		"1,2\n\"3,4\n":          "line",
		"x,y\n":                 "no row of numbers",
		"":                      "no row of numbers",
		"1;2\n3;4\n":            `line 2, column 1: "3;4"`,
		"x,y\na,b\n":            `line 2, column 1: "a"`,
		"# only\n\n# comments ": "no row of numbers",
	} {
		path := written(t, text)
		_, err := ReadCSV(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error %v, want the path and %q", text, err, want)
		}
	}
	if _, err := ReadCSV(filepath.Join(t.TempDir(), "absent.csv")); err == nil || !strings.Contains(err.Error(), "absent.csv") {
		t.Errorf("an absent file: %v", err)
	}
}

// Numbers written with all digits come back.
func TestReadCSVRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "points.csv")
	rapid.Check(t, func(t *rapid.T) {
		n, d := rapid.IntRange(1, 8).Draw(t, "n"), rapid.IntRange(1, 4).Draw(t, "d")
		want := batch.New(n, d)
		var text strings.Builder
		for i := range want.Data {
			want.Data[i] = rapid.Float32().Draw(t, "value")
			text.WriteString(strconv.FormatFloat(float64(want.Data[i]), 'g', -1, 32))
			if (i+1)%d == 0 {
				text.WriteByte('\n')
			} else {
				text.WriteByte(',')
			}
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := ReadCSV(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(−want +got)\n%s", diff)
		}
	})
}

func written(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "points.csv")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
