package site_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cmf/data"
	"cmf/data/table"
	"cmf/experiments"
	"cmf/experiments/config"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/metric"
	"cmf/experiments/playground/site"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"github.com/chromedp/chromedp/kb"
	"gonum.org/v1/gonum/blas/blas32"
)

// playing is the page in a browser.
type playing struct {
	*exptest.Browser
	t         *testing.T
	url       string
	downloads string
}

// built is the page, compiled once for all tests.
var built = sync.OnceValues(func() (site.Site, error) { return site.Build(context.Background()) })

// play opens the browser, with the page from a server that knows nothing of it, or from its own.
func play(t *testing.T, own bool) *playing {
	if testing.Short() {
		t.Skip("-short")
	}
	b := exptest.NewBrowser(t)
	s, err := built()
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, text := range s {
		size += len(text)
	}
	if size > 6e6 {
		t.Errorf("the page has %d bytes; allowed are 6 MB", size)
	}
	handler := http.Handler(s)
	if !own {
		folder := filepath.Join(t.TempDir(), "site")
		if err := s.Write(folder); err != nil {
			t.Fatal(err)
		}
		handler = http.FileServerFS(os.DirFS(folder))
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &playing{b, t, server.URL + "/", b.Downloads()}
}

func (p *playing) phase(name string) {
	p.t.Helper()
	p.Await(`document.body.dataset.phase === "` + name + `"`)
}

func (p *playing) press(id string) {
	p.t.Helper()
	exptest.Eval[any](p.Browser, `document.getElementById("`+id+`").click()`)
}

func (p *playing) choose(id, value string) {
	p.t.Helper()
	got := exptest.Eval[string](p.Browser, fmt.Sprintf(`(e => { e.value = %q; e.dispatchEvent(new Event("change")); return e.value; })(document.getElementById(%q))`, value, id))
	if got != value {
		p.t.Fatalf("%s has no choice %q", id, value)
	}
}

func (p *playing) number(name string) float64 {
	p.t.Helper()
	return exptest.Eval[float64](p.Browser, `Number(document.body.dataset.`+name+` ?? 0)`)
}

// download waits for a file.
func (p *playing) download(name string) string {
	p.t.Helper()
	path := filepath.Join(p.downloads, name)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return path
		}
	}
	p.t.Fatalf("%s is not downloaded", name)
	return ""
}

// coloured is the share of a picture's pixels that are neither blank nor grey.
func (p *playing) coloured(id string) float64 {
	p.t.Helper()
	return exptest.Eval[float64](p.Browser, `(c => {
		const copy = new OffscreenCanvas(c.width, c.height).getContext("2d", { willReadFrequently: true });
		copy.drawImage(c, 0, 0);
		const p = copy.getImageData(0, 0, c.width, c.height).data;
		let n = 0;
		for (let i = 0; i < p.length; i += 4) if (p[i + 3] > 100 && Math.max(p[i], p[i + 1], p[i + 2]) - Math.min(p[i], p[i + 1], p[i + 2]) > 60) n++;
		return 4 * n / p.length;
	})(document.getElementById("`+id+`"))`)
}

// moons is how far points are from moons over how far moons are from moons, by the exact W2.
func moons(t *testing.T, x blas32.General) float64 {
	t.Helper()
	set, err := data.Toy("moons")
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	var distance, floor float64
	for k := range x.Rows / n {
		truth, other := set.Sample(random.New(1, "held out", uint64(k)), n), set.Sample(random.New(1, "floor", uint64(k)), n)
		for _, m := range []struct {
			points blas32.General
			sum    *float64
		}{{batch.Rows(x, k*n, (k+1)*n), &distance}, {other, &floor}} {
			w2, err := metric.ExactW2(m.points, truth)
			if err != nil {
				t.Fatal(err)
			}
			*m.sum += w2
		}
	}
	return distance / floor
}

func read(t *testing.T, path string) blas32.General {
	t.Helper()
	in, _, err := table.Read(path, table.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := in.Batch()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// The page learns moons, shows particles and points, takes another loss on the way, and what it
// gives away, points and model, follows the law of the data.
func TestLearnsInABrowser(t *testing.T) {
	p := play(t, false)
	p.Open(p.url+"#steps=300&width=32", 1280, false)
	p.phase("idle")
	t.Logf("ready after %.0f ms", p.number("ready"))
	if p.coloured("data") > 0 {
		t.Error("points are shown before anything is learned")
	}
	p.press("learn")
	p.Await(`Number(document.body.dataset.step) >= 40`)
	p.choose("loss", "dual+0.1*moments")
	p.Await(`document.body.dataset.swapped === "dual+0.1*moments"`)
	frames, start := p.number("frames"), time.Now()
	p.Await(`Number(document.body.dataset.step) >= 80`)
	t.Logf("%.0f frames a second", (p.number("frames")-frames)/time.Since(start).Seconds())
	p.choose("loss", "dual")
	p.Picture("playground-learning.png")
	p.phase("finished")
	for _, id := range []string{"data", "noise", "map", "density"} {
		if share := p.coloured(id); share < .005 {
			t.Errorf("%.4f of the picture %s is coloured", share, id)
		}
	}
	p.Picture("playground-1280-light.png")
	p.press("samples")
	drawn := read(t, p.download("samples.csv"))
	if ratio := moons(t, drawn); drawn.Rows != 2000 || !(ratio <= 1.4) {
		t.Errorf("%d points at W2 of %.2f times the floor", drawn.Rows, ratio)
	} else {
		t.Logf("W2 of %.2f times the floor", ratio)
	}
	p.press("model")
	folder := t.TempDir()
	env := config.Variables("CMF_CHECKPOINT="+p.download("checkpoint.safetensors"), "CMF_COUNT=2000", "CMF_MIXING=100", "CMF_OUT="+folder)
	if _, err := run.Execute(t.Context(), experiments.Generate, env, nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	if ratio := moons(t, read(t, filepath.Join(folder, "samples.npy"))); !(ratio <= 1.4) {
		t.Errorf("generate draws points at W2 of %.2f times the floor", ratio)
	}
	p.quiet()
}

// An energy is learned, and on the line the potential comes to the fixed point; nothing is too
// wide for a phone.
func TestOtherTabs(t *testing.T) {
	p := play(t, false)
	p.Open(p.url+"#steps=300&batch=64&width=16&tab=energy&bumps=-1,0,0.4,1,0.5,0.3", 1280, false)
	p.phase("idle")
	p.Await(`document.body.dataset.distance`)
	before := p.number("distance")
	p.press("learn")
	p.phase("finished")
	if after := p.number("distance"); !(after < before/2) || p.coloured("data") < .005 {
		t.Errorf("the images of the particles are at a distance of %.3f; before learning it was %.3f", after, before)
	}
	p.Picture("playground-energy.png")
	box := exptest.Eval[[4]float64](p.Browser, `(e => (e.scrollIntoView({ block: "center" }), (b => [b.left, b.top, b.width, b.height])(e.getBoundingClientRect())))(document.getElementById("data"))`)
	x, y := box[0]+box[2]/4, box[1]+box[3]/4
	p.Drag([2]float64{x, y}, [2]float64{x + box[2]/20, y}, [2]float64{x + box[2]/10, y})
	p.Await(`location.hash.includes(encodeURIComponent("-1,0,0.4,1,0.5,0.3,"))`)
	p.phase("idle")

	p.press("tab-line")
	p.phase("idle")
	p.Await(`document.body.dataset.uvp`)
	first := p.number("uvp")
	p.press("learn")
	p.phase("finished")
	if last := p.number("uvp"); !(last < first/4) {
		t.Errorf("the unexplained variance went from %.2f %% to %.2f %%", first, last)
	}
	for _, dark := range []bool{false, true} {
		link := exptest.Eval[string](p.Browser, `location.href`)
		p.Open("about:blank", 390, dark)
		p.Open(link, 390, dark)
		p.phase("idle")
		if wide := p.TooWide(); len(wide) > 0 {
			t.Errorf("wider than a phone: %q", wide)
		}
		p.Picture(fmt.Sprintf("playground-line-390-%t.png", dark))
	}
	p.quiet()
}

// quiet fails if a request has failed or the console has a message.
func (p *playing) quiet() {
	p.t.Helper()
	if troubles := p.Troubles(); len(troubles) > 0 {
		p.t.Errorf("troubles: %q", troubles)
	}
}

// Points drawn by the mouse are learned, and the link holds them; on a phone nothing is too wide.
func TestDrawnPointsAreLearned(t *testing.T) {
	p := play(t, false)
	p.Open(p.url+"#set=drawing&steps=300&batch=64&width=32&seed=7", 1280, false)
	p.phase("empty")
	p.Await(`document.getElementById("seed").disabled === false`)
	box := exptest.Eval[[4]float64](p.Browser, `(b => [b.left, b.top, b.width, b.height])(document.getElementById("data").getBoundingClientRect())`)
	if box[1] > 700 {
		t.Fatalf("the picture to draw on begins at %v", box)
	}
	for _, side := range []float64{-1, 1} { // two arcs
		var way [][2]float64
		for k := range 20 {
			a := math.Pi * (float64(k)/19 - .5)
			way = append(way, [2]float64{box[0] + box[2]*(.5+side*(.08+.2*math.Cos(a))), box[1] + box[3]*(.25+.1*math.Sin(a))})
		}
		p.Drag(way...)
	}
	p.phase("idle")
	p.Await(`document.body.dataset.distance`)
	before := p.number("distance")
	p.press("learn")
	p.phase("finished")
	if after := p.number("distance"); !(after < before/2) {
		t.Errorf("the points drawn are at a distance of %.3f; before learning it was %.3f", after, before)
	}
	p.Picture("playground-drawn.png")
	link := exptest.Eval[string](p.Browser, `location.href`)
	p.Open("about:blank", 390, true)
	p.Open(link, 390, true)
	p.phase("idle")
	if again := exptest.Eval[string](p.Browser, `location.href`); again != link || !strings.Contains(link, "&points=") {
		t.Errorf("the link %q has become %q", link, again)
	}
	p.press("learn")
	p.phase("finished")
	if wide := p.TooWide(); len(wide) > 0 {
		t.Errorf("wider than a phone: %q", wide)
	}
	p.Picture("playground-390-dark.png")

	// Points come from the keyboard, too.
	p.press("clear")
	p.phase("empty")
	exptest.Eval[any](p.Browser, `document.getElementById("data").focus()`)
	for _, key := range []string{" ", kb.ArrowLeft, kb.ArrowUp, " "} {
		p.Press(key)
	}
	p.phase("idle")
	p.quiet()
}

// A table that is dropped on the page is learned, in its units; what cannot be read is said.
func TestDroppedTable(t *testing.T) {
	p := play(t, true)
	p.Open(p.url+"#steps=300&batch=64&width=16", 1280, false)
	p.phase("idle")
	drop := func(text string) {
		exptest.Eval[any](p.Browser, fmt.Sprintf(`(() => {
			const all = new DataTransfer();
			all.items.add(new File([%q], "mine.csv"));
			dispatchEvent(new DragEvent("drop", { dataTransfer: all, cancelable: true }));
		})()`, text))
	}
	drop("east,north\n1,2\n3,much\n")
	p.Await(`document.getElementById("alert").textContent === "mine.csv: line 3: “3”, “much” are not two finite numbers."`)
	rng, text := random.New(3, "table", 0), "east,north\n"
	for range 300 {
		text += fmt.Sprintf("%.3f,%.3f\n", 1000+30*rng.NormFloat64(), -500+20*rng.NormFloat64())
	}
	drop(text)
	p.Await(`document.getElementById("set").value === "file"`)
	p.phase("idle")
	p.press("step")
	p.phase("paused")
	p.Await(`document.body.dataset.step === "1"`)
	p.press("samples")
	path := p.download("samples.csv")
	lines, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(lines), "east,north\n") {
		t.Errorf("samples begin with %.20q, %v", lines, err)
	}
	if mean := batch.Means(read(t, path)); math.Abs(mean[0]-1000) > 10 || math.Abs(mean[1]+500) > 10 {
		t.Errorf("samples have the mean %v", mean)
	}
	p.quiet()
}
