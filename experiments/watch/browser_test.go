package watch_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/fit"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/internal/outcome"
	"cmf/experiments/internal/plane"
	"cmf/experiments/run"

	"github.com/chromedp/chromedp/kb"
)

// output takes what a run writes, for other goroutines.
type output struct {
	lock sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.text.Write(p)
}

// address is where the run may be followed, once it has said so.
func (o *output) address() string {
	o.lock.Lock()
	defer o.lock.Unlock()
	return string(regexp.MustCompile(`http://\S+/`).Find(o.text.Bytes()))
}

// A run is watched from its first steps to its end. It leaves the same bits, and the same
// files, as a run that nobody watches.
func TestWatchedRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	b := exptest.NewBrowser(t)
	const steps = "CMF_STEPS=60"
	alone, err := plane.Run(t, steps)
	if err != nil {
		t.Fatal(err)
	}
	var out output
	shownAt := func(step int) func() { // waits until the browser shows the step
		return func() { b.Await(fmt.Sprintf("document.querySelector('progress')?.value >= %d", step)) }
	}
	curve := func() int {
		return exptest.Eval[int](b, `document.querySelector(".lead svg.chart").dataset.x.split(" ").length`)
	}
	pause := func() { time.Sleep(time.Second) } // longer than between two states that are shown
	first := 0
	ctx := fit.WithHooks(t.Context(),
		plane.At(10, pause), plane.At(11, func() {
			b.Open(out.address(), 1280, false)
			shownAt(11)()
			first = curve()
			// a reader opens a fold and stands on a curve
			exptest.Eval[any](b, `(document.querySelector("#about details").open = true, document.querySelector(".lead svg.chart").focus())`)
			b.Press(kb.Home)
		}),
		plane.At(40, pause), plane.At(41, func() {
			shownAt(41)()
			if last := curve(); last <= first {
				t.Errorf("the curve has %d points, %d steps before %d", last, 30, first)
			}
			if open := exptest.Eval[bool](b, `document.querySelector("#about details").open`); !open {
				t.Error("what the reader opened was folded")
			}
			if at := exptest.Eval[string](b, `document.activeElement.getAttribute("aria-valuetext")`); !strings.HasPrefix(at, "step 1: ") {
				t.Errorf("the reader stands at %q, %s", at, exptest.Eval[string](b, `document.activeElement.outerHTML.slice(0, 300)`))
			}
			b.Picture("live.png")
		}),
	)
	watched, err := run.Execute(ctx, plane.Moons, config.Variables("CMF_OUT="+t.TempDir(), steps, "CMF_WATCH=127.0.0.1:0"), nil, &out)
	if err != nil {
		t.Fatal(err)
	}
	b.Await(`!document.body.hasAttribute("data-live")`)
	if status := exptest.Eval[string](b, `document.querySelector("#news").textContent`); !strings.Contains(status, "The run has ended") {
		t.Errorf("at the end the browser says %q", status)
	}
	if found, err := outcome.Differences(alone.Folder, watched.Folder); err != nil || len(found) > 0 {
		t.Errorf("the watched run differs: %q, error %v", found, err)
	}
	if troubles := b.Troubles(); len(troubles) > 0 {
		t.Errorf("troubles: %q", troubles)
	}
	if a, b := names(t, alone.Folder), names(t, watched.Folder); !slices.Equal(a, b) {
		t.Errorf("files %q, and of the watched run %q", a, b)
	}
	for _, file := range []string{"config.env", "report.json", "checkpoint.safetensors"} {
		text, err := os.ReadFile(watched.Path(file))
		if err != nil || bytes.Contains(text, []byte("CMF_WATCH")) {
			t.Errorf("%s records that the run was watched, or %v", file, err)
		}
	}
}

// names are the files of a folder but for those of TensorBoard, whose names are times.
func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "events.") {
			all = append(all, e.Name())
		}
	}
	return all
}

// The page that a run leaves is one file, on which curves are read by pointer and keys.
func TestPageIsRead(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	r, err := plane.Run(t, "CMF_STEPS=30")
	if err != nil {
		t.Fatal(err)
	}
	alone := t.TempDir() // without the other files
	text, err := os.ReadFile(r.Path("index.html"))
	if err == nil {
		err = os.WriteFile(filepath.Join(alone, "index.html"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	exptest.TestPage(t, alone, "moons")
	b := exptest.NewBrowser(t)
	b.OpenPage(alone, 390, false)
	exptest.Eval[any](b, `document.querySelector(".lead svg.chart").focus()`)
	reading := func() string {
		return exptest.Eval[string](b, `document.querySelector(".lead .reading strong").textContent`)
	}
	last := reading()
	for _, c := range []struct{ key, step string }{{kb.Home, "1"}, {kb.ArrowRight, "2"}, {kb.ArrowRight, "3"}, {kb.ArrowLeft, "2"}, {kb.End, "30"}} {
		b.Press(c.key)
		if got := reading(); !strings.HasPrefix(got, "step "+c.step+": ") {
			t.Errorf("after a key the reading is %q, want step %s", got, c.step)
		}
	}
	if got := reading(); got != "step 30: "+last {
		t.Errorf("the last reading is %q, and without one %q", got, last)
	}
	b.Press(kb.Escape)
	if got := reading(); got != last {
		t.Errorf("after Escape the reading is %q, want %q", got, last)
	}
	exptest.Eval[any](b, `(() => {
		const svg = document.querySelector(".curves svg.chart"), box = svg.getBoundingClientRect();
		svg.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, pointerType: "touch", clientX: box.left + 1, clientY: box.top + 5 }));
	})()`)
	if got := exptest.Eval[string](b, `document.querySelector(".curves .reading strong").textContent`); !strings.HasPrefix(got, "step 1: ") {
		t.Errorf("touched at its left end a curve says %q", got)
	}
	if troubles := b.Troubles(); len(troubles) > 0 {
		t.Errorf("troubles: %q", troubles)
	}
}
