// Package watch serves the page of a run to a browser while the run goes on.
package watch

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cmf/experiments/report"
)

// Site is what a server shows at one moment.
type Site struct {
	Folder string
	Files  map[string]bool        // the files of the folder that may be read, by their paths in it
	Page   func() ([]byte, error) // called whenever a browser asks, from other goroutines
	Done   bool                   // the page will not change any more
}

// Server serves, by GET and HEAD alone, the page of the last Site as "/" and its files by
// their names. It follows no link out of the folder. If it listens on this computer alone, it
// answers only to names of this computer, so that no page of another site can read it under a
// name of its own.
type Server struct {
	listener net.Listener
	server   *http.Server
	host     string // as it was named; empty for none

	lock  sync.Mutex
	site  *Site
	asked atomic.Int64 // when the page was last asked for, in nanoseconds
}

// Listen serves at HOST:PORT, or on this computer alone if there is no host. Port 0 is one
// that is free.
func Listen(address string) (*Server, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s := &Server{host: host}
	if host == "" {
		host = "127.0.0.1"
	}
	if s.listener, err = net.Listen("tcp", net.JoinHostPort(host, port)); err != nil {
		return nil, err
	}
	const patience = 10 * time.Second
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: patience, WriteTimeout: 60 * patience, IdleTimeout: 6 * patience, MaxHeaderBytes: 1 << 14}
	go func() { _ = s.server.Serve(s.listener) }() // its error is that the server was closed
	return s, nil
}

// URL is where a browser of this computer finds the page.
func (s *Server) URL() string {
	address := s.listener.Addr().(*net.TCPAddr)
	host := s.host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("http://%s/", net.JoinHostPort(host, fmt.Sprint(address.Port)))
}

// Show replaces what is shown.
func (s *Server) Show(site Site) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.site = &site
}

// every is how often, at the least, an open page asks for itself.
const every = time.Second

// Close ends the server. Where pages are open that are not Done, it first gives them time to
// ask once more, unless ctx ends.
func (s *Server) Close(ctx context.Context) error {
	s.lock.Lock()
	done := s.site != nil && s.site.Done
	s.lock.Unlock()
	if done && time.Since(time.Unix(0, s.asked.Load())) < 3*every {
		select {
		case <-time.After(every * 3 / 2):
		case <-ctx.Done():
		}
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), every)
	defer cancel()
	if err := s.server.Shutdown(soon); err != nil {
		return s.server.Close()
	}
	return nil
}

// Admit sets the headers that keep a page and its files to themselves, with the content security
// policy, and says whether a request may be answered: by GET and HEAD alone, and to a name of this
// server. Otherwise it has answered.
func Admit(w http.ResponseWriter, r *http.Request, policy string, answersTo func(host string) bool) bool {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Security-Policy", policy)
	head.Set("Cross-Origin-Resource-Policy", "same-origin")
	head.Set("Referrer-Policy", "no-referrer")
	switch {
	case !answersTo(r.Host):
		http.Error(w, "this server does not answer to that name", http.StatusMisdirectedRequest)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
	default:
		return true
	}
	return false
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	if !Admit(w, r, report.Policy+"; frame-ancestors 'none'", s.answersTo) {
		return
	}
	s.lock.Lock()
	site := s.site
	s.lock.Unlock()
	switch {
	case site == nil:
		head.Set("Retry-After", "1")
		http.Error(w, "the run has not begun", http.StatusServiceUnavailable)
	case r.URL.Path == "/":
		site.servePage(w, r, &s.asked)
	default:
		site.serveFile(w, r)
	}
}

// answersTo says whether a request's Host may name this server.
func (s *Server) answersTo(host string) bool {
	if address := s.listener.Addr().(*net.TCPAddr); !address.IP.IsLoopback() {
		return true
	}
	return ThisComputer(host) || strings.EqualFold(withoutPort(host), s.host) && s.host != ""
}

// ThisComputer says whether a request's Host names this computer as it alone does.
func ThisComputer(host string) bool {
	host = withoutPort(host)
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func withoutPort(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

func (s *Site) servePage(w http.ResponseWriter, r *http.Request, asked *atomic.Int64) {
	if !s.Done {
		asked.Store(time.Now().UnixNano())
	}
	text, err := s.Page()
	if err != nil {
		http.Error(w, "the page cannot be shown just now: "+report.Plain(err.Error()), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(text) // the browser may have gone
	}
}

// kinds are the media types of files; others are offered for download.
var kinds = map[string]string{
	".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8",
	".json": "application/json", ".jsonl": "text/plain; charset=utf-8", ".csv": "text/plain; charset=utf-8",
	".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8", ".env": "text/plain; charset=utf-8",
}

func (s *Site) serveFile(w http.ResponseWriter, r *http.Request) {
	opened, err := s.open(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.Error(w, "the run has no such file", http.StatusNotFound)
		return
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.Error(w, "the run has no such file", http.StatusNotFound)
		return
	}
	kind, shown := kinds[path.Ext(r.URL.Path)]
	if !shown {
		kind = "application/octet-stream"
		w.Header().Set("Content-Disposition", "attachment")
	}
	w.Header().Set("Content-Type", kind)
	http.ServeContent(w, r, "", info.ModTime(), opened)
}

// open opens a file that may be read: one that is listed and is no link. os.Root refuses
// what leads out of the folder.
func (s *Site) open(name string) (*os.File, error) {
	if !s.Files[name] {
		return nil, os.ErrNotExist
	}
	root, err := os.OpenRoot(s.Folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, os.ErrNotExist
	}
	return root.Open(filepath.FromSlash(name))
}
