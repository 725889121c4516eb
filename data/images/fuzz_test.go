package images

import (
	"bytes"
	"compress/gzip"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/gonum/blas/blas32"
)

// FuzzPNGs reads a file in a folder beside a good one, and also reduces it to a
// given size.
func FuzzPNGs(f *testing.F) {
	grey, palette := image.NewGray16(image.Rect(0, 0, 3, 2)), image.NewPaletted(image.Rect(0, 0, 3, 2), color.Palette{color.White, color.NRGBA{9, 8, 7, 6}})
	for _, picture := range []image.Image{grey, palette, image.NewNRGBA64(image.Rect(0, 0, 2, 3)), image.NewGray(image.Rect(0, 0, 3, 2))} {
		f.Add(encoded(f, picture))
	}
	f.Add(encoded(f, grey)[:40])
	f.Add([]byte("no picture"))
	folder := f.TempDir()
	write(f, filepath.Join(folder, "a.png"), encoded(f, image.NewGray(image.Rect(0, 0, 3, 2))))
	f.Fuzz(func(t *testing.T, file []byte) {
		write(t, filepath.Join(folder, "b.png"), file)
		m, height, width, err := ReadPNGs(folder)
		if err == nil {
			if m.Rows != 2 || height != 2 || width != 3 || m.Cols%6 != 0 {
				t.Errorf("shape (%d, %d) of pictures of %d×%d", m.Rows, m.Cols, width, height)
			}
			inUnit(t, m)
		}
		if planes, err := reducePNG(file, 4, cartoonCrop); err == nil {
			inUnit(t, blas32.General{Rows: 1, Cols: 3 * 4 * 4, Stride: 3 * 4 * 4, Data: planes})
		}
	})
}

// FuzzCartoonArchive reads a tar archive, gzipped here if it is not already,
// and checks that nothing from it was written.
func FuzzCartoonArchive(f *testing.F) {
	good := plain(f, color.White)
	for _, entries := range [][]entry{
		{{name: "a.png", content: good}, {name: "../../b.png", content: good}},
		{{name: "/etc/c.png", content: good}, {name: "d.png", kind: '2'}, {name: "e.png", kind: '1'}},
		{{name: "f.png", content: []byte("no picture")}, {name: "g.txt", content: good}},
	} {
		archive := tgz(f, entries...)
		f.Add(archive)
		r, err := gzip.NewReader(bytes.NewReader(archive))
		if err != nil {
			f.Fatal(err)
		}
		var unzipped bytes.Buffer
		if _, err := unzipped.ReadFrom(r); err != nil {
			f.Fatal(err)
		}
		f.Add(unzipped.Bytes())
	}
	top := f.TempDir()
	path := filepath.Join(top, "data", "cartoon", cartoonArchive)
	reader := pngReader{side: 2, crop: cartoonCrop, limit: 50}
	f.Fuzz(func(t *testing.T, file []byte) {
		if !bytes.HasPrefix(file, []byte{0x1f, 0x8b}) {
			var stored bytes.Buffer
			w, err := gzip.NewWriterLevel(&stored, gzip.NoCompression)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(file)
			w.Close()
			file = stored.Bytes()
		}
		write(t, path, file)
		all, err := reader.archive(t.Context(), path)
		switch {
		case err == nil && (all.Rows < 1 || all.Rows > 50):
			t.Errorf("%d pictures", all.Rows)
		case err == nil:
			inUnit(t, all)
		case !strings.Contains(err.Error(), path):
			t.Errorf("%v does not name the file", err)
		}
		for _, folder := range []string{top, filepath.Join(top, "data"), filepath.Dir(path)} {
			if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
				t.Fatalf("%s holds %v (%v)", folder, left, err)
			}
		}
	})
}

func inUnit(t *testing.T, m blas32.General) {
	t.Helper()
	if len(m.Data) != m.Rows*m.Cols {
		t.Fatalf("%d values for shape (%d, %d)", len(m.Data), m.Rows, m.Cols)
	}
	for _, v := range m.Data {
		if !(v >= 0 && v <= 1) {
			t.Fatalf("a pixel of %g", v)
		}
	}
}
