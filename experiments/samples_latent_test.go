package experiments

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/random"
)

// discs writes n pictures of a coloured disc into a new folder.
func discs(t *testing.T, n, side int) (folder string) {
	t.Helper()
	folder = t.TempDir()
	rng := random.New(1, "discs", 0)
	for i := range n {
		picture := image.NewRGBA(image.Rect(0, 0, side+2, side))
		x, y, hue := float64(side)*(.3+.4*rng.Float64()), float64(side)*(.3+.4*rng.Float64()), uint8(rng.IntN(256))
		for p := range side {
			for q := range side + 2 {
				c := color.RGBA{240, 240, 240, 255}
				if (float64(q)-x)*(float64(q)-x)+(float64(p)-y)*(float64(p)-y) < float64(side*side)/16 {
					c = color.RGBA{hue, 60, 255 - hue, 255}
				}
				picture.SetRGBA(q, p, c)
			}
		}
		file, err := os.Create(filepath.Join(folder, fmt.Sprintf("%03d.png", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(file, picture); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	return folder
}

// A folder of pictures is learned in a latent space whose dimension the run chooses; the
// saved model gives the pictures of the run, and a resumed run its own bits.
func TestSamplesOfPicturesInLatents(t *testing.T) {
	folder := discs(t, 260, 10)
	variables := []string{"CMF_DATA_FILE=" + folder, "CMF_STEPS=20", "CMF_COUNT=60", "CMF_MIXING=20", "CMF_PARTICLES=64", "CMF_BATCH=32", "CMF_PIECES=3", "CMF_BESIDE=false"}
	r := mustRun(t, Samples, variables...)
	x := readNPY(t, r, "samples.npy")
	if x.Rows != 60 || x.Cols != 3*10*12 || slices.Min(x.Data) < 0 || slices.Max(x.Data) > 1 {
		t.Errorf("pictures of shape (%d, %d), values from %g to %g", x.Rows, x.Cols, slices.Min(x.Data), slices.Max(x.Data))
	}
	if d := r.Report.Config["CMF_LATENTS"]; d != "8" && d != "16" && d != "32" {
		t.Errorf("%q latents", d)
	}
	again := mustRun(t, Samples, append(slices.Clone(variables), "CMF_RESUME="+r.Path("checkpoint.safetensors"))...)
	if got := readNPY(t, again, "samples.npy"); !slices.Equal(got.Data, x.Data) {
		t.Error("the resumed run gives other pictures")
	}
	if notes := strings.Join(again.Report.Notes, " "); strings.Contains(notes, "other settings") {
		t.Errorf("notes %q", notes)
	}
	saved := mustRun(t, Generate, "CMF_COUNT=60", "CMF_MIXING=20", "CMF_CHECKPOINT="+r.Path("checkpoint.safetensors"))
	if got := readNPY(t, saved, "samples.npy"); !slices.Equal(got.Data, x.Data) {
		t.Error("the checkpoint does not give the pictures of its run")
	}
}
