package experiments

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"cmf/data/file"
)

// benchTable is table.md: a line on the processor, then tables in Markdown.
type benchTable struct{ text bytes.Buffer }

// line adds a paragraph.
func (t *benchTable) line(format string, args ...any) {
	fmt.Fprintf(&t.text, format+"\n\n", args...)
}

// add adds a table.
func (t *benchTable) add(head []string, rows [][]string) {
	markdown(&t.text, head, rows)
	t.text.WriteByte('\n')
}

func (t *benchTable) write(path string) error {
	return file.Write(path, func(w io.Writer) error {
		return file.Text(w, bytes.TrimSuffix(t.text.Bytes(), []byte("\n")))
	})
}

// percent is a share as a table shows it, – where the whole is unknown.
func percent(part, whole float64) string {
	if !(whole > 0) {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*part/whole)
}

// markdown writes a table in Markdown, its first column on the left.
func markdown(w io.Writer, head []string, rows [][]string) error {
	rule := slices.Repeat([]string{"---:"}, len(head))
	rule[0] = "---"
	for _, row := range append([][]string{head, rule}, rows...) {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | ")); err != nil {
			return err
		}
	}
	return nil
}

// writeMarkdown writes a file of one table.
func writeMarkdown(path string, head []string, rows [][]string) error {
	return file.Write(path, func(w io.Writer) error { return markdown(w, head, rows) })
}
