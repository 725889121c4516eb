package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"cmf/data/file"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Pictures is a set of colour pictures, split for training and for held-out
// evaluation.
type Pictures struct {
	// Name says where the set comes from, for figures and reports.
	Name string

	// Side is the height and the width of a picture in pixels.
	Side int

	// Train and Test are batches of shape (n, 3·Side²), one picture to a row: its
	// red, green and blue planes, each row by row, in [0, 1].
	Train, Test blas32.General

	// StandIn is true for pictures drawn by Faces.
	StandIn bool
}

// ErrNoCartoons is the error of Cartoons when the set is neither on disk nor
// available from the network. A caller may then use Faces.
var ErrNoCartoons = errors.New("the Cartoon Set is absent")

// CartoonOptions says where the Cartoon Set lies and how it is read.
type CartoonOptions struct {
	// Dir is the folder of data sets; the Cartoon Set is in its subfolder
	// cartoon. An empty Dir means cmf under the user's cache folder
	// (os.UserCacheDir).
	Dir string

	// Side is the side of a picture in pixels; 0 means 32.
	Side int

	// Limit is the largest number of pictures read; 0 means all.
	Limit int

	// Offline forbids downloading.
	Offline bool

	// Log reports downloads; nil means no report.
	Log *slog.Logger

	// urls replaces cartoonURLs in tests.
	urls []string
}

const cartoonArchive = "cartoonset10k.tgz"

var cartoonURLs = []string{"https://storage.googleapis.com/cartoonset_public_files/" + cartoonArchive}

// cartoonCrop is the share of a picture's side that is kept, in the middle:
// around the faces the Cartoon Set is empty.
const cartoonCrop = .8

// Cartoons reads the faces of Google's Cartoon Set (CC BY 4.0; 500×500 PNG,
// transparent around the face) from the folder cartoon of o.Dir: from the
// archive cartoonset10k.tgz, in its order, or from PNG files in that folder and
// below, in the order of their paths. Where there is neither, it first downloads
// the archive, of about 450 MB. Every tenth picture is held out.
//
// Pictures are put on white, cut to their middle, and reduced by averaging
// areas. The archive is read in memory: nothing from it is written to disk. Its
// publisher gives no checksum, so the SHA-256 of the download is recorded
// beside it in cartoonset10k.tgz.sha256, and checked from then on.
//
// An absent set is an error for which errors.Is(err, ErrNoCartoons) holds; a
// damaged one is another error, which names the file and the entry.
func Cartoons(ctx context.Context, o CartoonOptions) (*Pictures, error) {
	if o.Side == 0 {
		o.Side = 32
	}
	if o.Side < 1 || o.Side > 512 || o.Limit < 0 {
		return nil, fmt.Errorf("read the Cartoon Set: Side is %d and Limit %d; allowed are 1 to 512 pixels (0 for 32), and 0 or more pictures", o.Side, o.Limit)
	}
	if o.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w: no data folder is given and there is no cache folder: %w", ErrNoCartoons, err)
		}
		o.Dir = filepath.Join(cache, "cmf")
	}
	reader := pngReader{side: o.Side, crop: cartoonCrop, limit: o.Limit}
	archive := filepath.Join(o.Dir, "cartoon", cartoonArchive)
	_, err := os.Stat(archive)
	if errors.Is(err, os.ErrNotExist) {
		var all blas32.General
		if all, err = reader.folder(ctx, filepath.Dir(archive)); err != nil {
			return nil, err
		}
		if all.Rows > 0 {
			return splitPictures("Cartoon Set", o.Side, all), nil
		}
		err = o.fetch(ctx, archive)
	}
	if err != nil {
		return nil, err
	}
	if err := checkRecorded(archive); err != nil {
		return nil, err
	}
	all, err := reader.archive(ctx, archive)
	if err != nil {
		return nil, err
	}
	return splitPictures("Cartoon Set", o.Side, all), nil
}

// fetch downloads the archive and records its sum.
func (o CartoonOptions) fetch(ctx context.Context, archive string) error {
	if o.Offline {
		return fmt.Errorf("%w: there is no %s and no PNG beside it, and downloading is off", ErrNoCartoons, archive)
	}
	urls := o.urls
	if urls == nil {
		urls = cartoonURLs
	}
	if o.Log != nil {
		o.Log.Info("download the Cartoon Set, about 450 MB", "file", archive)
	}
	if err := Fetch(ctx, nil, urls, "", archive); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%w: %w", ErrNoCartoons, err)
	}
	sum, err := sumOfFile(archive)
	if err != nil {
		return err
	}
	return file.Write(archive+".sha256", func(w io.Writer) error { return file.Text(w, []byte(sum+"  "+cartoonArchive+"\n")) })
}

// checkRecorded checks a file against the sum recorded beside it, if there is
// one.
func checkRecorded(path string) error {
	text, err := os.ReadFile(path + ".sha256")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recorded sum of %s: %w", path, err)
	}
	want, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	got, err := sumOfFile(path)
	if err != nil {
		return err
	}
	if got != strings.ToLower(want) {
		return fmt.Errorf("%s: sha256 is %s; when it was downloaded it was %q. Remove it and %s.sha256 to download it again", path, got, want, path)
	}
	return nil
}

func sumOfFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum, err := sumOf(file)
	if err != nil {
		return "", fmt.Errorf("sha256 of %s: %w", path, err)
	}
	return sum, nil
}

// splitPictures holds out every tenth picture.
func splitPictures(name string, side int, all blas32.General) *Pictures {
	held := all.Rows / 10
	p := &Pictures{Name: name, Side: side, Train: batch.New(all.Rows-held, all.Cols), Test: batch.New(held, all.Cols)}
	for i := range all.Rows {
		to, j := p.Train, i-i/10
		if i%10 == 9 {
			to, j = p.Test, i/10
		}
		copy(batch.Row(to, j), batch.Row(all, i))
	}
	return p
}
