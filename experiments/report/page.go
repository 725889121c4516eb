package report

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cmf/data/file"
	"cmf/experiments/config"
)

// Figure is a PNG or GIF in the run's folder.
type Figure struct{ File, Caption string }

// Page is index.html: a run's report, figures, learning curves and configuration in one
// file that needs no others. While the run goes on, it is also what a browser is shown,
// with files of the run in place of what they hold; see Live.
type Page struct {
	Report   *Report
	Settings []config.Setting
	Summary  string // one line
	Headline []Headline
	Tables   []Table
	Figures  []Figure // the first is the main picture, and stands above all numbers
	Curves   []Curves // those of the run's own folder if empty
	Log      []string
	Files    []string // others that the run has left, by their names in its folder

	Live *Live // nil once the run has ended
}

// Live is how far a run has come.
type Live struct {
	Doing    string // in a word or two
	Unit     string // of what Step counts; "step" if empty
	Step, Of int    // Of is 0 if nothing is counted
	Rate     float64
	Left     time.Duration // 0 if unknown
	Glimpse  *Glimpse      // nil for none
}

// Table is a table of texts on a page.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

//go:embed style.html.tmpl parts.html.tmpl report.html.tmpl ablation.html.tmpl page.js
var files embed.FS

// Policy is the content security policy of pages: nothing is loaded from elsewhere, and no
// script runs but their own.
var Policy string

// script is the element of the pages' script.
var script template.HTML

func init() {
	text, err := files.ReadFile("page.js")
	if err != nil {
		panic(err)
	}
	script = template.HTML("<script>" + string(text) + "</script>")
	sum := sha256.Sum256(text)
	Policy = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; script-src 'sha256-" +
		base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Template is the template of a page among the package's, with the parts that pages share.
func Template(name string) *template.Template {
	shared := template.FuncMap{
		"policy":  func() string { return Policy },
		"script":  func() template.HTML { return script },
		"brief":   newBrief,
		"changed": changed,
	}
	return template.Must(template.New(name).Funcs(shared).ParseFS(files, name, "style.html.tmpl", "parts.html.tmpl"))
}

var pageTemplate = Template("report.html.tmpl")

// Write writes index.html into folder. The figures and the metrics logs must be in that
// folder.
func (p Page) Write(folder string) error {
	p.Live = nil
	text, err := p.HTML(folder)
	if err == nil {
		err = file.Write(filepath.Join(folder, "index.html"), func(w io.Writer) error { return file.Text(w, text) })
	}
	if err != nil {
		return fmt.Errorf("index.html: %w", err)
	}
	return nil
}

// HTML is the text of the page. While the run is live its figures are the files themselves.
func (p Page) HTML(folder string) ([]byte, error) {
	view := struct {
		Page
		Time, Command string
		Cards         []tableRow
		Rows, Others  []tableRow
		Titles        []string
		Beside        []besideRow
		Main          *Picture
		Figures       []Picture
		Fits          []fitCurves
		Alerts        []string
		Remarks       []string // notes that are not warnings
		Differ        []config.Setting
	}{Page: p, Command: Command(p.Report.Experiment, p.Settings), Alerts: p.Report.alerts()}
	view.Time = time.Duration(p.Report.Seconds * float64(time.Second)).Round(time.Second).String()
	for _, h := range p.Headline {
		view.Rows = append(view.Rows, newRow(p.Report, h))
	}
	const cards = 4
	for _, row := range view.Rows {
		if len(view.Cards) < cards && !strings.HasPrefix(row.Label, "—") { // a part of the row before
			view.Cards = append(view.Cards, row)
		}
	}
	view.Titles, view.Beside = beside(p.Report, p.Headline)
	view.Others = others(p.Report, p.Headline)
	read := NewPicture
	if p.Live != nil {
		read = linkedPicture
	}
	for _, f := range p.Figures {
		picture, err := read(folder, f)
		if p.Live != nil && errors.Is(err, os.ErrNotExist) {
			continue // it is about to be drawn
		}
		if err != nil {
			return nil, err
		}
		view.Figures = append(view.Figures, picture)
	}
	switch {
	case len(view.Figures) > 0:
		view.Main, view.Figures = &view.Figures[0], view.Figures[1:]
	case p.Live != nil && p.Live.Glimpse != nil:
		view.Main = p.Live.Glimpse.picture()
	}
	var err error
	if view.Fits, err = p.fits(folder); err != nil {
		return nil, err
	}
	view.Remarks = p.Report.Notes[min(len(p.Report.Warnings), len(p.Report.Notes)):]
	view.Differ = slices.DeleteFunc(slices.Clone(p.Settings), func(s config.Setting) bool { return !changed(s) })
	return Render(pageTemplate, view)
}

// Render executes a template and replaces what cannot be printed.
func Render(t *template.Template, view any) ([]byte, error) {
	var text bytes.Buffer
	if err := t.Execute(&text, view); err != nil {
		return nil, err
	}
	return []byte(printable(text.String(), "\n\t")), nil
}

func changed(s config.Setting) bool { return s.Value != s.Default }

// alerts are what a reader must know before any number.
func (r *Report) alerts() (all []string) {
	if r.Stop.Text != "" && !r.Stop.Warned() {
		all = append(all, "Stopped early: "+r.Stop.Text)
	}
	all = append(all, r.Warnings...)
	switch n := r.NaNCount; {
	case n == 1:
		all = append(all, "1 number of this report is not finite.")
	case n > 1:
		all = append(all, fmt.Sprintf("%d numbers of this report are not finite.", n))
	}
	return all
}

// brief is a text cut after its first sentence if it is long.
type brief struct{ Short, Rest string }

func newBrief(text string) brief {
	const long = 140
	if len(text) > long {
		if short, rest, ok := strings.Cut(text, ". "); ok {
			return brief{short + ".", rest}
		}
	}
	return brief{text, ""}
}
