// Package text reads text files of tables: it finds their encoding, what separates their
// columns, whether the first line names these, and what texts of numbers and times mean.
package text

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// File opens a text file as UTF-8 with lines that end in \n or \r\n. What it
// needs to know for that is found by the first opening.
type File struct {
	Path   string
	Gzip   bool
	Legacy bool // Windows-1252, which holds Latin-1
	CR     bool // lines end in \r alone
	Spaces bool // runs of spaces are one separator
}

// ErrNotUTF8 asks for another opening with legacy.
var ErrNotUTF8 = encoding.ErrInvalidUTF8

const (
	markUTF8    = "\ufeff" // spreadsheets begin a file with it
	markUTF16LE = "\xff\xfe"
	markUTF16BE = "\xfe\xff"
)

// Open is the text; closing ends it. name is the encoding where it is not UTF-8.
func (t *File) Open() (in io.Reader, name string, closing func() error, err error) {
	f, err := os.Open(t.Path)
	if err != nil {
		return nil, "", nil, err
	}
	raw := bufio.NewReaderSize(f, 1<<18)
	if t.Gzip {
		zip, err := gzip.NewReader(raw)
		if err != nil {
			f.Close()
			return nil, "", nil, fmt.Errorf("gzip: %w", err)
		}
		raw = bufio.NewReaderSize(zip, 1<<18)
	}
	start, _ := raw.Peek(3)
	switch {
	case string(start) == markUTF8:
		raw.Discard(len(markUTF8))
		in = transform.NewReader(raw, encoding.UTF8Validator)
	case len(start) > 1 && (string(start[:2]) == markUTF16LE || string(start[:2]) == markUTF16BE):
		name = "UTF-16"
		in = transform.NewReader(raw, unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder())
	case t.Legacy:
		name = "Windows-1252"
		in = transform.NewReader(raw, charmap.Windows1252.NewDecoder())
	default:
		in = transform.NewReader(raw, encoding.UTF8Validator)
	}
	if t.CR {
		in = &replacing{in}
	}
	in = &lineReader{r: in, line: 1}
	if t.Spaces {
		in = &spaceReader{in: bufio.NewReaderSize(in, 1<<16), start: true}
	}
	return in, name, f.Close, nil
}

// sampleSize is the part of a text from which its dialect is inferred.
const sampleSize = 1 << 20

// Sample is the beginning of the text, without a last line that is cut. It finds
// the encoding and the ends of lines.
func (t *File) Sample() (start []byte, name string, err error) {
	for {
		in, name, closing, err := t.Open()
		if err != nil {
			return nil, "", err
		}
		start = make([]byte, sampleSize)
		n, err := io.ReadFull(in, start)
		closing()
		start = start[:n]
		switch whole := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); {
		case errors.Is(err, ErrNotUTF8) && !t.Legacy:
			t.Legacy = true
		case err != nil && !whole:
			return nil, name, err
		case bytes.IndexByte(start, 0) >= 0:
			return nil, name, errors.New("it holds zero bytes, so it is no text in UTF-8 or Windows-1252; UTF-16 is read if it begins with a byte order mark")
		case !t.CR && bytes.IndexByte(start, '\r') >= 0 && bytes.IndexByte(start, '\n') < 0 && !bytes.HasSuffix(start, []byte("\r")) ||
			!t.CR && bytes.Count(start, []byte("\r")) > 1 && bytes.IndexByte(start, '\n') < 0:
			t.CR = true
		default:
			if end := bytes.LastIndexByte(start, '\n'); !whole && end >= 0 {
				start = start[:end+1]
			}
			return start, name, nil
		}
	}
}

// replacing ends lines by \n instead of \r.
type replacing struct{ r io.Reader }

func (c *replacing) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i, b := range p[:n] {
		if b == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// maxLine is the largest length of a line: 16 MiB, about a million numbers.
const maxLine = 16 << 20

// lineReader refuses lines beyond maxLine, which encoding/csv would hold whole.
type lineReader struct {
	r            io.Reader
	line, length int
}

func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	l.length += n
	if last := bytes.LastIndexByte(p[:n], '\n'); last >= 0 {
		l.line += bytes.Count(p[:n], []byte("\n"))
		l.length = n - last - 1
	}
	if l.length > maxLine {
		return 0, fmt.Errorf("line %d is longer than %d bytes; at most that many are read", l.line, maxLine)
	}
	return n, err
}

// spaceReader makes one space of a run of spaces and tabs outside of quotes, and
// none at the ends of lines.
type spaceReader struct {
	in     *bufio.Reader
	start  bool // of a line
	held   bool // a space that is written before the next field
	quoted bool
}

func (s *spaceReader) Read(p []byte) (n int, err error) {
	for n+2 <= len(p) {
		b, err := s.in.ReadByte()
		if err != nil {
			return n, err
		}
		switch {
		case !s.quoted && (b == ' ' || b == '\t' || b == '\r'):
			s.held = !s.start
			continue
		case b == '\n' && !s.quoted:
			s.start, s.held = true, false
		default:
			if s.held {
				p[n] = ' '
				n++
			}
			s.start, s.held = false, false
			if b == '"' {
				s.quoted = !s.quoted
			}
		}
		p[n] = b
		n++
	}
	return n, nil
}
