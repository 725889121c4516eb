package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"cmf/data/file"
)

// Markdown writes a table in Markdown; its first column is aligned on the left.
func Markdown(w io.Writer, head []string, rows [][]string) error {
	rule := slices.Repeat([]string{"---:"}, len(head))
	rule[0] = "---"
	for _, row := range append([][]string{head, rule}, rows...) {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | ")); err != nil {
			return err
		}
	}
	return nil
}

// WriteMarkdown writes a file that holds one table.
func WriteMarkdown(path string, head []string, rows [][]string) error {
	return file.Write(path, func(w io.Writer) error { return Markdown(w, head, rows) })
}
