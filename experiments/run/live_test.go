package run

import (
	"bytes"
	"context"
	"image"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/internal/exptest"
	"cmf/experiments/report"
)

// got is what the server of a run answers.
func got(t *testing.T, url string) (status int, text string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// While a run goes on, browsers see what it has written so far: its notes, the progress of
// each stage, a glimpse, figures as files, and nothing that an earlier run left.
func TestLivePage(t *testing.T) {
	folder := t.TempDir()
	var out bytes.Buffer
	in := func(do func(r *Run, url string)) {
		t.Helper()
		d := Definition[learningConfig]{Name: "live", Do: func(_ context.Context, r *Run, _ *learningConfig) error {
			do(r, string(regexp.MustCompile(`http://\S+/`).Find(out.Bytes())))
			return nil
		}}
		out.Reset()
		if _, err := Execute(t.Context(), d, config.Variables("CMF_OUT="+folder, "CMF_WATCH=:0"), nil, &out); err != nil {
			t.Fatal(err)
		}
	}
	page := func(url string, wanted ...string) string {
		t.Helper()
		status, text := got(t, url)
		for _, want := range wanted {
			if status != http.StatusOK || !strings.Contains(text, want) {
				t.Errorf("status %d, and the page lacks %q", status, want)
			}
		}
		return text
	}
	in(func(r *Run, url string) {
		log, err := report.OpenMetricsLog(r.Path(""), -1)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		for step := range 3 {
			if err := log.Append(step, report.Numbers{"earlier": float64(step)}); err != nil {
				t.Fatal(err)
			}
		}
	})
	in(func(r *Run, url string) {
		if text := page(url, "before training", "data-live"); strings.Contains(text, "earlier") {
			t.Error("the page shows what an earlier run has logged")
		}
		r.Note("a <remark>")
		page(url, "a &lt;remark&gt;")
		r.Track("training", ProgressOptions{Total: 50, First: 10})
		r.Glimpse(image.NewGray(image.Rect(0, 0, 4, 4)), "a glimpse of it")
		r.live.shown = r.live.shown.Add(-often) // as if time had passed
		r.Progress.Step(20, Status{})
		page(url, "step 20 of 50", "a glimpse of it", "data:image/png;base64,")
		r.Progress.Step(21, Status{}) // too soon to be shown
		page(url, "step 20 of 50")
		r.Progress.Finish(50, Status{})
		if text := page(url, "after training"); strings.Contains(text, "step 50") {
			t.Error("after the last step the page still counts")
		}
		if err := figure.DrawScenes(r.Path("dot.png"), figure.Box{}, figure.Scene{Clouds: []figure.Cloud{{Points: exptest.BatchOf(2, 0, 0, 1, 1)}}}); err != nil {
			t.Fatal(err)
		}
		r.AddFigure("dot.png", "a dot")
		text := page(url, `src="./dot.svg?`)
		if strings.Contains(text, "a glimpse of it") {
			t.Error("there is a figure, and yet the glimpse is the main picture")
		}
		for name, want := range map[string]int{"dot.png": 200, "dot.svg": 200, "config.env": 200, "other.png": 404, ".files": 404} {
			if status, _ := got(t, url+name); status != want {
				t.Errorf("%s: status %d, want %d", name, status, want)
			}
		}
	})
}
