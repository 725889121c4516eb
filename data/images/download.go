package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cmf/data/file"
)

// Fetch downloads a file to path from the first mirror of urls whose content
// has the SHA-256 sum (in hexadecimal). An empty sum, for a file without a
// published one, is not checked.
//
// Content that has arrived is kept as path.part, and the next mirror or the
// next call resumes it; path itself appears only when it is whole. A mirror
// that does not answer within 4 s, or pauses for 30 s, is abandoned. The error
// lists what went wrong with each mirror. A second process that fetches into the
// same folder waits for the first, and takes the file that it finds then. A nil
// client means http.DefaultClient.
func Fetch(ctx context.Context, client *http.Client, urls []string, sum, path string) error {
	if client == nil {
		client = http.DefaultClient
	}
	return download{client: client, sum: sum, part: path + ".part", answer: 4 * time.Second, pause: 30 * time.Second}.to(ctx, urls, path)
}

// download is the download of one file. answer bounds the wait for a mirror's
// header, pause the wait at each read of its body.
type download struct {
	client        *http.Client
	sum, part     string
	answer, pause time.Duration
}

// errStale marks a failure that may come from the part that an earlier download
// left.
var errStale = errors.New("the resumed part does not fit")

func (d download) to(ctx context.Context, urls []string, path string) error {
	if len(urls) == 0 {
		return fmt.Errorf("download %s: no mirrors given", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("download %s: %w", path, err)
	}
	unlock, err := file.LockContext(ctx, filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("download %s: %w", path, err)
	}
	defer func() { _ = unlock() }()
	if d.there(path) {
		return nil
	}
	defer d.tidy()
	var failures []error
	for _, url := range urls {
		err := d.from(ctx, url)
		if errors.Is(err, errStale) {
			err = d.from(ctx, url)
		}
		if err == nil {
			if err := os.Rename(d.part, path); err != nil {
				return fmt.Errorf("download %s: %w", path, err)
			}
			return nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", url, err))
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("download %s: %w", path, errors.Join(failures...))
}

// there says whether another process has completed the file.
func (d download) there(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	if d.sum == "" {
		return true
	}
	sum, err := sumOf(f)
	return err == nil && sum == strings.ToLower(d.sum)
}

// tidy removes a part that is empty.
func (d download) tidy() {
	if info, err := os.Stat(d.part); err == nil && info.Size() == 0 {
		_ = os.Remove(d.part)
	}
}

// from completes the part with the content of one mirror and checks its sum. A
// part with a wrong sum is removed.
func (d download) from(ctx context.Context, url string) error {
	file, err := os.OpenFile(d.part, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	defer file.Close()
	offset, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := d.receive(ctx, url, file, offset); err != nil {
		return err
	}
	got, err := sumOf(file)
	if err != nil {
		return err
	}
	if d.sum != "" && got != strings.ToLower(d.sum) {
		err := fmt.Errorf("sha256 is %s; it must be %s", got, d.sum)
		return errors.Join(d.drop(offset, err), file.Close())
	}
	return errors.Join(file.Sync(), file.Close())
}

// receive appends the content of url to file, starting at offset.
func (d download) receive(ctx context.Context, url string, file *os.File, offset int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := d.answer
	silence := time.AfterFunc(limit, func() { cancel(fmt.Errorf("no data for %v", limit)) })
	defer silence.Stop()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// Without this a server may declare the archive's own gzip as an encoding
	// for transport, and the client would unpack it.
	request.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := d.client.Do(request)
	if err != nil {
		return because(ctx, err)
	}
	defer response.Body.Close()

	switch response.StatusCode {
	case http.StatusPartialContent:
		if start := fmt.Sprintf("bytes %d-", offset); !strings.HasPrefix(response.Header.Get("Content-Range"), start) {
			return d.drop(offset, fmt.Errorf("Content-Range is %q; it must start with %q", response.Header.Get("Content-Range"), start))
		}
	case http.StatusOK:
		// This mirror does not resume: it sends the file from the start.
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := file.Truncate(0); err != nil {
			return err
		}
	case http.StatusRequestedRangeNotSatisfiable:
		// Nothing is left to send: the part is whole, or longer than the file.
		if d.sum != "" {
			return nil
		}
		return d.drop(offset, errors.New(response.Status))
	default:
		return errors.New(response.Status)
	}
	limit = d.pause
	_, err = io.Copy(file, readerFunc(func(p []byte) (int, error) {
		silence.Reset(d.pause)
		return response.Body.Read(p)
	}))
	if err != nil {
		return because(ctx, err)
	}
	return nil
}

// drop removes a part that is wrong for the given reason. If its first bytes,
// offset of them, came from an earlier download, the reason is errStale too.
func (d download) drop(offset int64, reason error) error {
	if err := os.Remove(d.part); err != nil {
		return errors.Join(reason, err)
	}
	if offset > 0 {
		return fmt.Errorf("%w: %w", errStale, reason)
	}
	return reason
}

// because returns the reason why ctx was cancelled, or err if it was not.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func sumOf(file *os.File) (string, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
