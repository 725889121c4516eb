package table

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cmf/data/file"
	"cmf/data/table/text"
)

// csvSink writes text.
type csvSink struct {
	part  *file.Part
	zip   *gzip.Writer
	out   *bufio.Writer
	comma string
	end   string
	point bool // numbers have a decimal comma
	like  *Table
	cells []cell
	line  []byte
	zones []*time.Location
}

// cell writes a value of a column.
type cell struct {
	labels []string // quoted
	null   string
}

func createCSV(path string, like *Table) (*csvSink, error) {
	f := like.Format
	s := &csvSink{comma: ",", end: "\n", point: f.DecimalComma, like: like}
	if f.Comma != "" {
		s.comma = f.Comma
	}
	if utf8.RuneCountInString(s.comma) != 1 || strings.ContainsAny(s.comma, "\"\r\n#") || f.DecimalComma && s.comma == "," {
		return nil, fmt.Errorf("columns cannot be separated by %q", s.comma)
	}
	if f.CRLF {
		s.end = "\r\n"
	}
	single := len(like.Columns) == 1
	for j := range like.Columns {
		c := &like.Columns[j]
		null := c.Null
		if !text.IsMissing(null) || null == "" && s.comma == " " {
			null = "NA"
		}
		one := cell{null: s.quoted(null, single)}
		for _, label := range c.Labels {
			one.labels = append(one.labels, s.quoted(label, single))
		}
		s.cells = append(s.cells, one)
		s.zones = append(s.zones, nil)
		if c.Clock != nil {
			s.zones[j] = c.Clock.location()
		}
	}
	var err error
	if s.part, err = file.Create(path); err != nil {
		return nil, err
	}
	to := io.Writer(s.part)
	if f.Gzip {
		s.zip = gzip.NewWriter(s.part)
		to = s.zip
	}
	s.out = bufio.NewWriterSize(to, 1<<16)
	if !f.Headless && named(like) {
		for j := range like.Columns {
			if j > 0 {
				s.out.WriteString(s.comma)
			}
			s.out.WriteString(s.quoted(like.Columns[j].Name, single))
		}
		s.out.WriteString(s.end)
	}
	return s, nil
}

// quoted is a text in quotes where it would otherwise be read as something else.
func (s *csvSink) quoted(text string, single bool) string {
	if text == "" && (single || s.comma == " ") || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "\ufeff") ||
		strings.Contains(text, s.comma) || strings.ContainsAny(text, "\"\r\n") || strings.TrimSpace(text) != text || s.comma == " " && strings.ContainsAny(text, "\t ") {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

func (s *csvSink) rows(t *Table, from, to int) error {
	for i := from; i < to; i++ {
		s.line = s.line[:0]
		for j := range t.Columns {
			if j > 0 {
				s.line = append(s.line, s.comma...)
			}
			s.line = s.value(s.line, j, t.Columns[j].Values[i])
		}
		s.line = append(s.line, s.end...)
		if _, err := s.out.Write(s.line); err != nil {
			return err
		}
	}
	return nil
}

func (s *csvSink) value(b []byte, j int, v float64) []byte {
	c := &s.like.Columns[j]
	switch {
	case math.IsNaN(v):
		return append(b, s.cells[j].null...)
	case c.Kind == Category || c.Kind == Boolean:
		return append(b, s.cells[j].labels[int(v)]...)
	case c.Kind == Time && c.Clock.Layout != "":
		at := c.Clock.instant(v).In(s.zones[j]).Format(c.Clock.Layout)
		return append(b, s.quoted(at, false)...)
	case c.Kind == Time:
		return strconv.AppendInt(b, c.Clock.Origin+int64(math.RoundToEven(v)), 10)
	case c.Kind == Integer:
		return strconv.AppendFloat(b, math.RoundToEven(v)+0, 'f', 0, 64)
	}
	at := len(b)
	if c.Decimals < 0 {
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	} else {
		b = strconv.AppendFloat(b, v, 'f', c.Decimals, 64)
	}
	if b[at] == '-' && strings.Trim(string(b[at+1:]), "0.") == "" { // −0 is 0
		b = append(b[:at], b[at+1:]...)
	}
	if s.point {
		for k := at; k < len(b); k++ {
			if b[k] == '.' {
				b[k] = ','
			}
		}
	}
	return b
}

func (s *csvSink) close() error {
	err := s.out.Flush()
	if s.zip != nil {
		err = errors.Join(err, s.zip.Close())
	}
	if err != nil {
		return err
	}
	return s.part.Commit()
}

func (s *csvSink) abort() error { return s.part.Abort() }
