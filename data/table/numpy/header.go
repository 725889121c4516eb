// Package numpy reads and writes the bytes of NumPy's array files: the header of
// numpy.lib.format and the values of its types.
package numpy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

const (
	// Magic begins an array file.
	Magic     = "\x93NUMPY"
	maxHeader = 1 << 20
)

// Header is the header of numpy.lib.format.
type Header struct {
	Fields  []Field // one without a name, unless the array is structured
	Record  bool    // structured
	Fortran bool    // columns lie one after the other
	Shape   []int64
	Size    int64 // of the header in bytes, with its preamble
}

// Field is a field of a structured array, or its only type.
type Field struct {
	Name  string
	Type  string // such as <f4
	Kind  byte   // as in NumPy: b, i, u, f, S, U or M
	Width int    // bytes

	order binary.ByteOrder
	unit  string // of datetime64, ns, us, …
	step  int64  // units of datetime64 in a value
}

var errNoColumns = errors.New("it holds no columns")

// ReadHeader reads the formats 1, 2 and 3.
func ReadHeader(r io.Reader) (*Header, error) {
	start := make([]byte, 8)
	if _, err := io.ReadFull(r, start); err != nil || string(start[:6]) != Magic {
		return nil, errors.New("it is no NumPy array: it does not begin with \\x93NUMPY")
	}
	lengthBytes := 4
	switch start[6] {
	case 1:
		lengthBytes = 2
	case 2, 3:
	default:
		return nil, fmt.Errorf("the array has the format version %d.%d; versions 1 to 3 are read", start[6], start[7])
	}
	length := make([]byte, 4)
	if _, err := io.ReadFull(r, length[:lengthBytes]); err != nil {
		return nil, errors.New("the header is cut")
	}
	n := binary.LittleEndian.Uint32(length)
	if n > maxHeader {
		return nil, fmt.Errorf("header length is %d; it must be at most %d bytes", n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, errors.New("the header is cut")
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return nil, err
	}
	h.Size = int64(8 + lengthBytes + int(n))
	return h, nil
}

// parseHeader reads the dict of a header; its keys may be in any order.
func parseHeader(text string) (*Header, error) {
	p := &literal{text: text}
	value, err := p.value(0)
	if err != nil {
		return nil, fmt.Errorf("malformed header: %w", err)
	}
	dict, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("malformed header: it is not a dict")
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if _, ok := dict[key]; !ok {
			return nil, fmt.Errorf("malformed header: it lacks the key %q", key)
		}
	}
	h := &Header{}
	if h.Fortran, ok = dict["fortran_order"].(bool); !ok {
		return nil, errors.New("malformed header: fortran_order is neither True nor False")
	}
	shape, ok := dict["shape"].([]any)
	if !ok {
		return nil, errors.New("malformed header: shape is not a tuple")
	}
	for _, side := range shape {
		n, ok := side.(int64)
		if !ok || n < 0 {
			return nil, fmt.Errorf("shape is %v; it must consist of whole numbers from 0", shape)
		}
		h.Shape = append(h.Shape, n)
	}
	switch descr := dict["descr"].(type) {
	case string:
		field, err := ParseType("", descr)
		if err != nil {
			return nil, err
		}
		h.Fields = []Field{field}
	case []any:
		h.Record = true
		for _, part := range descr {
			field, err := parseField(part)
			if err != nil {
				return nil, err
			}
			h.Fields = append(h.Fields, field)
		}
	default:
		return nil, errors.New("malformed header: descr is neither a text nor a list")
	}
	return h, nil
}

// parseField reads a field of a structured type: (name, type).
func parseField(part any) (Field, error) {
	tuple, ok := part.([]any)
	if !ok || len(tuple) < 2 {
		return Field{}, errors.New("malformed header: a field of descr is not (name, type)")
	}
	name, ok := tuple[0].(string)
	if titled, is := tuple[0].([]any); is && len(titled) == 2 { // (title, name)
		name, ok = titled[1].(string)
	}
	descr, simple := tuple[1].(string)
	if !ok || !simple || len(tuple) > 2 {
		return Field{}, fmt.Errorf("the field %q is nested; allowed are fields of numbers, texts and times", fmt.Sprint(tuple[0]))
	}
	return ParseType(name, descr)
}

const allowedTypes = "booleans, integers, float16, float32, float64, texts (S, U) and datetime64"

// ParseType reads a type such as <f4 of a field with the given name.
func ParseType(name, descr string) (f Field, err error) {
	wrong := func() (Field, error) {
		what := map[byte]string{'O': "Python objects", 'c': "complex numbers", 'm': "time differences", 'V': "raw bytes"}
		says := ""
		if rest := strings.TrimLeft(descr, "<>=|"); rest != "" && what[rest[0]] != "" {
			says = ", which is " + what[rest[0]]
		}
		if name != "" {
			return f, fmt.Errorf("the dtype of field %q is %q%s; allowed are %s", name, descr, says, allowedTypes)
		}
		return f, fmt.Errorf("dtype is %q%s; allowed are %s", descr, says, allowedTypes)
	}
	f = Field{Name: name, Type: descr, order: binary.LittleEndian}
	rest := descr
	if rest != "" && strings.ContainsRune("<>=|", rune(rest[0])) {
		if rest[0] == '>' {
			f.order = binary.BigEndian
		}
		rest = rest[1:] // native order is that of all machines that NumPy is used on
	}
	if rest == "?" {
		rest = "b1"
	}
	if len(rest) < 2 {
		return wrong()
	}
	f.Kind = rest[0]
	count, unit, dated := strings.Cut(rest[1:], "[")
	if f.Width, err = strconv.Atoi(count); err != nil || f.Width < 1 || f.Width > 1<<20 {
		return wrong()
	}
	widths := map[byte][]int{'b': {1}, 'i': {1, 2, 4, 8}, 'u': {1, 2, 4, 8}, 'f': {2, 4, 8}, 'M': {8}}
	switch f.Kind {
	case 'S', 'a':
		f.Kind = 'S'
	case 'U':
		f.Width *= 4
	case 'b', 'i', 'u', 'f', 'M':
		if !slices.Contains(widths[f.Kind], f.Width) {
			return wrong()
		}
	default:
		return wrong()
	}
	if f.Kind == 'M' {
		unit, ok := strings.CutSuffix(unit, "]")
		digits := strings.TrimLeft(unit, "0123456789")
		f.step, f.unit = 1, digits
		if number := unit[:len(unit)-len(digits)]; number != "" {
			f.step, err = strconv.ParseInt(number, 10, 32)
		}
		if !ok || err != nil || f.step < 1 || !slices.Contains([]string{"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"}, digits) {
			return wrong()
		}
	} else if dated {
		return wrong()
	}
	return f, nil
}

// Layout is the shape (n, d) of the table, if the body has as many bytes as it needs
// and at most the given number of values.
func (h *Header) Layout(body, most int64) (rows, cols int, err error) {
	if len(h.Fields) == 0 {
		return 0, 0, errNoColumns
	}
	n, d := int64(0), int64(1)
	switch {
	case len(h.Shape) == 1:
		n = h.Shape[0]
	case len(h.Shape) == 2 && !h.Record:
		n, d = h.Shape[0], h.Shape[1]
	case h.Record:
		return 0, 0, fmt.Errorf("shape is %v; that of a structured array must be (n,)", h.Shape)
	default:
		return 0, 0, fmt.Errorf("shape is %v; it must be (n, d) or (n,)", h.Shape)
	}
	width := int64(0)
	for _, f := range h.Fields {
		width += int64(f.Width)
	}
	const mostColumns = 1 << 20
	if d > mostColumns || n > most || n*max(1, d)*int64(len(h.Fields)) > most {
		return 0, 0, fmt.Errorf("shape is %v; at most %d values and %d columns are read", h.Shape, most, mostColumns)
	}
	if want := n * d * width; body != want {
		return 0, 0, fmt.Errorf("%d bytes follow the header; shape %v of %s needs %d", body, h.Shape, h.types(), want)
	}
	if d == 0 {
		return 0, 0, errNoColumns
	}
	return int(n), int(d), nil
}

func (h *Header) types() string {
	var out []string
	for _, f := range h.Fields {
		out = append(out, fmt.Sprintf("%q", f.Type))
	}
	return strings.Join(out, ", ")
}

// literal parses the part of Python's literals that headers use.
type literal struct {
	text string
	at   int
}

func (p *literal) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n\r\x00", p.text[p.at]) >= 0 {
		p.at++
	}
}

// take reads the byte b if it is next.
func (p *literal) take(b byte) bool {
	p.space()
	if p.at < len(p.text) && p.text[p.at] == b {
		p.at++
		return true
	}
	return false
}

const mostNested = 8

func (p *literal) value(depth int) (any, error) {
	p.space()
	if depth > mostNested || p.at >= len(p.text) {
		return nil, errors.New("it is cut or nested too deeply")
	}
	switch b := p.text[p.at]; {
	case p.take('{'):
		return p.dict(depth)
	case p.take('('):
		return p.list(')', depth)
	case p.take('['):
		return p.list(']', depth)
	case b == '\'' || b == '"':
		return p.quoted(b)
	case b == '-' || b >= '0' && b <= '9':
		return p.number()
	}
	for word, value := range map[string]any{"True": true, "False": false, "None": nil} {
		if strings.HasPrefix(p.text[p.at:], word) {
			p.at += len(word)
			return value, nil
		}
	}
	for _, mark := range []string{"u'", "b'", `u"`, `b"`} {
		if strings.HasPrefix(p.text[p.at:], mark) {
			p.at++
			return p.quoted(mark[1])
		}
	}
	return nil, fmt.Errorf("%q is not understood", p.text[p.at:])
}

func (p *literal) dict(depth int) (any, error) {
	out := map[string]any{}
	for !p.take('}') {
		key, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok || !p.take(':') {
			return nil, errors.New("a key of its dict is not a text")
		}
		if out[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		if !p.take(',') && !(p.at < len(p.text) && p.text[p.at] == '}') {
			return nil, errors.New("its dict does not end")
		}
	}
	return out, nil
}

func (p *literal) list(end byte, depth int) (any, error) {
	out := []any{}
	for !p.take(end) {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		if !p.take(',') && !(p.at < len(p.text) && p.text[p.at] == end) {
			return nil, errors.New("its tuple does not end")
		}
	}
	return out, nil
}

func (p *literal) quoted(mark byte) (any, error) {
	p.at++
	var out strings.Builder
	for p.at < len(p.text) {
		b := p.text[p.at]
		p.at++
		switch {
		case b == mark:
			return out.String(), nil
		case b == '\\' && p.at < len(p.text):
			out.WriteByte(p.text[p.at])
			p.at++
		default:
			out.WriteByte(b)
		}
	}
	return nil, errors.New("its text does not end")
}

func (p *literal) number() (any, error) {
	from := p.at
	p.at++
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	v, err := strconv.ParseInt(p.text[from:p.at], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the number %q is not a whole number of 64 bits", p.text[from:p.at])
	}
	if p.at < len(p.text) && p.text[p.at] == 'L' { // as Python 2 wrote them
		p.at++
	}
	return v, nil
}
