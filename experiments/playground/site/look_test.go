package site

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"cmf/experiments/internal/exptest"
)

func TestLook(t *testing.T) {
	server := httptest.NewServer(http.FileServerFS(os.DirFS("/tmp/playground/site")))
	defer server.Close()
	b := exptest.NewBrowser(t)
	for _, v := range []struct {
		width int
		dark  bool
		name  string
		hash  string
	}{{1280, false, "energy", "#tab=energy&steps=300"}, {1280, true, "line", "#tab=line&steps=300"}, {390, false, "energy-phone", "#tab=energy&steps=300"}, {1280, false, "swissroll", "#set=swissroll&steps=600"}} {
		b.Open("about:blank", v.width, v.dark)
		b.Open(server.URL+"/"+v.hash, v.width, v.dark)
		start := time.Now()
		for exptest.Eval[string](b, `document.body.dataset.phase ?? ""`) != "idle" && time.Since(start) < 20*time.Second {
			time.Sleep(200*time.Millisecond)
		}
		b.Picture(v.name + "-idle.png")
		exptest.Eval[any](b, `document.getElementById("learn").click()`)
		f0, t0 := exptest.Eval[float64](b, "Number(document.body.dataset.frames ?? 0)"), time.Now()
		time.Sleep(12 * time.Second)
		t.Log("fps", (exptest.Eval[float64](b, "Number(document.body.dataset.frames ?? 0)")-f0)/time.Since(t0).Seconds())
		t.Log(exptest.Eval[map[string]string](b, `({...document.body.dataset})`), exptest.Eval[string](b, `document.getElementById("status").textContent`))
		t.Log(exptest.Eval[string](b, `document.getElementById("alert").textContent`))
		b.Picture(v.name + "-running.png")
		t.Log(b.TooWide())
	}
	t.Log(b.Troubles())
}
