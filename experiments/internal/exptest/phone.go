package exptest

import (
	"context"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPhone renders index.html of folder 390 pixels wide and fails if it is wider
// than the screen. It needs Chromium.
func TestPhone(t *testing.T, folder string) {
	t.Helper()
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
		}
	}
	if chromium == "" || testing.Short() {
		t.Log("no Chromium, or -short: the page is not rendered")
		return
	}
	text, err := os.ReadFile(filepath.Join(folder, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	// Chromium's windows are at least 500 pixels wide, but frames need not be.
	frame := `<title></title><iframe width="390" height="800" style="border: 0" srcdoc="` + html.EscapeString(string(text)) + `"></iframe>
<script>
onload = () => {
	const view = frames[0], page = view.document;
	const wide = [...page.querySelectorAll("main *")].filter(e => !e.closest(".scroll") && e.getBoundingClientRect().right > 390.5);
	document.title = ["screen", view.innerWidth, "page", page.documentElement.scrollWidth, wide.map(e => e.tagName + " " + e.className).join(", ")].join(" ");
};
</script>`
	measured := filepath.Join(t.TempDir(), "frame.html")
	if err := os.WriteFile(measured, []byte(frame), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dom, err := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir="+t.TempDir(),
		"--dump-dom", "file://"+measured).Output()
	if err != nil {
		t.Logf("%s does not run here: %v", chromium, err)
		return
	}
	title := regexp.MustCompile(`<title>(.*)</title>`).FindSubmatch(dom)
	if title == nil || strings.TrimSpace(string(title[1])) != "screen 390 page 390" {
		t.Errorf("want a page as wide as a screen of 390 pixels, got %q", title)
	}
}
