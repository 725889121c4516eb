package images

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Digits is a labelled set of greyscale digits, split for training and for
// held-out evaluation.
type Digits struct {
	// Name says where the set comes from, for figures and reports.
	Name string

	// Rows and Cols are the size of an image in pixels.
	Rows, Cols int

	// Train and Test are batches of shape (n, Rows·Cols), one image to a row,
	// its pixels row by row in [0, 1]: 0 is background, 1 full ink.
	Train, Test blas32.General

	// TrainLabels and TestLabels hold the digit 0 to 9 of each row.
	TrainLabels, TestLabels []uint8

	// StandIn is true for digits drawn by StandIn.
	StandIn bool
}

// ErrNoMNIST is the error of MNIST when the set is neither on disk nor
// available from the network. A caller may then use StandIn.
var ErrNoMNIST = errors.New("MNIST is absent")

// MNISTOptions says where MNIST is.
type MNISTOptions struct {
	// Dir is the folder of data sets; MNIST is in its subfolder mnist. An empty
	// Dir means cmf under the user's cache folder (os.UserCacheDir).
	Dir string

	// Offline forbids downloading what is missing.
	Offline bool

	// Log reports downloads; nil means no report.
	Log *slog.Logger

	// mirrors replaces mnistMirrors in tests.
	mirrors []string
}

var mnistMirrors = []string{
	"https://ossci-datasets.s3.amazonaws.com/mnist/",
	"https://storage.googleapis.com/cvdf-datasets/mnist/",
}

// mnistFiles are the four files in the order images and labels for training,
// images and labels for testing, with the sums of their gzipped form.
var mnistFiles = [4]struct{ name, sum string }{
	{"train-images-idx3-ubyte", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
	{"train-labels-idx1-ubyte", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
	{"t10k-images-idx3-ubyte", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
	{"t10k-labels-idx1-ubyte", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
}

// dotted is a name of the set as some archives and libraries write it,
// train-images.idx3-ubyte.
func dotted(name string) string { return strings.Replace(name, "-idx", ".idx", 1) }

// MNIST reads the 60 000 + 10 000 handwritten digits of LeCun, Cortes and
// Burges, 28×28, from the folder mnist of o.Dir, gzipped or plain, as
// train-images-idx3-ubyte or train-images.idx3-ubyte. Missing files are first
// downloaded to this folder.
//
// A set that stays incomplete is an error for which errors.Is(err, ErrNoMNIST)
// holds; a file that is there but damaged is another error, which names it.
func MNIST(ctx context.Context, o MNISTOptions) (*Digits, error) {
	if o.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w: no data folder is given and there is no cache folder: %w", ErrNoMNIST, err)
		}
		o.Dir = filepath.Join(cache, "cmf")
	}
	var paths [len(mnistFiles)]string
	for i, file := range mnistFiles {
		path, err := o.find(ctx, file.name, file.sum)
		if err != nil {
			return nil, err
		}
		paths[i] = path
	}
	images := &Digits{Name: "MNIST"}
	var err error
	var testRows, testCols int
	if images.Train, images.TrainLabels, images.Rows, images.Cols, err = readDigits(paths[0], paths[1]); err != nil {
		return nil, err
	}
	if images.Test, images.TestLabels, testRows, testCols, err = readDigits(paths[2], paths[3]); err != nil {
		return nil, err
	}
	if testRows != images.Rows || testCols != images.Cols {
		return nil, fmt.Errorf("IDX file %s: images are %d×%d; those of %s are %d×%d",
			paths[2], testRows, testCols, paths[0], images.Rows, images.Cols)
	}
	return images, nil
}

// find returns the path of one file of the set, and downloads it first if it is
// missing.
func (o MNISTOptions) find(ctx context.Context, name, sum string) (string, error) {
	plain := filepath.Join(o.Dir, "mnist", name)
	zipped := plain + ".gz"
	other := filepath.Join(o.Dir, "mnist", dotted(name))
	for _, path := range []string{zipped, plain, other + ".gz", other} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("look for MNIST: %w", err)
		}
	}
	if o.Offline {
		return "", fmt.Errorf("%w: there is no %s, and downloading is off", ErrNoMNIST, zipped)
	}
	mirrors := o.mirrors
	if mirrors == nil {
		mirrors = mnistMirrors
	}
	var urls []string
	for _, mirror := range mirrors {
		urls = append(urls, mirror+name+".gz")
	}
	if o.Log != nil {
		o.Log.Info("download MNIST", "file", zipped)
	}
	if err := Fetch(ctx, nil, urls, sum, zipped); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "", fmt.Errorf("%w: %w", ErrNoMNIST, err)
	}
	return zipped, nil
}

// readDigits reads one split: its pixels in [0, 1], its labels, and the size
// of an image.
func readDigits(imagePath, labelPath string) (pixels blas32.General, labels []uint8, rows, cols int, err error) {
	dims, body, err := readIDX(imagePath, idxImages)
	if err != nil {
		return pixels, nil, 0, 0, err
	}
	if labels, err = readLabels(labelPath, dims[0]); err != nil {
		return pixels, nil, 0, 0, err
	}
	pixels = batch.New(dims[0], dims[1]*dims[2])
	for i, v := range body {
		pixels.Data[i] = float32(v) / 255
	}
	return pixels, labels, dims[1], dims[2], nil
}
