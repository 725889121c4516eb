package report

import (
	"path/filepath"
	"strings"
	"testing"

	"cmf/experiments/config"
	"cmf/experiments/figure"
	"cmf/experiments/internal/exptest"
)

// A page of long words and wide figures fits a phone.
func TestPageFitsAPhone(t *testing.T) {
	folder := t.TempDir()
	wide := []figure.Scene{{Title: "a"}, {Title: "b"}, {Title: "c"}, {Title: "d"}}
	if err := figure.DrawScenes(filepath.Join(folder, "wide.png"), figure.Box{MinX: 0, MaxX: 1, MinY: 0, MaxY: 1}, wide...); err != nil {
		t.Fatal(err)
	}
	log, err := OpenMetricsLog(folder, -1)
	if err != nil {
		t.Fatal(err)
	}
	word := strings.Repeat("unbroken", 12)
	for step := range 3 {
		if err := log.Append(step, Numbers{"loss": float64(step), word: 1e-300}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	p := Page{
		Report:   toyReport(),
		Settings: []config.Setting{{Name: "CMF_DATA_FILE", Value: "/" + word, Meaning: "points to learn"}, {Name: "CMF_STEPS", Value: "1", Default: "1", Meaning: "outer iterations"}},
		Summary:  word,
		Headline: []Headline{{Metric: "w2", Label: word}, {Metric: "nn", Goal: Nearer, Target: 1. / 3}},
		Figures:  []Figure{{"wide.png", word}},
	}
	p.Report.Notes, p.Report.Stop.Text, p.Report.Data, p.Report.Machine.CPU = []string{"https://" + word}, word, "/"+word, word
	if err := p.Write(folder); err != nil {
		t.Fatal(err)
	}
	exptest.TestPage(t, folder, "long-words")
}
