package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/internal/exptest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func toyReport() *Report {
	return &Report{
		Experiment: "circles", Started: time.Date(2026, 3, 1, 14, 5, 6, 789, time.UTC), Seconds: 187.4, Steps: 2000,
		Config: map[string]string{"CMF_SEED": "3"}, Data: "circles, 2048 held-out points",
		Machine:  Machine{Go: "go1.26", OS: "linux/amd64", CPU: "A processor", Threads: 2, BLAS: "OpenBLAS 0.3.26", Kernels: "avx2"},
		Metrics:  Numbers{"w2": .2412, "energy": .0021, "nn": .561, "sliced_w2": math.NaN(), "ess": .93, "kantorovich_gap": 1.25e-4},
		Floor:    Numbers{"w2": .2203, "energy": .0009, "nn": .5},
		Baseline: Numbers{"w2": .3519, "energy": math.Inf(1), "nn": .498, "ess": .95},
		Truth:    map[string]any{"log_z": 1.5, "tail": []float64{1, math.NaN()}},
		Stop:     Stop{Reason: Finished, Step: 2000, Of: 2000},
	}
}

func TestReportJSON(t *testing.T) {
	dir := t.TempDir()
	r := toyReport()
	for range 2 { // a second writing must count afresh
		if err := r.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "experiment": "circles",
  "started": "2026-03-01T14:05:06Z",
  "seconds": 187.4,
  "steps": 2000,
  "config": {
    "CMF_SEED": "3"
  },
  "data": "circles, 2048 held-out points",
  "machine": {
    "go": "go1.26",
    "os": "linux/amd64",
    "cpu": "A processor",
    "threads": 2,
    "blas": "OpenBLAS 0.3.26",
    "kernels": "avx2"
  },
  "stop": {
    "reason": "finished",
    "step": 2000,
    "of": 2000,
    "text": ""
  },
  "metrics": {
    "energy": 0.0021,
    "ess": 0.93,
    "kantorovich_gap": 0.000125,
    "nn": 0.561,
    "sliced_w2": null,
    "w2": 0.2412
  },
  "floor": {
    "energy": 0.0009,
    "nn": 0.5,
    "w2": 0.2203
  },
  "baseline": {
    "energy": null,
    "ess": 0.95,
    "nn": 0.498,
    "w2": 0.3519
  },
  "truth": {
    "log_z": 1.5,
    "tail": [
      1,
      null
    ]
  },
  "notes": [],
  "nan_count": 3,
  "stopped": ""
}
`
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Errorf("report.json (−want +got):\n%s", d)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil || !math.IsNaN(back.Metrics["sliced_w2"]) || back.Metrics["w2"] != .2412 {
		t.Errorf("read back: %v, %v", back.Metrics, err)
	}
	empty := &Report{}
	if err := empty.Write(dir); err != nil {
		t.Fatal(err)
	}
	if text, _ = os.ReadFile(filepath.Join(dir, "report.json")); strings.Count(string(text), "null") != 1 { // truth
		t.Errorf("an empty report:\n%s", text)
	}
}

// Reports say how they ended by a value; reports of earlier versions say it by a text.
func TestReportOfAnEarlierVersion(t *testing.T) {
	for text, want := range map[string]Stop{
		`{"steps": 9, "stopped": ""}`: {Finished, 9, 0, ""},
		`{"steps": 9, "stopped": "interrupted at step 9 of 20; CMF_RESUME=a goes on"}`:                         {Interrupted, 9, 0, "interrupted at step 9 of 20; CMF_RESUME=a goes on"},
		`{"steps": 9, "stopped": "CMF_MINUTES=1 at step 9 of 20: not repeatable"}`:                             {Deadline, 9, 0, "CMF_MINUTES=1 at step 9 of 20: not repeatable"},
		`{"steps": 9, "stopped": "diverged at step 10 of 20: try CMF_LR=1"}`:                                   {Diverged, 9, 0, "diverged at step 10 of 20: try CMF_LR=1"},
		`{"steps": 9, "stop": {"reason": "halted", "step": 9, "of": 20, "text": "level"}, "stopped": "level"}`: {Halted, 9, 20, "level"},
	} {
		got := Report{Stop: Stop{Reason: Deadline}}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Stop != want || got.Steps != 9 {
			t.Errorf("%s is read as %+v, error %v", text, got.Stop, err)
		}
		if complete := got.Stop.Complete(); complete != (want.Reason != Interrupted && want.Reason != Diverged) {
			t.Errorf("%s: complete %t", text, complete)
		}
	}
}

func TestConfigEnvIsReadByTheShell(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	settings := []config.Setting{{Name: "CMF_A", Value: "it's $HOME `x` \"y\" \\ ;"}, {Name: "CMF_B", Value: "dual+0.1*pairs"}, {Name: "CMF_C", Value: "64,64"}, {Name: "CMF_D"}}
	if err := WriteConfig(dir, settings); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`. %s/config.env; printf '%%s\n' "$CMF_A" "$CMF_B" "$CMF_C" "$CMF_D"`, dir)
	got, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := settings[0].Value + "\n" + settings[1].Value + "\n64,64\n\n"
	if string(got) != want {
		t.Errorf("the shell read %q, want %q", got, want)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "config.env"))
	if !strings.HasSuffix(string(text), "CMF_B='dual+0.1*pairs'\nCMF_C=64,64\nCMF_D=''\n") {
		t.Errorf("config.env:\n%s", text)
	}
}

func TestCommand(t *testing.T) {
	settings := []config.Setting{{Name: "CMF_PRESET", Value: "quick", Default: "default"}, {Name: "CMF_SEED", Value: "1", Default: "1"}, {Name: "CMF_LOSS", Value: "dual+0.1*pairs", Default: "dual"}}
	want := "CMF_PRESET=quick CMF_LOSS='dual+0.1*pairs' go run ./experiments/circles"
	if got := Command("circles", settings); got != want {
		t.Errorf("command %q, want %q", got, want)
	}
}

func TestNewRowVerdicts(t *testing.T) {
	r := toyReport()
	for _, c := range []struct {
		h              Headline
		verdict, ratio string
	}{
		{Headline{Metric: "w2"}, "better", "1.09"},
		{Headline{Metric: "nn", Goal: Nearer, Target: .5}, "worse", ""},
		{Headline{Metric: "ess", Goal: Higher}, "worse", ""},
		{Headline{Metric: "sliced_w2"}, "", ""},
		{Headline{Metric: "energy"}, "", "2.33"}, // the baseline's is not finite
		{Headline{Metric: "unknown"}, "", ""},
	} {
		if row := newRow(r, c.h); row.Verdict != c.verdict || row.Ratio != c.ratio {
			t.Errorf("%s: verdict %q, ratio %q, want %q, %q", c.h.Metric, row.Verdict, row.Ratio, c.verdict, c.ratio)
		}
	}
}

func TestThinnedKeepsSpikes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(t, "n")
		s := figure.Series{}
		for i := range n {
			s.X, s.Y = append(s.X, float64(i)), append(s.Y, math.Sin(float64(i)))
		}
		s.Y[rapid.IntRange(0, n-1).Draw(t, "spike")] = 9
		line := figure.FiniteParts(s, figure.Axes{})[0]
		kept := thinned(line)
		if len(kept) > 602 {
			t.Fatalf("%d points kept of %d", len(kept), n)
		}
		high := math.Inf(-1)
		for i, p := range kept {
			high = max(high, p.Y)
			if i > 0 && p.X < kept[i-1].X {
				t.Fatal("points out of order")
			}
		}
		if high != 9 {
			t.Fatal("the spike is gone")
		}
	})
}

func TestPage(t *testing.T) {
	dir := exptest.Gallery(t)
	var c struct{ config.Core }
	env := config.Variables("CMF_PRESET=quick", "CMF_LOSS=dual+0.1*pairs")
	settings, err := config.Load(&c, map[string]func(*struct{ config.Core }){"quick": nil}, env, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	log, err := OpenMetricsLog(dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		x := float64(i) / 400
		if err := log.Append(i, Numbers{
			"loss": -3 + math.Exp(-x) + .05*math.Sin(float64(i)), "residual": 1e-3 * (1 + math.Exp(5-3*x)), "acceptance": .57 + .02*math.Cos(float64(i)/9),
			"bank variance": 1 + x, "constant": 2, "energy": math.NaN(),
		}); err != nil {
			t.Fatal(err)
		}
	}
	log.Close()
	clouds := []figure.Scene{
		{Title: "Data", Clouds: []figure.Cloud{{Name: "data", Points: exptest.Circles(1500, 1)}}}, {Title: "Model", Clouds: []figure.Cloud{{Name: "model", Points: exptest.Circles(1500, 2)}}},
		{Title: "Gibbs factor", Clouds: []figure.Cloud{{Name: "Gibbs factor", Points: exptest.Normal(1500, 2, 0, .8, 2)}}},
	}
	if err := figure.DrawScenes(filepath.Join(dir, "samples.png"), figure.Box{}, clouds...); err != nil {
		t.Fatal(err)
	}
	p := Page{
		Report: toyReport(), Settings: settings, Summary: "One convex potential, learned from points on two circles: its Gibbs factor is the noise and the gradient of its conjugate the map.",
		Headline: []Headline{{Metric: "w2", Label: "W₂ to held-out data"}, {Metric: "energy", Label: "energy distance"}, {Metric: "nn", Label: "1-nearest-neighbour accuracy", Goal: Nearer, Target: .5},
			{Metric: "sliced_w2", Label: "— sliced W₂"}, {Metric: "ess", Label: "effective sample size", Goal: Higher}},
		Figures: []Figure{{"samples.png", "Held-out data, generated points ∇w*(y) & the Gibbs factor 𝔓_w that they come from."}},
	}
	p.Report.Stop.Text, p.Report.Notes = "CMF_MINUTES=3", []string{"The baseline had the same number of steps <and> the same network."}
	if err := p.Report.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<h1>circles</h1>", "W₂ to held-out data", "Stopped early: CMF_MINUTES=3", "3 numbers of this report are not finite", "1.09 × floor", "better than baseline",
		"worse than baseline", "not finite", "data:image/png;base64,iVBOR", "steps &lt;and&gt; the", "∇w*(y) &amp; the", "kantorovich_gap",
		"CMF_PRESET=quick CMF_LOSS=&#39;dual&#43;0.1*pairs&#39; go run ./experiments/circles", "log scale", "OpenBLAS 0.3.26", "3m7s",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, external := range []string{"http:", "https:", " src=\"./", "ZgotmplZ", "url(", "@import"} {
		if strings.Contains(string(text), external) {
			t.Errorf("the page is not self-contained: it has %q", external)
		}
	}
	for what, want := range map[string]int{
		"<script": 1, "<link": 1, // of this package
		`class="chart"`: 4, // but for the constant one and the one without a number
		`class="scale"`: 2, // the others lack a number
		`class="card"`:  4, // but for the one that is part of another
		"<h1":           1, "<main": 1, "<header": 1, "<body>": 1,
	} {
		if n := strings.Count(string(text), what); n != want {
			t.Errorf("%d times %s, want %d", n, what, want)
		}
	}
	picture, results, numbers := strings.Index(string(text), `id="picture"`), strings.Index(string(text), `id="results"`), strings.Index(string(text), `id="numbers"`)
	if picture < 0 || results < picture || numbers < results {
		t.Errorf("the main picture is at %d, results at %d, all numbers at %d", picture, results, numbers)
	}
	if !strings.Contains(string(text), "Constant: constant 2.") {
		t.Error("the page does not tell what stayed constant")
	}
	p.Figures = []Figure{{"missing.png", ""}}
	if err := p.Write(dir); err == nil || !strings.Contains(err.Error(), "missing.png") {
		t.Errorf("a missing figure: %v", err)
	}
}

func TestMetricsLogResumes(t *testing.T) {
	dir := t.TempDir()
	log, err := OpenMetricsLog(dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	for step := range 5 {
		if err := log.Append(10*step, Numbers{"loss": float64(step), "a": math.Inf(-1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Append(9, Numbers{"step": 1}); err == nil {
		t.Error("a metric called step: no error")
	}
	path := filepath.Join(dir, "metrics.jsonl")
	text, _ := os.ReadFile(path) // before Close: every line is there at once
	if lines := strings.Split(string(text), "\n"); len(lines) != 6 || lines[1] != `{"step":10,"a":null,"loss":1}` {
		t.Fatalf("metrics.jsonl:\n%s", text)
	}
	log.Close()
	for _, rest := range []string{"\x00\x00\x00", "\x00\x00\n\x00", "{\"step\":50,\"lo\x00\x00\n{\"step\":60}\n"} { // a crashed computer
		if err := os.WriteFile(path, append(slices.Clip(text), rest...), 0o644); err != nil {
			t.Fatal(err)
		}
		series, err := ReadMetricsLog(dir)
		if x := series["loss"].X; err != nil || len(x) != 5 {
			t.Errorf("a log that ends in %q: steps %v, %v", rest, x, err)
		}
	}
	if err := os.WriteFile(path, append(text, `{"step":50,"lo`...), 0o644); err != nil { // a killed run
		t.Fatal(err)
	}
	if log, err = OpenMetricsLog(dir, 20); err != nil {
		t.Fatal(err)
	}
	if err := log.Append(30, nil); err != nil {
		t.Fatal(err)
	}
	log.Close()
	series, err := ReadMetricsLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]figure.Series{
		"loss": {Name: "loss", X: []float64{0, 10, 20}, Y: []float64{0, 1, 2}},
		"a":    {Name: "a", X: []float64{0, 10, 20}, Y: slices.Repeat([]float64{math.NaN()}, 3)},
	}
	if d := cmp.Diff(want, series, cmpopts.EquateNaNs()); d != "" {
		t.Errorf("resumed log (−want +got):\n%s", d)
	}
	if text, _ = os.ReadFile(path); !strings.HasSuffix(string(text), "\n{\"step\":30}\n") {
		t.Errorf("metrics.jsonl:\n%s", text)
	}
	if err := os.WriteFile(path, []byte("{\"step\":1}\nrubbish\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenMetricsLog(dir, 3); err == nil || !strings.Contains(err.Error(), "metrics.jsonl, line 2") {
		t.Errorf("a broken line: %v", err)
	}
	if log, err = OpenMetricsLog(t.TempDir(), 7); err != nil { // resumed into a new folder
		t.Errorf("no log to resume: %v", err)
	} else {
		log.Close()
	}
}

// Whatever names, settings and logs hold is text on the page, and no script but the page's own
// may run.
func TestHostilePage(t *testing.T) {
	const evil = "<script>alert('x')</script>\x1b[31m\"'><img src=x onerror=alert(1)>"
	folder := t.TempDir()
	log, err := OpenMetricsLog(folder, -1)
	if err != nil {
		t.Fatal(err)
	}
	for step := range 3 {
		if err := log.Append(step, Numbers{"loss": float64(step), evil: float64(step * step)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	cloud := figure.Scene{Title: evil, Axes: []figure.Axis{{Name: evil}, {Name: "y"}}, Clouds: []figure.Cloud{{Name: evil, Points: exptest.Circles(100, 1)}}}
	const name = "a <b>'\"&#?%.png"
	if err := figure.DrawScenes(filepath.Join(folder, name), figure.Box{}, cloud); err != nil {
		t.Fatal(err)
	}
	p := Page{
		Report: toyReport(), Settings: []config.Setting{{Name: "CMF_DATA_FILE", Value: evil, Default: evil + "0", Meaning: evil}}, Summary: evil,
		Headline: []Headline{{Metric: "w2", Label: evil}}, Tables: []Table{{Title: evil, Head: []string{evil}, Rows: [][]string{{evil}}}},
		Figures: []Figure{{name, evil}, {name, evil}}, Log: []string{evil}, Files: []string{name, "javascript:alert(1)", evil},
	}
	r := p.Report
	r.Experiment, r.Data, r.Notes, r.Warnings, r.Stop.Text, r.Machine.CPU = evil, evil, []string{evil, evil}, []string{evil}, evil, evil
	r.Metrics[evil], r.Beside = 1, []Column{{evil, evil, Numbers{"w2": 1}}}
	for _, live := range []*Live{nil, {Doing: evil, Step: 1, Of: 2}} {
		p.Live = live
		text, err := p.HTML(folder)
		if err != nil {
			t.Fatal(err)
		}
		page := string(text)
		if n := strings.Count(page, "<script"); n != 1 || strings.Contains(page, "<img src=x") || strings.Contains(page, `href="javascript`) || strings.Contains(page, "ZgotmplZ") {
			t.Errorf("live %t: %d scripts, or markup of others, on the page", live != nil, n)
		}
		if strings.ContainsRune(page, 0x1b) {
			t.Error("the page holds a control character")
		}
		if !strings.Contains(page, "script-src &#39;sha256-") && !strings.Contains(page, "script-src 'sha256-") {
			t.Error("the page has no policy")
		}
	}
	p.Live = nil
	if err := p.Write(folder); err != nil {
		t.Fatal(err)
	}
	exptest.TestPage(t, folder, "hostile")
}

// The page of a run with as many curves and settings as a run on MNIST, which browsers ask for
// every second.
func BenchmarkLivePage(b *testing.B) {
	folder := b.TempDir()
	log, err := OpenMetricsLog(folder, -1)
	if err != nil {
		b.Fatal(err)
	}
	for step := range 200 {
		numbers := Numbers{}
		for k := range 20 {
			numbers[fmt.Sprintf("metric_%d", k)] = math.Sin(float64(step * k))
		}
		if err := log.Append(step, numbers); err != nil {
			b.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
	p := Page{Report: toyReport(), Settings: slices.Repeat([]config.Setting{{Name: "CMF_STEPS", Value: "1", Meaning: "outer iterations"}}, 40), Curves: []Curves{{Lead: "metric_1"}}, Live: &Live{Doing: "training", Step: 200, Of: 1000}}
	for b.Loop() {
		if _, err := p.HTML(folder); err != nil {
			b.Fatal(err)
		}
	}
}
