package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// Bounds of what is read: 4 MiB a PNG file, 200 000 of them, 16 GiB of archive
// once unpacked. The Cartoon Set's PNGs have some 50 KB.
const (
	maxPNGBytes     = 4 << 20
	maxPNGCount     = 200_000
	maxValues       = 1 << 30 // of all pictures: 4 GiB as float32
	maxArchiveBytes = 16 << 30
)

// pngReader reads PNG files as pictures of side × side pixels, see reducePNG.
// limit is the largest number of pictures, 0 for all.
type pngReader struct {
	side  int
	crop  float64
	limit int
}

// errEnough ends reading at the limit.
var errEnough = errors.New("enough pictures")

// folder reads the PNG files in a folder and below, in the order of their paths;
// a folder that does not exist has none.
func (r pngReader) folder(ctx context.Context, root string) (blas32.General, error) {
	// WalkDir follows no links, so nothing outside the folder is read; the
	// folder itself may be a link.
	resolved, err := filepath.EvalSymlinks(root)
	if errors.Is(err, os.ErrNotExist) {
		return blas32.General{}, nil
	}
	if err != nil {
		return blas32.General{}, fmt.Errorf("read pictures: %w", err)
	}
	return r.decodeAll(ctx, root, func(each func(name string, content []byte) error) error {
		return filepath.WalkDir(resolved, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || !isPNG(path) {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if info.Size() > maxPNGBytes {
				return fmt.Errorf("%s has %d bytes; at most %d are read", path, info.Size(), maxPNGBytes)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return each(path, content)
		})
	})
}

// archive reads the PNG files of a gzipped tar archive, in its order. The names
// of entries are never used as paths.
func (r pngReader) archive(ctx context.Context, path string) (blas32.General, error) {
	file, err := os.Open(path)
	if err != nil {
		return blas32.General{}, fmt.Errorf("read pictures: %w", err)
	}
	defer file.Close()
	all, err := r.decodeAll(ctx, path, func(each func(name string, content []byte) error) error {
		unzipped, err := gzip.NewReader(bufio.NewReaderSize(file, 1<<20))
		if err != nil {
			return err
		}
		entries := tar.NewReader(io.LimitReader(unzipped, maxArchiveBytes))
		last := "none"
		for {
			entry, err := entries.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return fmt.Errorf("after the entry %q: %w", last, err)
			}
			last = entry.Name
			if entry.Typeflag != tar.TypeReg || !isPNG(entry.Name) {
				continue
			}
			if entry.Size > maxPNGBytes {
				return fmt.Errorf("the entry %q has %d bytes; at most %d are read", entry.Name, entry.Size, maxPNGBytes)
			}
			var content bytes.Buffer
			if _, err := io.Copy(&content, entries); err != nil {
				return fmt.Errorf("the entry %q: %w", entry.Name, err)
			}
			if err := each(entry.Name, content.Bytes()); err != nil {
				return err
			}
		}
	})
	if err == nil && all.Rows == 0 {
		err = fmt.Errorf("read pictures from %s: it holds no PNG", path)
	}
	return all, err
}

// isPNG judges by the name. Archivers leave files with a leading dot; these do
// not count.
func isPNG(name string) bool {
	base := filepath.Base(name)
	return strings.EqualFold(filepath.Ext(base), ".png") && !strings.HasPrefix(base, ".")
}

// decodeAll decodes on all cores the files that list passes to each, and keeps
// their order. The error is that of the first faulty entry.
func (r pngReader) decodeAll(ctx context.Context, from string, list func(each func(name string, content []byte) error) error) (blas32.General, error) {
	type job struct {
		index   int
		name    string
		content []byte
	}
	var (
		jobs    = make(chan job, 16)
		mu      sync.Mutex
		decoded = map[int][]float32{}
		failed  error
		first   = maxPNGCount // index of the entry that failed
		group   sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for j := range jobs {
				pixels, err := reducePNG(j.content, r.side, r.crop)
				mu.Lock()
				if err != nil && j.index < first {
					first, failed = j.index, fmt.Errorf("the entry %q: %w", j.name, err)
				}
				decoded[j.index] = pixels
				mu.Unlock()
			}
		})
	}
	count := 0
	err := list(func(name string, content []byte) error {
		mu.Lock()
		bad := failed != nil
		mu.Unlock()
		switch {
		case bad || r.limit > 0 && count == r.limit:
			return errEnough
		case count == maxPNGCount:
			return fmt.Errorf("more than %d pictures; at most that many are read", maxPNGCount)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		jobs <- job{count, name, content}
		count++
		return nil
	})
	close(jobs)
	group.Wait()
	if err == nil || errors.Is(err, errEnough) {
		err = failed
	}
	if err != nil {
		return blas32.General{}, fmt.Errorf("read pictures from %s: %w", from, err)
	}
	all := batch.New(count, 3*r.side*r.side)
	for i, pixels := range decoded {
		copy(batch.Row(all, i), pixels)
	}
	return all, nil
}
