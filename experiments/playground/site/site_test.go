package site

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cmf/data"
	"cmf/experiments/config"
)

func TestOnlyGetOnThisComputer(t *testing.T) {
	s := Site{"index.html": []byte("page"), "page.js": []byte("script")}
	for _, c := range []struct {
		method, host, path string
		status             int
	}{
		{"GET", "127.0.0.1:80", "/", 200},
		{"HEAD", "localhost", "/page.js", 200},
		{"GET", "[::1]:80", "/index.html", 200},
		{"GET", "evil.example", "/", 421},
		{"POST", "localhost", "/", 405},
		{"GET", "localhost", "/other", 404},
		{"GET", "localhost", "/../site.go", 404},
	} {
		r := httptest.NewRequest(c.method, "http://localhost/", nil)
		r.URL.Path, r.Host = c.path, c.host
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s %s of %s: status %d, want %d", c.method, c.path, c.host, w.Code, c.status)
		}
		if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "'wasm-unsafe-eval'") || strings.Contains(got, "'unsafe-") {
			t.Errorf("the policy is %q", got)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/page.js", nil))
	if got := w.Header().Get("Content-Type"); w.Body.String() != "script" || !strings.HasPrefix(got, "text/javascript") {
		t.Errorf("%q of type %q", w.Body, got)
	}
}

// The policy in the page, for other servers, is that of this one, but for what only a server can ask.
func TestPageHasThePolicy(t *testing.T) {
	page, err := static.ReadFile("static/index.html")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSuffix(policy, "; frame-ancestors 'none'"); !bytes.Contains(page, []byte(`content="`+want+`"`)) {
		t.Errorf("the page lacks the policy %q", want)
	}
}

func TestPageNamesTheSets(t *testing.T) {
	page, err := static.ReadFile("static/index.html")
	if err != nil {
		t.Fatal(err)
	}
	_, group, _ := strings.Cut(string(page), `<optgroup label="Sets of the plane">`)
	group, _, _ = strings.Cut(group, "</optgroup>")
	var names []string
	for _, m := range regexp.MustCompile(`<option>([^<]+)`).FindAllStringSubmatch(group, -1) {
		names = append(names, m[1])
	}
	if !slices.Equal(names, data.ToyNames()) {
		t.Errorf("the page has the sets %v; there are %v", names, data.ToyNames())
	}
}

func TestRefusals(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "index.html"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Site{"index.html": nil}).Write(folder); err == nil || !strings.Contains(err.Error(), "has other files") {
		t.Errorf("a folder with other files: %v", err)
	}
	execute := func(variables ...string) error {
		return Execute(context.Background(), config.Variables(variables...), nil, new(bytes.Buffer))
	}
	for want, variable := range map[string]string{
		"CMF_PORT=80: allowed are 0 and 1024 to 65535":                      "CMF_PORT=80",
		"unknown variable CMF_STEPS: known are CMF_OUT, CMF_PORT, CMF_OPEN": "CMF_STEPS=3",
		"CMF_OPEN=maybe: give true or false":                                "CMF_OPEN=maybe",
	} {
		if err := execute(variable); err == nil || err.Error() != want {
			t.Errorf("%s: %v", variable, err)
		}
	}
	// Neither a folder nor a port is found wanting after the page is compiled.
	path := os.Getenv("PATH")
	t.Setenv("PATH", t.TempDir())
	if err := execute("CMF_OUT=" + folder); err == nil || !strings.Contains(err.Error(), "has other files") {
		t.Errorf("a folder with other files: %v", err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	if err := execute("CMF_PORT=" + port); err == nil || !strings.HasPrefix(err.Error(), "CMF_PORT="+port+": ") || !strings.HasSuffix(err.Error(), "name another port, or 0 for one that is free") {
		t.Errorf("a busy port: %v", err)
	}
	t.Run("no compiler", func(t *testing.T) {
		if err := execute("CMF_PORT=0"); err == nil || !strings.Contains(err.Error(), "no Go compiler is in reach") {
			t.Error(err)
		}
	})
	t.Run("no sources", func(t *testing.T) {
		t.Setenv("PATH", path)
		t.Chdir(t.TempDir())
		if err := execute("CMF_PORT=0"); err == nil || !strings.Contains(err.Error(), "run the playground in the project's folder") {
			t.Error(err)
		}
	})
}

// A folder of an earlier playground is written again.
func TestWriteAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	for _, text := range []string{"first", "second"} {
		if err := (Site{"index.html": []byte(text), program: nil}).Write(folder); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(folder, "index.html")); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
}
