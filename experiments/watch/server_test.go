package watch

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secret = "what no browser may see"

// serve serves a page and a folder with a file, a file that is not listed, a file beside the
// folder, and links to these.
func serve(t *testing.T) *Server {
	t.Helper()
	top := t.TempDir()
	folder := filepath.Join(top, "run")
	for path, text := range map[string]string{
		"run/a b.csv": "1,<script>alert(1)</script>\n", "run/part/x.png": "PNG", "run/model.onnx": "ONNX", "run/page.svg": "<svg/>",
		"run/other.txt": secret, "outside.txt": secret,
	} {
		path = filepath.Join(top, filepath.FromSlash(path))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	links := errors.Join(os.Symlink("../outside.txt", filepath.Join(folder, "link.txt")), os.Symlink("..", filepath.Join(folder, "up")), os.Symlink("other.txt", filepath.Join(folder, "inner.txt")))
	if links != nil {
		t.Logf("no links here: %v", links)
	}
	s, err := Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	listed := map[string]bool{"a b.csv": true, "part/x.png": true, "model.onnx": true, "page.svg": true, "link.txt": true, "up/outside.txt": true, "inner.txt": true, "part": true, "../outside.txt": true, "gone.txt": true}
	s.Show(Site{Folder: folder, Files: listed, Page: func() ([]byte, error) { return []byte("<p>the page"), nil }})
	return s
}

// ask sends a request as it stands, which a client of net/http would tidy.
func ask(t *testing.T, s *Server, method, target, host string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := &http.Request{Method: method, Host: host, Header: http.Header{"Connection": {"close"}}}
	if _, err := io.WriteString(conn, method+" "+target+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// The page and listed files are served, each as what it is; nothing else is.
func TestServerServesWhatIsListed(t *testing.T) {
	s := serve(t)
	for target, want := range map[string]struct{ kind, body string }{
		"/":           {"text/html; charset=utf-8", "<p>the page"},
		"/?1":         {"text/html; charset=utf-8", "<p>the page"},
		"/a%20b.csv":  {"text/plain; charset=utf-8", "1,<script>alert(1)</script>\n"},
		"/part/x.png": {"image/png", "PNG"},
		"/model.onnx": {"application/octet-stream", "ONNX"},
		"/page.svg":   {"image/svg+xml", "<svg/>"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			answer, body := ask(t, s, method, target, "localhost:1")
			if method == "HEAD" {
				want.body = ""
			}
			if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != want.kind || body != want.body {
				t.Errorf("%s %s: %s, %s, %q; want %v", method, target, answer.Status, answer.Header.Get("Content-Type"), body, want)
			}
		}
	}
	for _, target := range []string{
		"/other.txt", "/link.txt", "/inner.txt", "/up/outside.txt", "/gone.txt", "/part", "/part/", "/../outside.txt", "/%2e%2e/outside.txt", "/..%2foutside.txt",
		"/part/../other.txt", "/part/..%2f..%2foutside.txt", "//a%20b.csv", "/./a%20b.csv", "/%00", "/a%20b.csv%00", `/..\outside.txt`, "/index.html", "/.files",
	} {
		answer, body := ask(t, s, "GET", target, "localhost")
		if answer.StatusCode != 404 && answer.StatusCode != 400 || strings.Contains(body, secret) {
			t.Errorf("%s: %s, %q", target, answer.Status, body)
		}
	}
}

// Every answer carries the headers that keep browsers from taking it for something else.
func TestServerHeaders(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		method, target, host string
		status               int
	}{
		{"GET", "/", "127.0.0.1:9", 200}, {"GET", "/", "[::1]:9", 200}, {"GET", "/", "LOCALHOST", 200}, {"GET", "/x", "localhost", 404},
		{"POST", "/", "localhost", 405}, {"DELETE", "/a%20b.csv", "localhost", 405}, {"OPTIONS", "/", "localhost", 405},
		{"GET", "/", "evil.example", 421}, {"GET", "/", "localhost.evil.example", 421}, {"GET", "/", "192.0.2.1", 421}, {"GET", "/a%20b.csv", "evil.example:80", 421}, {"GET", "/", "", 421},
	} {
		answer, body := ask(t, s, c.method, c.target, c.host)
		if answer.StatusCode != c.status || c.status != 200 && (strings.Contains(body, "the page") || strings.Contains(body, "alert")) {
			t.Errorf("%s %s of %q: %s, want %d; %q", c.method, c.target, c.host, answer.Status, c.status, body)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "no-referrer",
		} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s %s of %q: %s is %q, want %q", c.method, c.target, c.host, name, got, want)
			}
		}
		if policy := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "script-src 'unsafe") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("policy %q", policy)
		}
	}
}

// Without a host the server is this computer's alone; a port in use is an error.
func TestListen(t *testing.T) {
	s := serve(t)
	address := s.listener.Addr().(*net.TCPAddr)
	if !address.IP.IsLoopback() || !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
		t.Errorf("listens at %v, %s", address, s.URL())
	}
	if _, err := Listen(address.String()); err == nil {
		t.Error("a port in use: no error")
	}
	all, err := Listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close(t.Context())
	if answer, _ := ask(t, all, "GET", "/", "a.name.of.this.computer"); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("before anything is shown, under any name: %s", answer.Status)
	}
}
