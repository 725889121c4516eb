package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
	"pgregory.net/rapid"
)

// plain is a PNG of one colour, 10×10.
func plain(t testing.TB, c color.Color) []byte {
	t.Helper()
	picture := image.NewNRGBA(image.Rect(0, 0, 10, 10))
	for k := range 100 {
		picture.Set(k%10, k/10, c)
	}
	return encoded(t, picture)
}

func encoded(t testing.TB, picture image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// entry is one entry of an archive.
type entry struct {
	name    string
	content []byte
	kind    byte // 0 for a file
}

func tgz(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		if e.kind != 0 {
			h.Typeflag, h.Size, h.Linkname = e.kind, 0, "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if e.kind == 0 {
			if _, err := w.Write(e.content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return zipped(t, out.Bytes())
}

// greys are n archive entries, each picture lighter than the one before.
func greys(t *testing.T, n int) (entries []entry) {
	for k := range n {
		entries = append(entries, entry{name: fmt.Sprintf("set/%02d.png", n-k), content: plain(t, color.Gray{uint8(10 * k)})})
	}
	return entries
}

func cartoonsIn(t *testing.T, dir string) (*Pictures, error) {
	t.Helper()
	return Cartoons(t.Context(), CartoonOptions{Dir: dir, Side: 2, Offline: true})
}

func TestCartoonsFromArchive(t *testing.T) {
	dir := t.TempDir()
	entries := append(greys(t, 20), entry{name: "set/attributes.csv", content: []byte("a,b")},
		entry{name: "../../outside.png", kind: tar.TypeSymlink}, entry{name: "set/._20.png", content: []byte("resource fork")})
	write(t, filepath.Join(dir, "cartoon", cartoonArchive), tgz(t, entries...))
	p, err := cartoonsIn(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.Train.Rows != 18 || p.Test.Rows != 2 || p.Train.Cols != 12 || p.Side != 2 || p.StandIn {
		t.Fatalf("got %d + %d pictures of %d values, side %d, stand-in %v", p.Train.Rows, p.Test.Rows, p.Train.Cols, p.Side, p.StandIn)
	}
	// The order is the archive's, and every tenth picture is held out.
	for _, c := range []struct {
		x    blas32.General
		i, k int
	}{{p.Train, 0, 0}, {p.Train, 8, 8}, {p.Train, 9, 10}, {p.Train, 17, 18}, {p.Test, 0, 9}, {p.Test, 1, 19}} {
		if got, want := batch.Row(c.x, c.i)[0], float32(10*c.k)/255; math.Abs(float64(got-want)) > 1e-6 {
			t.Errorf("row %d is of grey %g, want that of entry %d, %g", c.i, got, c.k, want)
		}
	}
	few, err := Cartoons(t.Context(), CartoonOptions{Dir: dir, Side: 2, Limit: 3, Offline: true})
	if err != nil || few.Train.Rows+few.Test.Rows != 3 {
		t.Errorf("with a limit of 3: %+v, error %v", few, err)
	}
	// Nothing from the archive was written to disk.
	if files, _ := filepath.Glob(filepath.Join(dir, "*", "*")); len(files) != 1 {
		t.Errorf("the folder holds %v", files)
	}
}

func TestCartoonsFromFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cartoon", "b", "2.png"), plain(t, color.Gray{20}))
	write(t, filepath.Join(dir, "cartoon", "a", "1.PNG"), plain(t, color.Gray{10}))
	write(t, filepath.Join(dir, "cartoon", "c.png"), plain(t, color.Gray{30}))
	write(t, filepath.Join(dir, "cartoon", "note.txt"), []byte("not a picture"))
	write(t, filepath.Join(dir, "secret.png"), []byte("not a PNG"))
	if err := os.Symlink(filepath.Join(dir, "secret.png"), filepath.Join(dir, "cartoon", "link.png")); err != nil {
		t.Log("without links: ", err)
	}
	p, err := cartoonsIn(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.Train.Rows != 3 {
		t.Fatalf("got %d pictures", p.Train.Rows)
	}
	for i := range 3 {
		if got, want := batch.Row(p.Train, i)[0], float32(10*(i+1))/255; math.Abs(float64(got-want)) > 1e-6 {
			t.Errorf("picture %d is of grey %g, want %g", i, got, want)
		}
	}
}

func TestCartoonsAbsent(t *testing.T) {
	if _, err := cartoonsIn(t, t.TempDir()); !errors.Is(err, ErrNoCartoons) {
		t.Errorf("offline: got error %v, want ErrNoCartoons", err)
	}
	_, err := Cartoons(t.Context(), CartoonOptions{Dir: t.TempDir(), urls: []string{deadMirror() + "/x"}})
	if !errors.Is(err, ErrNoCartoons) {
		t.Errorf("no network: got error %v, want ErrNoCartoons", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Cartoons(ctx, CartoonOptions{Dir: t.TempDir(), urls: []string{deadMirror() + "/x"}})
	if errors.Is(err, ErrNoCartoons) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v, want context.Canceled, not ErrNoCartoons", err)
	}
	if _, err := Cartoons(t.Context(), CartoonOptions{Side: -1}); err == nil || !strings.Contains(err.Error(), "Side is -1") {
		t.Errorf("a negative side: error %v", err)
	}
}

// The sum of a download is recorded, and other content under its name is
// refused.
func TestCartoonsDownloadIsHeldToItsSum(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tgz(t, greys(t, 10)...))
	}))
	defer server.Close()
	dir := t.TempDir()
	p, err := Cartoons(t.Context(), CartoonOptions{Dir: dir, Side: 2, urls: []string{server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Train.Rows != 9 || p.Test.Rows != 1 {
		t.Errorf("got %d + %d pictures", p.Train.Rows, p.Test.Rows)
	}
	if _, err := cartoonsIn(t, dir); err != nil {
		t.Errorf("the second time: %v", err)
	}
	archive := filepath.Join(dir, "cartoon", cartoonArchive)
	write(t, archive, tgz(t, greys(t, 11)...))
	_, err = cartoonsIn(t, dir)
	if err == nil || errors.Is(err, ErrNoCartoons) || !strings.Contains(err.Error(), archive) || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("another archive: got error %v, want one that names it and its sum", err)
	}
}

// Hostile and damaged files give an error that names them, and cost no memory.
func TestCartoonsRefuseDamage(t *testing.T) {
	huge := plain(t, color.White)
	// A header that claims 60 000 × 60 000 pixels, with its checksum put right.
	binary.BigEndian.PutUint32(huge[16:], 60_000)
	binary.BigEndian.PutUint32(huge[20:], 60_000)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	good := entry{name: "good.png", content: plain(t, color.White)}
	whole := tgz(t, greys(t, 12)...)
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"not gzip":        {[]byte("no archive"), "gzip"},
		"not a PNG":       {tgz(t, good, entry{name: "bad.png", content: []byte("no picture")}, good), `"bad.png"`},
		"cut PNG":         {tgz(t, good, entry{name: "cut.png", content: good.content[:40]}), `"cut.png"`},
		"huge picture":    {tgz(t, entry{name: "huge.png", content: huge}), "60000×60000"},
		"large file":      {tgz(t, entry{name: "large.png", content: make([]byte, maxPNGBytes+1)}), `"large.png"`},
		"cut archive":     {whole[:len(whole)/2], cartoonArchive},
		"without a PNG":   {tgz(t, entry{name: "readme.txt", content: []byte("x")}), "no PNG"},
		"two bad entries": {tgz(t, entry{name: "first.png"}, entry{name: "second.png"}), `"first.png"`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "cartoon", cartoonArchive), c.archive)
			_, err := cartoonsIn(t, dir)
			if err == nil || errors.Is(err, ErrNoCartoons) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that says %s", err, c.want)
			}
		})
	}
}

// An area average keeps the mean of what is cut out, whatever the sizes.
func TestAreaAverageKeepsTheMean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "edge")
		side := rapid.IntRange(1, 12).Draw(t, "side")
		pix := rapid.SliceOfN(rapid.Byte(), 4*n*n, 4*n*n).Draw(t, "pixels")
		picture := &image.NRGBA{Pix: pix, Stride: 4 * n, Rect: image.Rect(0, 0, n, n)}
		planes := areaAverage(picture, side, 1)
		for k := range 3 {
			var got, want float64
			for _, v := range planes[k*side*side:][:side*side] {
				got += float64(v) / float64(side*side)
			}
			for p := range n * n {
				a := float64(pix[4*p+3]) / 255
				want += (a*float64(pix[4*p+k])/255 + 1 - a) / float64(n*n)
			}
			if math.Abs(got-want) > 1e-5 {
				t.Fatalf("plane %d has the mean %g, want %g", k, got, want)
			}
		}
	})
}

func TestReducePNG(t *testing.T) {
	// A picture of four quarters inside an empty rim, which the cut takes off.
	picture := image.NewNRGBA(image.Rect(0, 0, 10, 12))
	colours := []color.NRGBA{{255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {0, 0, 0, 0}}
	for y := 2; y < 10; y++ {
		for x := 1; x < 9; x++ {
			picture.SetNRGBA(x, y, colours[2*((y-2)/4)+(x-1)/4])
		}
	}
	got, err := reducePNG(encoded(t, picture), 2, .8)
	if err != nil {
		t.Fatal(err)
	}
	// Red, green, blue, and white where the picture is empty.
	want := []float32{1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1}
	for k, v := range got {
		if math.Abs(float64(v-want[k])) > 1e-6 {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	// Other kinds of PNG give the same.
	grey := image.NewGray16(image.Rect(0, 0, 4, 4))
	for k := range 16 {
		grey.Set(k%4, k/4, color.Gray16{0x8000})
	}
	if got, err := reducePNG(encoded(t, grey), 1, 1); err != nil || math.Abs(float64(got[0])-.5) > 1e-4 || got[0] != got[2] {
		t.Errorf("16-bit grey: %v, error %v", got, err)
	}
}

// The real pictures look like faces on white.
func TestRealCartoons(t *testing.T) {
	p, err := realCartoons(t)
	if err != nil {
		t.Fatal(err)
	}
	n := p.Train.Rows + p.Test.Rows
	if n < 30 || p.Train.Cols != 3072 || p.Test.Rows != n/10 {
		t.Fatalf("got %d + %d pictures of %d values", p.Train.Rows, p.Test.Rows, p.Train.Cols)
	}
	for i := range p.Train.Rows {
		x := batch.Row(p.Train, i)
		var middle float64 // red at the middle, where the face is
		for y := 14; y < 22; y++ {
			for k := 12; k < 20; k++ {
				middle += float64(x[32*y+k]) / 64
			}
		}
		if x[0] < .999 || x[1024+31] < .999 || middle > .99 {
			t.Errorf("picture %d: corners %g and %g, want white; its middle has red %g, want a face", i, x[0], x[1024+31], middle)
		}
	}
}

// realCartoons are some of the real set, where CMF_DATA_DIR has it.
func realCartoons(t *testing.T) (*Pictures, error) {
	t.Helper()
	dir := os.Getenv("CMF_DATA_DIR")
	if dir == "" {
		t.Skip("CMF_DATA_DIR is not set")
	}
	p, err := Cartoons(t.Context(), CartoonOptions{Dir: dir, Limit: 100, Offline: true})
	if errors.Is(err, ErrNoCartoons) {
		t.Skip("the Cartoon Set is not in $CMF_DATA_DIR/cartoon")
	}
	return p, err
}
