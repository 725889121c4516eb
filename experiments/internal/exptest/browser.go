package exptest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Browser is a tab of Chromium without a window.
type Browser struct {
	t   *testing.T
	ctx context.Context

	lock     sync.Mutex
	troubles []string
}

// chromium is the program of CHROME, or one of the path; empty if there is none.
func chromium() string {
	for _, name := range []string{os.Getenv("CHROME"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && name != "" {
			return path
		}
	}
	return ""
}

// NewBrowser opens an empty tab. Without Chromium, or where that does not run, the test is
// skipped.
func NewBrowser(t *testing.T) *Browser {
	t.Helper()
	path := chromium()
	if path == "" {
		t.Skip("no Chromium: set CHROME to its path, or install chromium")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // as root Chromium has none
	}
	limited, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	allocator, cancel := chromedp.NewExecAllocator(limited, options...)
	t.Cleanup(cancel)
	b := &Browser{t: t}
	b.ctx, cancel = chromedp.NewContext(allocator, chromedp.WithListener(b.hear))
	t.Cleanup(cancel)
	if err := chromedp.Do(b.ctx); err != nil {
		t.Skipf("%s does not run here: %v", path, err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	return b
}

// hear notes requests that fail, errors on the console, and scripts that end by one.
func (b *Browser) hear(event any) {
	trouble := ""
	switch e := event.(type) {
	case *network.EventLoadingFailed:
		trouble = "request failed: " + e.ErrorText
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			trouble = fmt.Sprintf("%s: status %d", e.Response.URL, e.Response.Status)
		}
	case *log.EventEntryAdded:
		trouble = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *runtime.EventExceptionThrown:
		trouble = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		trouble = fmt.Sprintf("console.%s", e.Type)
	}
	if trouble != "" {
		b.lock.Lock()
		defer b.lock.Unlock()
		b.troubles = append(b.troubles, trouble)
	}
}

// Troubles are failed requests and messages on the console so far.
func (b *Browser) Troubles() []string {
	b.lock.Lock()
	defer b.lock.Unlock()
	return slices.Clone(b.troubles)
}

func call[P, R any](b *Browser, command cdp.Command[P, R], parameters P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, parameters); err != nil {
		b.t.Fatal(err)
	}
}

func do[T any](b *Browser, action chromedp.Action[T]) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// Open goes to an address on a screen of some width, with light or dark colours.
func (b *Browser) Open(url string, width int, dark bool) {
	b.t.Helper()
	colours := map[bool]string{false: "light", true: "dark"}[dark]
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: colours}}})
	do(b, chromedp.EmulateViewport(int64(width), 900))
	do(b, chromedp.Navigate(url))
}

// OpenPage opens index.html of a folder as a file.
func (b *Browser) OpenPage(folder string, width int, dark bool) {
	b.t.Helper()
	path, err := filepath.Abs(filepath.Join(folder, "index.html"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.Open("file://"+filepath.ToSlash(path), width, dark)
}

// Eval is the value of a JavaScript expression.
func Eval[T any](b *Browser, expression string) (value T) {
	b.t.Helper()
	text := do(b, chromedp.Evaluate[string]("JSON.stringify("+expression+") ?? 'null'"))
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		b.t.Fatalf("%s is %s: %v", expression, text, err)
	}
	return value
}

// Await waits until a JavaScript expression is true.
func (b *Browser) Await(expression string) {
	b.t.Helper()
	do(b, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(5*time.Minute)))
}

// Press presses a key on the focused element.
func (b *Browser) Press(key string) {
	b.t.Helper()
	do(b, chromedp.KeyEvent(key))
}

// Drag draws with the mouse from one place of the window to the next.
func (b *Browser) Drag(places ...[2]float64) {
	b.t.Helper()
	for k, at := range places {
		mouse := input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: at[0], Y: at[1], Button: input.MouseButtonLeft, Buttons: 1}
		if k == 0 {
			mouse.Type, mouse.ClickCount = input.DispatchMouseEventTypeMousePressed, 1
		}
		call(b, input.DispatchMouseEvent, mouse)
		if k == len(places)-1 {
			mouse.Type, mouse.Buttons, mouse.ClickCount = input.DispatchMouseEventTypeMouseReleased, 0, 1
			call(b, input.DispatchMouseEvent, mouse)
		}
	}
}

// Downloads has the browser save files that a page offers in a folder of the test.
func (b *Browser) Downloads() (folder string) {
	b.t.Helper()
	folder = b.t.TempDir()
	call(b, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: folder})
	return folder
}

// Picture leaves a picture of the whole page in the folder of Gallery.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	folder := os.Getenv("CMF_TEST_FIGURES")
	if folder == "" {
		return
	}
	picture := do(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(folder, name), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// TooWide are the elements of the page, outside of what scrolls, that reach beyond its right
// edge; the page itself if it can be scrolled sideways.
func (b *Browser) TooWide() []string {
	b.t.Helper()
	return Eval[[]string](b, `(() => {
		const edge = document.documentElement.clientWidth;
		const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, .plate, .hidden, .skip, thead, pre") && e.getBoundingClientRect().right > edge + .5);
		const all = wide.map(e => e.tagName + " " + e.className);
		if (document.documentElement.scrollWidth > edge) all.push("the page: " + document.documentElement.scrollWidth);
		return all;
	})()`)
}

// TestPage opens index.html of a folder at the widths of a desk and of a phone, light and
// dark, and fails if it is too wide or not quiet. Pictures go to the gallery. It is skipped
// under -short.
func TestPage(t *testing.T, folder, name string) {
	t.Helper()
	t.Run("in a browser", func(t *testing.T) {
		if testing.Short() {
			t.Skip("-short")
		}
		b := NewBrowser(t)
		for _, width := range []int{1280, 390} {
			for _, dark := range []bool{false, true} {
				b.OpenPage(folder, width, dark)
				if wide := b.TooWide(); len(wide) > 0 {
					t.Errorf("wider than %d pixels: %q", width, wide)
				}
				if lost := Eval[[]string](b, `[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt)`); len(lost) > 0 {
					t.Errorf("pictures that are not shown: %q", lost)
				}
				b.Picture(fmt.Sprintf("%s-%d-%s.png", name, width, map[bool]string{false: "light", true: "dark"}[dark]))
			}
		}
		if troubles := b.Troubles(); len(troubles) > 0 {
			t.Errorf("troubles: %q", troubles)
		}
	})
}
