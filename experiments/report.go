package experiments

import (
	"bufio"
	"bytes"
	"cmp"
	_ "embed" // the page's template
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"image/png"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot/plotter"
)

// Numbers are named numbers. As JSON their names are in order, and NaN and ±Inf
// are null; null is read as NaN.
type Numbers map[string]float64

// MarshalJSON writes numbers that are not finite as null.
func (n Numbers) MarshalJSON() ([]byte, error) {
	all := make(map[string]any, len(n))
	for name, v := range n {
		all[name] = v
		if math.IsNaN(v) || math.IsInf(v, 0) {
			all[name] = nil
		}
	}
	return json.Marshal(all)
}

// UnmarshalJSON reads null as NaN.
func (n *Numbers) UnmarshalJSON(data []byte) error {
	var all map[string]*float64
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*n = make(Numbers, len(all))
	for name, v := range all {
		(*n)[name] = math.NaN()
		if v != nil {
			(*n)[name] = *v
		}
	}
	return nil
}

// Machine is what a run was computed on.
type Machine struct {
	Go      string `json:"go"`
	OS      string `json:"os"`
	CPU     string `json:"cpu"`
	Threads int    `json:"threads"`
	BLAS    string `json:"blas"`
	Kernels string `json:"kernels"`
}

// ThisMachine describes the machine at hand; BLAS and Kernels are the caller's.
func ThisMachine() Machine {
	m := Machine{Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: "unknown", Threads: runtime.GOMAXPROCS(0)}
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return m
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

// Report is what a run found: report.json, the contract with those who compare
// runs.
type Report struct {
	Experiment string            `json:"experiment"`
	Started    time.Time         `json:"started"`
	Seconds    float64           `json:"seconds"`
	Steps      int               `json:"steps"`
	Config     map[string]string `json:"config"` // variable → value
	Data       string            `json:"data"`
	Machine    Machine           `json:"machine"`

	// Stopped says why training ended before Steps were done; empty when it did not.
	Stopped string `json:"stopped"`

	// Metrics are the model's; Floor those of data against data; Baseline those
	// of the model that the method is compared with.
	Metrics  Numbers `json:"metrics"`
	Floor    Numbers `json:"floor"`
	Baseline Numbers `json:"baseline"`

	// Truth is what is known exactly: numbers in maps and slices, or nil.
	Truth any `json:"truth"`

	Notes []string `json:"notes"`

	// NaNCount is the number of nulls in metrics, floor, baseline and truth that
	// stand for NaN or ±Inf. Write counts them.
	NaNCount int `json:"nan_count"`
}

// Write counts the numbers that are not finite and writes report.json into
// folder.
func (r *Report) Write(folder string) error {
	r.NaNCount = 0
	for _, numbers := range []Numbers{r.Metrics, r.Floor, r.Baseline} {
		for _, v := range numbers {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				r.NaNCount++
			}
		}
	}
	// Empty parts are {} and [], so that a reader need not ask.
	out := *r
	out.Truth = withoutNaN(reflect.ValueOf(r.Truth), &r.NaNCount)
	out.NaNCount = r.NaNCount
	if out.Notes == nil {
		out.Notes = []string{}
	}
	if out.Config == nil {
		out.Config = map[string]string{}
	}
	out.Started = r.Started.Round(time.Second)
	text, err := json.MarshalIndent(out, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(folder, "report.json"), func(w io.Writer) error { return second(w.Write(append(text, '\n'))) })
	}
	if err != nil {
		return fmt.Errorf("report.json: %w", err)
	}
	return nil
}

// withoutNaN copies maps and slices with nil in place of numbers that are not
// finite, and counts those. Other values stay as they are.
func withoutNaN(v reflect.Value, count *int) any {
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Interface, reflect.Pointer:
		return withoutNaN(v.Elem(), count)
	case reflect.Float32, reflect.Float64:
		if math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0) {
			*count++
			return nil
		}
	case reflect.Slice, reflect.Array:
		all := make([]any, v.Len())
		for i := range all {
			all[i] = withoutNaN(v.Index(i), count)
		}
		return all
	case reflect.Map:
		all := map[string]any{}
		for _, key := range v.MapKeys() {
			all[fmt.Sprint(key)] = withoutNaN(v.MapIndex(key), count)
		}
		return all
	}
	return v.Interface()
}

// ConfigOf is the settings by variable, for Report.Config.
func ConfigOf(settings []Setting) map[string]string {
	config := make(map[string]string, len(settings))
	for _, s := range settings {
		config[s.Name] = s.Value
	}
	return config
}

// WriteConfig writes config.env into folder: VARIABLE=value lines, quoted for
// the shell, of every setting.
func WriteConfig(folder string, settings []Setting) error {
	err := writeFile(filepath.Join(folder, "config.env"), func(w io.Writer) error {
		for _, s := range settings {
			if _, err := fmt.Fprintf(w, "%s=%s\n", s.Name, quoted(s.Value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("config.env: %w", err)
	}
	return nil
}

// quoted is a word of the shell: bare where that is safe, in single quotes else.
func quoted(word string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"
	if word != "" && strings.Trim(word, safe) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// command is the line that repeats a run: the variables that differ from their
// defaults, and the experiment's command.
func command(experiment string, settings []Setting) string {
	var words []string
	for _, s := range settings {
		if s.Value != s.Default {
			words = append(words, s.Name+"="+quoted(s.Value))
		}
	}
	return strings.Join(append(words, "go run ./experiments/"+experiment), " ")
}

// Goal says which values of a metric are good.
type Goal int

// The goals of a metric.
const (
	Lower  Goal = iota // the lower the better
	Higher             // the higher the better
	Nearer             // the nearer to a target the better
)

// Headline is a row of the table that a page begins with.
type Headline struct {
	Metric string // its name in the report
	Label  string // what the page calls it; the name when empty
	Goal   Goal
	Target float64 // for Nearer
}

// Figure is a PNG in the run's folder.
type Figure struct{ File, Caption string }

// Page is index.html: a run's report, configuration, figures and learning
// curves in one file that needs no other.
type Page struct {
	Report   *Report
	Settings []Setting
	Summary  string // one line
	Headline []Headline
	Figures  []Figure
}

//go:embed report.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// Write writes index.html into folder, with the figures and the metrics log
// that lie there.
func (p Page) Write(folder string) error {
	view := struct {
		Page
		Time, Command string
		Rows, Others  []tableRow
		Figures       []picture
		Charts        []chart
	}{Page: p, Command: command(p.Report.Experiment, p.Settings)}
	view.Time = time.Duration(p.Report.Seconds * float64(time.Second)).Round(time.Second).String()
	shown := map[string]bool{}
	for _, h := range p.Headline {
		view.Rows = append(view.Rows, newRow(p.Report, h))
		shown[h.Metric] = true
	}
	for _, name := range slices.Sorted(maps.Keys(p.Report.Metrics)) {
		if !shown[name] {
			view.Others = append(view.Others, newRow(p.Report, Headline{Metric: name}))
		}
	}
	for _, f := range p.Figures {
		picture, err := newPicture(folder, f)
		if err != nil {
			return fmt.Errorf("index.html: %w", err)
		}
		view.Figures = append(view.Figures, picture)
	}
	curves, err := ReadMetricsLog(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("index.html: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(curves)) {
		if c, ok := newChart(curves[name]); ok {
			view.Charts = append(view.Charts, c)
		}
	}
	err = writeFile(filepath.Join(folder, "index.html"), func(w io.Writer) error { return pageTemplate.Execute(w, view) })
	if err != nil {
		return fmt.Errorf("index.html: %w", err)
	}
	return nil
}

// tableRow is a metric as the page shows it. Verdict compares the model with
// the baseline where both are finite.
type tableRow struct{ Label, Goal, Model, Baseline, Floor, Verdict, Ratio string }

func newRow(r *Report, h Headline) tableRow {
	goal, loss := "lower is better", func(v float64) float64 { return v }
	switch h.Goal {
	case Higher:
		goal, loss = "higher is better", func(v float64) float64 { return -v }
	case Nearer:
		goal, loss = fmt.Sprintf("best at %g", h.Target), func(v float64) float64 { return math.Abs(v - h.Target) }
	}
	row := tableRow{Label: cmp.Or(h.Label, h.Metric), Goal: goal,
		Model: shownNumber(r.Metrics, h.Metric), Baseline: shownNumber(r.Baseline, h.Metric), Floor: shownNumber(r.Floor, h.Metric)}
	model, ok := r.Metrics[h.Metric]
	if baseline, known := r.Baseline[h.Metric]; ok && known && finite([]float64{model, baseline}) {
		if loss(model) < loss(baseline) {
			row.Verdict = "better"
		} else if loss(model) > loss(baseline) {
			row.Verdict = "worse"
		}
	}
	if floor := r.Floor[h.Metric]; ok && h.Goal == Lower && floor > 0 && model > 0 && !math.IsInf(model/floor, 0) {
		row.Ratio = fmt.Sprintf("%.3g", model/floor)
	}
	return row
}

func shownNumber(numbers Numbers, name string) string {
	v, ok := numbers[name]
	switch {
	case !ok:
		return "–"
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "not finite"
	}
	return strings.ReplaceAll(fmt.Sprintf("%.4g", v), "-", "−")
}

// picture is a figure inside the page; its size is half its pixels, which are
// drawn at twice the resolution of a page.
type picture struct {
	Data          template.URL
	Width, Height int
	Caption       string
}

func newPicture(folder string, f Figure) (picture, error) {
	file, err := os.ReadFile(filepath.Join(folder, f.File))
	if err != nil {
		return picture{}, err
	}
	size, err := png.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return picture{}, fmt.Errorf("figure %s: %w", f.File, err)
	}
	data := template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(file))
	return picture{data, size.Width / 2, size.Height / 2, f.Caption}, nil
}

// chart is a learning curve in the 300 × 100 units between the lines of the
// template's drawing.
type chart struct {
	Name, Last, First, End, Low, High string

	Log   bool
	Lines []string
}

// newChart draws a series, on a logarithmic scale where it is positive and
// spans two decades. It is false for a series with no two points to draw.
func newChart(s Series) (chart, bool) {
	parts := finiteParts(s, Axes{})
	low, high, points := math.Inf(1), math.Inf(-1), 0
	for _, part := range parts {
		for _, p := range part {
			low, high, points = min(low, p.Y), max(high, p.Y), points+1
		}
	}
	if points < 2 {
		return chart{}, false
	}
	first, end := s.X[0], s.X[len(s.X)-1]
	show := func(v float64) string { return shownNumber(Numbers{"": v}, "") }
	c := chart{Name: s.Name, Last: show(s.Y[len(s.Y)-1]), First: fmt.Sprintf("%.0f", first), End: fmt.Sprintf("%.0f", end), Low: show(low), High: show(high)}
	scale := func(v float64) float64 { return v }
	if c.Log = low > 0 && high/low >= 100; c.Log {
		scale = math.Log
	}
	share := func(v, from, to float64) float64 {
		if to > from {
			return (v - from) / (to - from)
		}
		return .5
	}
	for _, part := range parts {
		var line strings.Builder
		for _, p := range thinned(part) {
			fmt.Fprintf(&line, "%.1f,%.1f ", 300*share(p.X, first, end), 114-100*share(scale(p.Y), scale(low), scale(high)))
		}
		c.Lines = append(c.Lines, line.String())
	}
	return c, true
}

// thinned keeps the lowest and the highest of every few points, so that no
// spike is lost.
func thinned(line plotter.XYs) plotter.XYs {
	const most = 600
	if len(line) <= most {
		return line
	}
	var kept plotter.XYs
	for part := range slices.Chunk(line, (2*len(line)+most-1)/most) {
		low, high := 0, 0
		for i, p := range part {
			if p.Y < part[low].Y {
				low = i
			}
			if p.Y >= part[high].Y {
				high = i
			}
		}
		kept = append(kept, part[min(low, high)], part[max(low, high)])
	}
	return kept
}

// writeFile writes a file whole or not at all: into a temporary file of the
// same folder, which then takes the name path.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	// Temporary files are private; results are for whoever may read the folder.
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
