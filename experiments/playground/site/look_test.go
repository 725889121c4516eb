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
	}{{1280, false, "desk"}, {390, true, "phone"}} {
		start := time.Now()
		b.Open(server.URL+"/", v.width, v.dark)
		for exptest.Eval[string](b, `document.body.dataset.phase ?? ""`) != "idle" && time.Since(start) < 40*time.Second {
			time.Sleep(200*time.Millisecond)
		}
		t.Log(exptest.Eval[map[string]string](b, `({...document.body.dataset})`), exptest.Eval[string](b, `document.getElementById("status").textContent`))
		t.Log(b.Troubles())
		t.Log("idle after", time.Since(start), exptest.Eval[string](b, "document.body.dataset.ready"))
		b.Picture(v.name + "-idle.png")
		exptest.Eval[any](b, `document.getElementById("learn").click()`)
		time.Sleep(10 * time.Second)
		t.Log(exptest.Eval[map[string]string](b, `({...document.body.dataset})`), exptest.Eval[string](b, `document.getElementById("status").textContent`))
		t.Log(exptest.Eval[string](b, `document.getElementById("alert").textContent`))
		b.Picture(v.name + "-running.png")
		t.Log(b.TooWide())
	}
	t.Log(b.Troubles())
}
