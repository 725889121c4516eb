package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var archive = bytes.Repeat([]byte("conjugate moment measures "), 4000)

func archiveSum() string { return fmt.Sprintf("%x", sha256.Sum256(archive)) }

// mirror serves the archive, whole and resumable, and records the Range headers
// of its requests.
func mirror(t *testing.T, content []byte, ranges *[]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*ranges = append(*ranges, r.Header.Get("Range"))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// cutMirror announces the whole archive and hangs up after n bytes of it.
func cutMirror(t *testing.T, n int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(archive)))
		_, _ = w.Write(archive[:n])
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func deadMirror() string {
	server := httptest.NewServer(nil)
	server.Close()
	return server.URL
}

// wantArchive checks that path holds the archive and that no part is left.
func wantArchive(t *testing.T, path string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, archive) {
		t.Errorf("got %d bytes and error %v, want the %d of the archive", len(got), err, len(archive))
	}
	if _, err := os.Stat(path + ".part"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the part is still there (%v)", err)
	}
}

func TestFetchAfterDeadMirror(t *testing.T) {
	var ranges []string
	path := filepath.Join(t.TempDir(), "folder", "archive")
	urls := []string{deadMirror(), mirror(t, archive, &ranges)}
	if err := Fetch(t.Context(), http.DefaultClient, urls, archiveSum(), path); err != nil {
		t.Fatal(err)
	}
	wantArchive(t, path)
}

func TestFetchResumes(t *testing.T) {
	var ranges []string
	path := filepath.Join(t.TempDir(), "archive")
	if err := Fetch(t.Context(), http.DefaultClient, []string{cutMirror(t, 70000)}, archiveSum(), path); err == nil {
		t.Fatal("a cut download passed")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a cut download stands under its final name (%v)", err)
	}
	part, err := os.ReadFile(path + ".part")
	if err != nil || !bytes.Equal(part, archive[:70000]) {
		t.Fatalf("the part has %d bytes (%v), want the first 70000", len(part), err)
	}
	if err := Fetch(t.Context(), http.DefaultClient, []string{mirror(t, archive, &ranges)}, archiveSum(), path); err != nil {
		t.Fatal(err)
	}
	wantArchive(t, path)
	if len(ranges) != 1 || ranges[0] != "bytes=70000-" {
		t.Errorf("asked for ranges %q, want one from byte 70000", ranges)
	}
}

// A part that does not belong to the file is removed, and the file is fetched
// from the start.
func TestFetchDropsWrongPart(t *testing.T) {
	for name, part := range map[string][]byte{
		"whole":     archive,
		"different": []byte("something else"),
		"too long":  append(bytes.Clone(archive), 'x'),
	} {
		var ranges []string
		path := filepath.Join(t.TempDir(), "archive")
		write(t, path+".part", part)
		if err := Fetch(t.Context(), http.DefaultClient, []string{mirror(t, archive, &ranges)}, archiveSum(), path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantArchive(t, path)
	}
}

// A mirror that answers a Range with the whole file replaces the part. The part
// may be shorter or longer than the file, and a sum may be known or not.
func TestFetchFromMirrorWithoutRange(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) }))
	defer server.Close()
	for _, part := range [][]byte{archive[:1000], append(bytes.Clone(archive), 'x')} {
		for _, sum := range []string{archiveSum(), ""} {
			path := filepath.Join(t.TempDir(), "archive")
			write(t, path+".part", part)
			if err := Fetch(t.Context(), http.DefaultClient, []string{server.URL}, sum, path); err != nil {
				t.Fatal(err)
			}
			wantArchive(t, path)
		}
	}
}

// A mirror that answers a Range with a different range does not corrupt the
// part.
func TestFetchFromMirrorWithWrongRange(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(archive)-1, len(archive)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(archive)
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "archive")
	write(t, path+".part", archive[:1000])
	if err := Fetch(t.Context(), http.DefaultClient, []string{server.URL}, "", path); err != nil {
		t.Fatal(err)
	}
	wantArchive(t, path)
}

func TestFetchReportsEachMirror(t *testing.T) {
	var ranges []string
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	wrong := bytes.Clone(archive)
	wrong[500] ^= 1
	urls := []string{deadMirror(), missing.URL, mirror(t, wrong, &ranges)}
	path := filepath.Join(t.TempDir(), "archive")
	err := Fetch(t.Context(), http.DefaultClient, urls, archiveSum(), path)
	if err == nil {
		t.Fatal("a file with the wrong sum passed")
	}
	for _, want := range append(urls, path, "connection refused", "404 Not Found", "sha256 is ", archiveSum()) {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	for _, left := range []string{path, path + ".part"} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left of a file with the wrong sum", left)
		}
	}
}

func TestDownloadGivesUpSilentMirrors(t *testing.T) {
	release := make(chan struct{})
	mute := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer mute.Close()
	stalled := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(archive[:50000])
		w.(http.Flusher).Flush()
		<-release
	}))
	defer stalled.Close()
	defer close(release)

	path := filepath.Join(t.TempDir(), "archive")
	d := download{client: http.DefaultClient, sum: archiveSum(), part: path + ".part", answer: 200 * time.Millisecond, pause: 200 * time.Millisecond}
	err := d.to(t.Context(), []string{mute.URL, stalled.URL}, path)
	if err == nil || strings.Count(err.Error(), "no data for 200ms") != 2 {
		t.Errorf("got error %v, want the silence of both mirrors", err)
	}
}

func TestFetchObeysContext(t *testing.T) {
	var ranges []string
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "archive")
	err := Fetch(ctx, http.DefaultClient, []string{mirror(t, archive, &ranges), "http://second.invalid"}, archiveSum(), path)
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "second.invalid") {
		t.Errorf("got error %v, want only the first mirror's, cancelled", err)
	}
	if err := Fetch(t.Context(), http.DefaultClient, nil, "", path); err == nil {
		t.Error("a download from nowhere passed")
	}
}
