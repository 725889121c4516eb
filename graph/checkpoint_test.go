package graph

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/tensor"
)

// model holds two weights of one type.
func model(t testing.TB, dtype tensor.Dtype, name string, rows, cols int) *Params {
	t.Helper()
	ps := newParams(t, dtype)
	ps.New("first", 2, 3).Fill(func(i int) float64 { return math.Sin(float64(i)) })
	ps.New(name, rows, cols).Fill(func(i int) float64 { return math.Cos(float64(i)) })
	return ps
}

func contents(ps *Params) (b [][]uint64) {
	for _, p := range ps.All() {
		b = append(b, Matrix{Rows: p.Rows, Cols: p.Cols, F32: p.f32, F64: p.f64}.bits())
	}
	return b
}

func TestCheckpointRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	for _, dtype := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		ps := model(t, dtype, "second", 4, 1)
		// These numbers keep their bits only if nothing computes with them.
		odd32 := []uint32{0x7fc12345, 0xff800001, 0x80000000, 1, 0x7f800000}
		odd64 := []uint64{0x7ff8dead_beef1234, 0xfff0000000000001, 1 << 63, 1, 0x7ff0000000000000}
		w := ps.ByName("first")
		for i := range odd32 {
			if w.f32 != nil {
				w.f32[i] = math.Float32frombits(odd32[i])
			} else {
				w.f64[i] = math.Float64frombits(odd64[i])
			}
		}
		c := NewCheckpoint()
		c.PutParams(ps)
		c.Put("moments", []float32{1, 2, 3, 4, 5, 6}, 3, 2)
		c.Put("nothing", nil, 0, 7)
		c.Texts["step"] = "17"
		c.Texts["κλίμα \"\n"] = "β₁ = 0.9"
		if err := c.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := LoadCheckpoint(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.Texts, got.Texts); diff != "" {
			t.Error(diff)
		}
		other := model(t, dtype, "second", 4, 1)
		for _, p := range other.All() {
			p.Fill(func(int) float64 { return -9 })
		}
		if err := got.GetParams(other); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(contents(ps), contents(other)); diff != "" {
			t.Errorf("%v: weights before − and after + a round trip:\n%s", dtype, diff)
		}
		moments := make([]float32, 6)
		if err := got.Get("moments", moments); err != nil || !slices.Equal(moments, c.Tensors["moments"].F32) {
			t.Errorf("moments %v, %v", moments, err)
		}
		if err := got.Get("nothing", nil); err != nil {
			t.Error(err)
		}
		if shape := got.Tensors["moments"].Shape; !slices.Equal(shape, []int{3, 2}) {
			t.Errorf("shape %v, want [3 2]", shape)
		}
		if a, _ := c.Marshal(); true {
			if b, _ := got.Marshal(); !bytes.Equal(a, b) {
				t.Errorf("%v: a checkpoint that was read is written differently", dtype)
			}
		}
	}
}

// A checkpoint of another architecture says so and changes nothing.
func TestCheckpointOfAnotherArchitecture(t *testing.T) {
	saved := NewCheckpoint()
	saved.PutParams(model(t, tensor.Float32, "second", 4, 1))
	for name, c := range map[string]struct {
		ps   *Params
		want []string
	}{
		"missing":       {model(t, tensor.Float32, "third", 4, 1), []string{`no weight "third"`, "another architecture"}},
		"other shape":   {model(t, tensor.Float32, "second", 1, 4), []string{`"second"`, "[4 1]", "(1, 4)"}},
		"other type":    {model(t, tensor.Float64, "second", 4, 1), []string{`"first"`, "type"}},
		"one too many":  {func() *Params { ps := newParams(t, tensor.Float32); ps.New("first", 2, 3); return ps }(), []string{`"second"`, "not here"}},
		"no weights":    {newParams(t, tensor.Float32), []string{"another architecture"}},
		"further there": {func() *Params { ps := model(t, tensor.Float32, "second", 4, 1); ps.New("z", 1, 1); return ps }(), []string{`"z"`}},
	} {
		for _, p := range c.ps.All() {
			p.Fill(func(i int) float64 { return 100 + float64(i) })
		}
		before := contents(c.ps)
		err := saved.GetParams(c.ps)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", name, err, w)
			}
		}
		if diff := cmp.Diff(before, contents(c.ps)); diff != "" {
			t.Errorf("%s: weights were written:\n%s", name, diff)
		}
	}
}

func TestGetErrors(t *testing.T) {
	c := NewCheckpoint()
	c.Put("m", []float32{1, 2, 3, 4, 5, 6}, 2, 3)
	c.Tensors["double"] = Tensor{Shape: []int{2}, F64: []float64{1, 2}}
	dst := []float32{7, 7}
	for name, want := range map[string]string{"m": "[2 3]", "absent": `no "absent"`, "double": "float32"} {
		if err := c.Get(name, dst); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v; want one that says %q", name, err, want)
		}
	}
	if dst[0] != 7 {
		t.Error("a failing Get writes")
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.safetensors")
	good := NewCheckpoint()
	good.Put("a", []float32{1, 2}, 2)
	if err := good.Save(path); err != nil {
		t.Fatal(err)
	}
	former, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode().Perm() != 0o644 {
		t.Errorf("file mode %v, want -rw-r--r--", info.Mode())
	}

	// Each of these must fail, keep the former file and leave no other.
	bad := map[string]*Checkpoint{}
	for name, change := range map[string]func(c *Checkpoint){
		"shape":    func(c *Checkpoint) { c.Put("b", []float32{1, 2, 3}, 2, 2) },
		"binary":   func(c *Checkpoint) { c.Texts["state"] = "\xff\x00" },
		"name":     func(c *Checkpoint) { c.Put("\xff", []float32{1}, 1) },
		"reserved": func(c *Checkpoint) { c.Put("__metadata__", []float32{1}, 1) },
		"title":    func(c *Checkpoint) { c.Texts["\xff"] = "state" },
		"sum":      func(c *Checkpoint) { c.Texts[sumKey] = "0" },
		"format":   func(c *Checkpoint) { c.Texts[formatKey] = "0" },
	} {
		bad[name] = NewCheckpoint()
		change(bad[name])
	}
	for name, c := range bad {
		if err := c.Save(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v; want one that names %s", name, err, path)
		}
	}
	taken := filepath.Join(dir, "folder")
	if err := os.Mkdir(taken, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := good.Save(taken); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("saving onto a folder: error %v", err)
	}
	if err := good.Save(filepath.Join(dir, "absent", "c")); err == nil {
		t.Error("saving into a folder that is not there: no error")
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, former) {
		t.Error("a failing save changed the former file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("the folder holds %v; want the former file and a folder", entries)
	}
	if _, err := LoadCheckpoint(filepath.Join(dir, "absent")); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("loading a file that is not there: error %v", err)
	}
}

// The sum tells apart whatever a checkpoint may hold, but not the order in which it was made.
func TestSum(t *testing.T) {
	sums := map[string]string{}
	for name, c := range map[string]*Checkpoint{
		"nothing":       {},
		"a text":        {Texts: map[string]string{"ab": "c"}},
		"another name":  {Texts: map[string]string{"a": "bc"}},
		"two texts":     {Texts: map[string]string{"a": "", "b": "c"}},
		"an array":      {Tensors: map[string]Tensor{"ab": {Shape: []int{2}, F32: []float32{1, 2}}}},
		"another shape": {Tensors: map[string]Tensor{"ab": {Shape: []int{1, 2}, F32: []float32{1, 2}}}},
		"a turned one":  {Tensors: map[string]Tensor{"ab": {Shape: []int{2, 1}, F32: []float32{1, 2}}}},
		"another value": {Tensors: map[string]Tensor{"ab": {Shape: []int{2}, F32: []float32{1, 3}}}},
		"another sign":  {Tensors: map[string]Tensor{"ab": {Shape: []int{2}, F32: []float32{1, -2}}}},
		"another type":  {Tensors: map[string]Tensor{"ab": {Shape: []int{2}, F64: []float64{1, 2}}}},
		"two arrays":    {Tensors: map[string]Tensor{"a": {Shape: []int{1}, F32: []float32{1}}, "b": {Shape: []int{1}, F32: []float32{2}}}},
		"exchanged":     {Tensors: map[string]Tensor{"b": {Shape: []int{1}, F32: []float32{1}}, "a": {Shape: []int{1}, F32: []float32{2}}}},
	} {
		sum := c.Sum()
		if other, ok := sums[sum]; ok {
			t.Errorf("%s and %s have one sum", name, other)
		}
		if sums[sum] = name; c.Sum() != sum {
			t.Errorf("%s: two sums", name)
		}
	}
	large := Tensor{Shape: []int{40000}, F32: make([]float32, 40000)}
	c := &Checkpoint{Tensors: map[string]Tensor{"large": large}}
	was := c.Sum()
	for _, at := range []int{0, 16383, 16384, 39999} {
		if large.F32[at] = 1; c.Sum() == was {
			t.Errorf("value %d is not in the sum", at)
		}
		large.F32[at] = 0
	}
}

// Any single bit of a file that flips, in its header too, is refused or without effect; it
// never makes the file one of an earlier version, which has no sum.
func TestEveryBitOfACheckpoint(t *testing.T) {
	c := NewCheckpoint()
	c.Put("weight.a", []float32{1, -2, 3}, 3, 1)
	c.Put("b", []float32{4}, 1)
	c.Texts["step"], c.Texts["configuration"] = "17", `{"CMF_SEED":"1"}`
	whole, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want, harmless := c.Sum(), 0
	for bit := range 8 * len(whole) {
		flipped := slices.Clone(whole)
		flipped[bit/8] ^= 1 << (bit % 8)
		got, err := ParseCheckpoint(flipped)
		if err != nil {
			continue
		}
		if harmless++; got.Sum() != want || got.Unchecked {
			t.Errorf("bit %d of byte %d (%q) is not noticed: unchecked %v", bit%8, bit/8, whole[bit/8], got.Unchecked)
		}
	}
	t.Logf("of %d bits %d are without effect, the others refused", 8*len(whole), harmless)
}

// damaged returns files that are not checkpoints.
func damaged(t testing.TB) map[string][]byte {
	t.Helper()
	c := NewCheckpoint()
	c.Put("a", []float32{1, 2, 3}, 3)
	c.Texts["step"] = "1"
	whole, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	file := func(header string, data int) []byte {
		b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		return append(append(b, header...), make([]byte, data)...)
	}
	return map[string][]byte{
		"empty":                 nil,
		"seven bytes":           whole[:7],
		"the length alone":      whole[:8],
		"half the header":       whole[:20],
		"one byte short":        whole[:len(whole)-1],
		"one byte long":         append(slices.Clone(whole), 0),
		"garbage":               bytes.Repeat([]byte{0xa5}, 100),
		"zeros":                 make([]byte, 100),
		"a huge header":         append(binary.LittleEndian.AppendUint64(nil, math.MaxUint64), whole[8:]...),
		"a large header":        append(binary.LittleEndian.AppendUint64(nil, 99_999_999), whole[8:]...),
		"no JSON":               file(`{"a":`, 4),
		"a list":                file(`[]`, 0),
		"no offsets":            file(`{"a":{"dtype":"F32","shape":[1]}}`, 4),
		"null":                  file(`{"a":null}`, 4),
		"another type":          file(`{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, 8),
		"an unknown type":       file(`{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,8]}}`, 8),
		"offsets beyond":        file(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 4),
		"offsets backward":      file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4),
		"overlap":               file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
		"a shape that wraps":    file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0),
		"a negative shape":      file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4),
		"a shape without limit": file(`{"a":{"dtype":"F32","shape":[9223372036854775808,0],"data_offsets":[0,0]}}`, 0),
		"a number as a text":    file(`{"__metadata__":{"step":1}}`, 0),
	}
}

func TestDamagedCheckpoints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "damaged")
	for name, data := range damaged(t) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c, err := LoadCheckpoint(path)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), path) || c != nil {
			t.Errorf("%s: %v, error %v; want one that names the file", name, c, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%s: %d bytes were allocated for a file of %d", name, grown, len(data))
		}
	}
}

// For any bytes ParseCheckpoint returns an error, or a checkpoint whose shapes
// fit its data. Writing that and reading it again changes nothing.
func FuzzParseCheckpoint(f *testing.F) {
	for _, data := range damaged(f) {
		f.Add(data)
	}
	c := NewCheckpoint()
	c.PutParams(model(f, tensor.Float64, "second", 1, 2))
	c.Put("a", []float32{1}, 1, 1)
	c.Texts["x"] = "y"
	whole, err := c.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCheckpoint(data)
		if err != nil {
			return
		}
		for name, a := range c.Tensors {
			n := 1
			for _, k := range a.Shape {
				if k < 0 {
					t.Fatalf("%q has shape %v", name, a.Shape)
				}
				n *= k
			}
			if n != len(a.F32)+len(a.F64) {
				t.Fatalf("%q has shape %v and %d values", name, a.Shape, len(a.F32)+len(a.F64))
			}
		}
		again, err := c.Marshal()
		if err != nil {
			t.Fatalf("writing what was read: %v", err)
		}
		d, err := ParseCheckpoint(again)
		if err != nil {
			t.Fatalf("reading what was written: %v", err)
		}
		twice, err := d.Marshal()
		if err != nil || !bytes.Equal(again, twice) {
			t.Fatalf("a second round trip changes the file: %v", err)
		}
	})
}

// Values are those that are finite, whatever their sign and size.
func TestCheckFiniteValues(t *testing.T) {
	for v, want := range map[float32]string{
		0: "", 1: "", -math.MaxFloat32: "", math.SmallestNonzeroFloat32: "",
		float32(math.Inf(1)): "NaN or ±Inf", float32(math.Inf(-1)): "NaN or ±Inf", float32(math.NaN()): "NaN or ±Inf",
	} {
		c := NewCheckpoint()
		c.Put("w", []float32{2, v}, 1, 2)
		got, err := c.Values("w", 1, 2)
		for _, err := range []error{err, c.Check()} {
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%g: error %v, want %q", v, err, want)
			}
		}
		if want == "" && !slices.Equal(got, []float32{2, v}) {
			t.Errorf("%g is read as %g", v, got)
		}
	}
}
