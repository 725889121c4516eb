package main

import (
	"bytes"
	"fmt"
	"io"

	"cmf/data/file"
	"cmf/experiments/report"
)

// benchTable is table.md: a line about the processor, then tables in Markdown.
type benchTable struct{ text bytes.Buffer }

// line adds a paragraph.
func (t *benchTable) line(format string, args ...any) {
	fmt.Fprintf(&t.text, format+"\n\n", args...)
}

// add adds a table.
func (t *benchTable) add(head []string, rows [][]string) {
	report.Markdown(&t.text, head, rows)
	t.text.WriteByte('\n')
}

func (t *benchTable) write(path string) error {
	return file.Write(path, func(w io.Writer) error {
		return file.Text(w, bytes.TrimSuffix(t.text.Bytes(), []byte("\n")))
	})
}

// percent is a share as a table shows it, or – if the part or the whole is unknown.
func percent(part, whole float64) string {
	if !(part > 0 && whole > 0) {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*part/whole)
}
