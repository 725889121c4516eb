package images

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// writeMNIST fills dir/mnist with a set of 2×3 images, 3 for training (plain
// files) and 2 for testing (gzipped).
func writeMNIST(t *testing.T, dir string) {
	t.Helper()
	for i, content := range [][]byte{
		idxFile([]byte{0, 51, 102, 153, 204, 255, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2}, idxImages, 3, 2, 3),
		idxFile([]byte{7, 8, 9}, idxLabels, 3),
		zipped(t, idxFile([]byte{0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255}, idxImages, 2, 2, 3)),
		zipped(t, idxFile([]byte{0, 1}, idxLabels, 2)),
	} {
		name := mnistFiles[i].name
		if i >= 2 {
			name += ".gz"
		}
		write(t, filepath.Join(dir, "mnist", name), content)
	}
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMNISTLayout(t *testing.T) {
	dir := t.TempDir()
	writeMNIST(t, dir)
	images, err := MNIST(t.Context(), MNISTOptions{Dir: dir, Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	if images.Rows != 2 || images.Cols != 3 || images.Train.Rows != 3 || images.Test.Rows != 2 || images.Train.Cols != 6 || images.StandIn {
		t.Errorf("got %d×%d, train (%d, %d), test %d rows, stand-in %v", images.Rows, images.Cols,
			images.Train.Rows, images.Train.Cols, images.Test.Rows, images.StandIn)
	}
	if want := []float32{0, .2, .4, .6, .8, 1}; !slices.Equal(batch.Row(images.Train, 0), want) {
		t.Errorf("first image is %v, want %v", batch.Row(images.Train, 0), want)
	}
	if !slices.Equal(images.TrainLabels, []uint8{7, 8, 9}) || !slices.Equal(images.TestLabels, []uint8{0, 1}) {
		t.Errorf("labels are %v and %v", images.TrainLabels, images.TestLabels)
	}
}

// Files may have the names of other archives.
func TestMNISTInOtherNames(t *testing.T) {
	dir := t.TempDir()
	writeMNIST(t, dir)
	for i, file := range mnistFiles {
		ending := ""
		if i >= 2 {
			ending = ".gz"
		}
		if err := os.Rename(filepath.Join(dir, "mnist", file.name+ending), filepath.Join(dir, "mnist", dotted(file.name)+ending)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "mnist", "train-images.idx3-ubyte")); err != nil {
		t.Error(err)
	}
	if images, err := MNIST(t.Context(), MNISTOptions{Dir: dir, Offline: true}); err != nil || images.Train.Rows != 3 || images.Test.Rows != 2 {
		t.Error(err)
	}
}

func TestMNISTInCacheFolder(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	where, err := os.UserCacheDir()
	if err != nil {
		t.Skip("this system has no cache folder: ", err)
	}
	writeMNIST(t, filepath.Join(where, "cmf"))
	if _, err := MNIST(t.Context(), MNISTOptions{Offline: true}); err != nil {
		t.Error(err)
	}
}

func TestMNISTAbsent(t *testing.T) {
	_, err := MNIST(t.Context(), MNISTOptions{Dir: t.TempDir(), Offline: true})
	if !errors.Is(err, ErrNoMNIST) {
		t.Errorf("offline: got error %v, want ErrNoMNIST", err)
	}
	_, err = MNIST(t.Context(), MNISTOptions{Dir: t.TempDir(), mirrors: []string{deadMirror() + "/"}})
	if !errors.Is(err, ErrNoMNIST) || !strings.Contains(err.Error(), "train-images-idx3-ubyte.gz: ") {
		t.Errorf("no network: got error %v, want ErrNoMNIST and the address", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = MNIST(ctx, MNISTOptions{Dir: t.TempDir(), mirrors: []string{deadMirror() + "/"}})
	if errors.Is(err, ErrNoMNIST) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v, want context.Canceled, not ErrNoMNIST", err)
	}
}

// A file that is there but damaged must not be taken for an absent set.
func TestMNISTDamaged(t *testing.T) {
	for i, content := range [][]byte{
		idxFile([]byte{1, 2, 3}, idxImages, 3, 2, 3),
		idxFile([]byte{7, 8}, idxLabels, 2),
		idxFile([]byte{1, 2, 3, 4}, idxImages, 2, 1, 2),
		{},
	} {
		dir := t.TempDir()
		writeMNIST(t, dir)
		path := filepath.Join(dir, "mnist", mnistFiles[i].name)
		if i >= 2 {
			path += ".gz"
		}
		write(t, path, content)
		_, err := MNIST(t.Context(), MNISTOptions{Dir: dir, Offline: true})
		if err == nil || errors.Is(err, ErrNoMNIST) || !strings.Contains(err.Error(), path) {
			t.Errorf("damaged %s: got error %v, want one that names it and is not ErrNoMNIST", path, err)
		}
	}
}

// realMNIST is the real set, where CMF_DATA_DIR has it.
func realMNIST(t *testing.T) *Digits {
	t.Helper()
	dir := os.Getenv("CMF_DATA_DIR")
	if dir == "" {
		t.Skip("CMF_DATA_DIR is not set")
	}
	images, err := MNIST(t.Context(), MNISTOptions{Dir: dir, Offline: true})
	if errors.Is(err, ErrNoMNIST) {
		t.Skip("MNIST is not in $CMF_DATA_DIR/mnist")
	}
	if err != nil {
		t.Fatal(err)
	}
	return images
}

func TestRealMNIST(t *testing.T) {
	start := time.Now()
	images := realMNIST(t)
	t.Logf("read in %v", time.Since(start))
	if images.Rows != 28 || images.Cols != 28 || images.Train.Rows != 60000 || images.Test.Rows != 10000 {
		t.Errorf("got %d + %d images of %d×%d", images.Train.Rows, images.Test.Rows, images.Rows, images.Cols)
	}
	if got := images.TrainLabels[:4]; !slices.Equal(got, []uint8{5, 0, 4, 1}) {
		t.Errorf("first labels are %v, want 5 0 4 1", got)
	}
	if mean, sd := moments(images.Train); math.Abs(mean-.1307) > 5e-5 || math.Abs(sd-.3081) > 5e-5 {
		t.Errorf("pixels have mean %.5f and standard deviation %.5f, want .1307 and .3081", mean, sd)
	}
}

// moments are the mean and standard deviation of all values of m.
func moments(m blas32.General) (mean, sd float64) {
	var sum, square float64
	for _, v := range m.Data {
		sum += float64(v)
		square += float64(v) * float64(v)
	}
	n := float64(len(m.Data))
	return sum / n, math.Sqrt(square/n - sum/n*sum/n)
}
