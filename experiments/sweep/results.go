package sweep

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cmf/data/file"
	"cmf/experiments/report"
)

// write writes the results of the cells: ablation.csv, ablation.md, report.json and
// index.html.
func (p *plan) write(started time.Time) error {
	var tables []table
	for _, h := range p.Metrics {
		tables = append(tables, p.tabulate(h))
	}
	report := p.report(started, tables)
	if err := p.writeCSV(); err != nil {
		return fmt.Errorf("ablation.csv: %w", err)
	}
	if err := p.writeTable(tables[0]); err != nil {
		return fmt.Errorf("ablation.md: %w", err)
	}
	if err := report.Write(p.folder); err != nil {
		return err
	}
	if err := p.writePage(report, tables); err != nil {
		return fmt.Errorf("index.html: %w", err)
	}
	return nil
}

// report has the means over seeds: metrics as VARIANT.SET.METRIC, floor and baseline as
// SET.METRIC, and the standard deviations as NAME.sd.
func (p *plan) report(started time.Time, tables []table) *report.Report {
	r := &report.Report{
		Experiment: p.Name, Started: started, Seconds: time.Since(started).Seconds(), Config: report.ConfigOf(p.settings),
		Data:    strings.Join(p.columns(), ", "),
		Machine: report.ThisMachine(), Metrics: report.Numbers{}, Floor: report.Numbers{}, Baseline: report.Numbers{},
	}
	put := func(into report.Numbers, name string, s estimate) {
		if s.n > 0 {
			into[name] = s.mean
		}
		if s.n > 1 {
			into[name+".sd"] = s.sd
		}
	}
	for _, t := range tables {
		for k, set := range p.columns() {
			put(r.Floor, set+"."+t.Metric, t.Floor.Entries[k].estimate)
			put(r.Baseline, set+"."+t.Metric, t.Baseline.Entries[k].estimate)
			for _, l := range t.Variants {
				put(r.Metrics, l.Name+"."+set+"."+t.Metric, l.Entries[k].estimate)
			}
		}
	}
	left := 0
	for _, c := range p.cells {
		switch {
		case c.failure != "":
			r.Notes = append(r.Notes, fmt.Sprintf("failed: %v: %s", c, c.failure))
		case c.report == nil:
			left++
		default:
			r.Steps += c.report.Steps
			r.Machine = c.report.Machine
		}
	}
	r.Stop = report.Stop{Reason: report.Finished, Step: len(p.cells) - left, Of: len(p.cells)}
	if left > 0 {
		r.Stop.Reason = report.Interrupted
		r.Stop.Text = fmt.Sprintf("interrupted with %d of %d cells to run; %s goes on", left, len(p.cells), report.Command(p.Name, p.settings))
	}
	return r
}

// writeCSV writes a line for each cell with all its numbers: empty if the cell does not
// have the number, and "NaN" if it is not finite.
func (p *plan) writeCSV() error {
	parts := []struct {
		prefix string
		of     func(*report.Report) report.Numbers
	}{
		{"", func(r *report.Report) report.Numbers { return r.Metrics }},
		{"floor.", func(r *report.Report) report.Numbers { return r.Floor }},
		{"baseline.", func(r *report.Report) report.Numbers { return r.Baseline }},
	}
	var names [3][]string
	for k, part := range parts {
		all := map[string]bool{}
		for _, c := range p.cells {
			if c.report != nil {
				for name := range part.of(c.report) {
					all[name] = true
				}
			}
		}
		names[k] = slices.Sorted(maps.Keys(all))
	}
	head := []string{"variant", "set", "seed", "status", "message", "seconds", "steps"}
	for k, part := range parts {
		for _, name := range names[k] {
			head = append(head, part.prefix+name)
		}
	}
	return file.Write(filepath.Join(p.folder, "ablation.csv"), func(w io.Writer) error {
		out := csv.NewWriter(w)
		lines := [][]string{head}
		for _, c := range p.cells {
			line := append(make([]string, 0, len(head)), c.Variant, c.Set, strconv.FormatUint(c.Seed, 10), c.status(), c.failure)
			if c.report != nil {
				line = append(line, fmt.Sprintf("%.3f", c.report.Seconds), strconv.Itoa(c.report.Steps))
				for k, part := range parts {
					for _, name := range names[k] {
						text := ""
						if v, ok := part.of(c.report)[name]; ok {
							text = strconv.FormatFloat(v, 'g', -1, 64)
						}
						line = append(line, text)
					}
				}
			}
			lines = append(lines, line[:len(head)])
		}
		return out.WriteAll(lines)
	})
}

// status says in a word how a cell stands.
func (c *cell) status() string {
	switch {
	case c.failure != "":
		return "failed"
	case c.report == nil:
		return "unfinished"
	}
	return "finished"
}

// writeTable writes the first table, with the best entry of each set in bold.
func (p *plan) writeTable(t table) error {
	head := append([]string{t.Title()}, p.columns()...)
	var rows [][]string
	for _, l := range slices.Concat(t.Variants, []tableLine{t.Baseline, t.Floor}) {
		row := []string{l.Name}
		for _, e := range l.Entries {
			text := e.String()
			if e.Best {
				text = "**" + text + "**"
			}
			row = append(row, text)
		}
		rows = append(rows, append(row, l.Ratio))
	}
	return report.WriteMarkdown(filepath.Join(p.folder, "ablation.md"), append(head, "over data against data"), rows)
}
