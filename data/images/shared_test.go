package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// slow sends a body in pieces, some of them late.
type slow struct{ http.ResponseWriter }

func (s slow) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), 1<<15)
		m, err := s.ResponseWriter.Write(p[:k])
		if n += m; err != nil {
			return n, err
		}
		s.ResponseWriter.(http.Flusher).Flush()
		p = p[k:]
		time.Sleep(time.Millisecond)
	}
	return n, nil
}

// Several processes that fetch one file at once all get it, and one of them downloads it.
func TestFetchIsShared(t *testing.T) {
	body := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(body)
	sum := sha256.Sum256(body)
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.ServeContent(slow{w}, r, "x", time.Unix(1, 0), bytes.NewReader(body))
	}))
	defer s.Close()
	for k := range 3 {
		for _, checked := range []string{hex.EncodeToString(sum[:]), ""} {
			path := filepath.Join(t.TempDir(), "folder", "x")
			asked.Store(0)
			errs := make(chan error, 3)
			for i := range 3 {
				go func() {
					time.Sleep(time.Duration(i*k) * 10 * time.Millisecond)
					errs <- Fetch(context.Background(), nil, []string{s.URL, s.URL}, checked, path)
				}()
			}
			for range 3 {
				if err := <-errs; err != nil {
					t.Errorf("%d ms apart: %v", k*10, err)
				}
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, body) || asked.Load() != 1 {
				t.Errorf("%d ms apart: %d bytes, %v, downloaded %d times", k*10, len(got), err, asked.Load())
			}
			if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
				t.Errorf("left are %v", entries)
			}
		}
	}
}

// A download without an answer leaves no file.
func TestFailedFetchLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := Fetch(t.Context(), nil, []string{"http://127.0.0.1:1/x"}, "", filepath.Join(dir, "x")); err == nil {
		t.Error("no error")
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left are %v", entries)
	}
}
