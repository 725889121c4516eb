package figure

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"cmf/data/file"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// MostMarks is how many marks (lines, points, texts) a figure has at most that is also
// written as SVG. With more of them the PNG is smaller.
const MostMarks = 5000

// VectorPath is the path of the SVG of a figure, which is there if the figure has few marks.
func VectorPath(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".svg"
}

// writeVector writes the SVG of the figure that paint draws, or removes an earlier one.
func writeVector(path string, width, height vg.Length, marks int, paint func(c vg.Canvas) int) error {
	path = VectorPath(path)
	if marks > MostMarks {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	c := vgsvg.New(width, height)
	paint(c)
	var text bytes.Buffer
	if _, err := c.WriteTo(&text); err != nil {
		return err
	}
	// Arial and Helvetica have the widths of Liberation Sans, for readers without it.
	named := bytes.ReplaceAll(text.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
	return file.Write(path, func(w io.Writer) error { return file.Text(w, bytes.Map(inXML, named)) })
}

// inXML replaces what no XML file may hold, such as control characters in the names of columns.
func inXML(r rune) rune {
	if r < ' ' && r != '\n' && r != '\t' || r == 0xfffe || r == 0xffff {
		return unicode.ReplacementChar
	}
	return r
}
