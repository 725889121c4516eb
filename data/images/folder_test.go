package images

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func writePNG(t *testing.T, path string, picture image.Image) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := png.Encode(file, picture); err != nil {
		t.Fatal(err)
	}
}

// Pixels arrive plane by plane, row by row, in the order of the files' names.
func TestReadPNGs(t *testing.T) {
	folder := t.TempDir()
	grey := image.NewGray(image.Rect(0, 0, 3, 2))
	for i := range grey.Pix {
		grey.Pix[i] = uint8(51 * i)
	}
	writePNG(t, filepath.Join(folder, "a.png"), grey)
	writePNG(t, filepath.Join(folder, "b.png"), grey)
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, height, width, err := ReadPNGs(folder)
	if err != nil || height != 2 || width != 3 || got.Rows != 2 {
		t.Fatalf("%d pictures of %d×%d: %v", got.Rows, width, height, err)
	}
	ramp := []float32{0, .2, .4, .6, .8, 1}
	if diff := cmp.Diff(append(ramp, ramp...), got.Data); diff != "" {
		t.Errorf("(−want +got)\n%s", diff)
	}

	colour := image.NewNRGBA(image.Rect(0, 0, 3, 2))
	colour.Set(0, 0, color.NRGBA{255, 0, 0, 255}) // the others are transparent: white
	writePNG(t, filepath.Join(folder, "B.PNG"), colour)
	got, _, _, err = ReadPNGs(folder)
	if err != nil || got.Rows != 3 || got.Cols != 18 {
		t.Fatalf("shape (%d, %d): %v", got.Rows, got.Cols, err)
	}
	want := []float32{1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1}
	if diff := cmp.Diff(want, got.Data[:18]); diff != "" { // B is before a
		t.Errorf("(−want +got)\n%s", diff)
	}
	if diff := cmp.Diff(append(append(ramp, ramp...), ramp...), got.Data[18:36]); diff != "" {
		t.Errorf("a grey one among coloured (−want +got)\n%s", diff)
	}
}

// Links to files count as files, and the message for a folder without PNGs says what it has.
func TestReadPNGsFollowsLinks(t *testing.T) {
	elsewhere, folder := t.TempDir(), t.TempDir()
	for _, name := range []string{"a.png", "b.png"} {
		writePNG(t, filepath.Join(elsewhere, name), image.NewGray(image.Rect(0, 0, 3, 2)))
		if err := os.Symlink(filepath.Join(elsewhere, name), filepath.Join(folder, name)); err != nil {
			t.Skip(err)
		}
	}
	if got, _, _, err := ReadPNGs(folder); err != nil || got.Rows != 2 {
		t.Errorf("%d pictures: %v", got.Rows, err)
	}
	if err := os.Remove(filepath.Join(elsewhere, "b.png")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := ReadPNGs(folder); err == nil || !strings.Contains(err.Error(), "b.png") {
		t.Errorf("a link to nothing: %v", err)
	}
}

func TestReadPNGsRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		fill func(path string)
	}{
		"holds no PNG": {"a.txt", func(path string) { os.WriteFile(path, nil, 0o644) }},
		"b.png: it has 2×4 pixels, and a.png has 3×2": {"b.png", func(path string) {
			writePNG(t, path, image.NewGray(image.Rect(0, 0, 2, 4)))
			writePNG(t, filepath.Join(filepath.Dir(path), "a.png"), image.NewGray(image.Rect(0, 0, 3, 2)))
		}},
		"holds no PNG, but 1 GIF and 2 JPEGs; convert": {"a.jpg", func(path string) {
			for _, name := range []string{path, path + ".JPEG", path + ".gif", filepath.Join(filepath.Dir(path), ".b.jpg")} {
				os.WriteFile(name, nil, 0o644)
			}
		}},
		"a.png: a picture of 2000×9 pixels; allowed are at most 16384 in all": {"a.png", func(path string) {
			writePNG(t, path, image.NewGray(image.Rect(0, 0, 2000, 9)))
		}},
		"c.png": {"c.png", func(path string) { os.WriteFile(path, []byte("\x89PNG\r\n\x1a\nno more"), 0o644) }},
		"d.png: a picture of 4096×1 pixels; allowed are 1 to 2048": {"d.png", func(path string) {
			writePNG(t, path, image.NewGray(image.Rect(0, 0, 4096, 1)))
		}},
	} {
		folder := t.TempDir()
		c.fill(filepath.Join(folder, c.file))
		if _, _, _, err := ReadPNGs(folder); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%v; want the folder and %q", err, name)
		}
	}
}
