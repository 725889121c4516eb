package site

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"path"
	"strings"
	"time"

	"cmf/experiments/watch"
)

// policy is the content security policy of the page: everything is its own, and WebAssembly may
// be compiled. The worker of the learning has it from its response.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".gz": "application/gzip", ".wasm": "application/wasm",
}

// ServeHTTP answers, by GET and HEAD alone, with the page as "/" and the files by their names.
// It answers only to names of this computer, so that no page of another site can use it.
func (s Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-cache")
	if !watch.Admit(w, r, policy, watch.ThisComputer) {
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	text, ok := s[name]
	if !ok {
		http.Error(w, "the playground has no such file", http.StatusNotFound)
		return
	}
	head.Set("Content-Type", kinds[path.Ext(name)])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// Serve serves the site until ctx ends.
func (s Site) Serve(ctx context.Context, listener net.Listener) error {
	const patience = 10 * time.Second
	server := &http.Server{Handler: s, ReadHeaderTimeout: patience, WriteTimeout: 60 * patience, IdleTimeout: 6 * patience, MaxHeaderBytes: 1 << 14}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
