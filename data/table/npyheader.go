package table

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
	npyMagic     = "\x93NUMPY"
	maxNPYHeader = 1 << 20
)

// npyHeader is the header of numpy.lib.format.
type npyHeader struct {
	fields  []npyField // one without a name, unless the array is structured
	record  bool       // structured
	fortran bool
	shape   []int64
	size    int64 // of the header in bytes, with its preamble
}

// npyField is a field of a structured array, or its only type.
type npyField struct {
	name  string
	descr string
	order binary.ByteOrder
	kind  byte   // as in NumPy: b, i, u, f, S, U or M
	width int    // bytes
	unit  string // of datetime64, ns, us, …
	step  int64  // units of datetime64 in a value
}

// readNPYHeader reads the formats 1, 2 and 3.
func readNPYHeader(r io.Reader) (*npyHeader, error) {
	start := make([]byte, 8)
	if _, err := io.ReadFull(r, start); err != nil || string(start[:6]) != npyMagic {
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
	if n > maxNPYHeader {
		return nil, fmt.Errorf("header length is %d; it must be at most %d bytes", n, maxNPYHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, errors.New("the header is cut")
	}
	h, err := parseNPYHeader(string(text))
	if err != nil {
		return nil, fmt.Errorf("malformed header: %w", err)
	}
	h.size = int64(8 + lengthBytes + int(n))
	return h, nil
}

// parseNPYHeader reads the dict of a header; its keys may be in any order.
func parseNPYHeader(text string) (*npyHeader, error) {
	p := &literal{text: text}
	value, err := p.value(0)
	if err != nil {
		return nil, err
	}
	dict, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("it is not a dict")
	}
	for _, key := range []string{"descr", "fortran_order", "shape"} {
		if _, ok := dict[key]; !ok {
			return nil, fmt.Errorf("it lacks the key %q", key)
		}
	}
	h := &npyHeader{}
	if h.fortran, ok = dict["fortran_order"].(bool); !ok {
		return nil, errors.New("fortran_order is neither True nor False")
	}
	shape, ok := dict["shape"].([]any)
	if !ok {
		return nil, errors.New("shape is not a tuple")
	}
	for _, side := range shape {
		n, ok := side.(int64)
		if !ok || n < 0 {
			return nil, fmt.Errorf("shape is %v; it must consist of whole numbers from 0", shape)
		}
		h.shape = append(h.shape, n)
	}
	switch descr := dict["descr"].(type) {
	case string:
		field, err := parseDescr("", descr)
		if err != nil {
			return nil, err
		}
		h.fields = []npyField{field}
	case []any:
		h.record = true
		for _, part := range descr {
			field, err := parseField(part)
			if err != nil {
				return nil, err
			}
			h.fields = append(h.fields, field)
		}
	default:
		return nil, errors.New("descr is neither a text nor a list")
	}
	return h, nil
}

// parseField reads a field of a structured type: (name, type).
func parseField(part any) (npyField, error) {
	tuple, ok := part.([]any)
	if !ok || len(tuple) < 2 {
		return npyField{}, errors.New("a field of descr is not (name, type)")
	}
	name, ok := tuple[0].(string)
	if titled, is := tuple[0].([]any); is && len(titled) == 2 { // (title, name)
		name, ok = titled[1].(string)
	}
	descr, simple := tuple[1].(string)
	if !ok || !simple || len(tuple) > 2 {
		return npyField{}, fmt.Errorf("the field %q is nested; allowed are fields of numbers, texts and times", fmt.Sprint(tuple[0]))
	}
	return parseDescr(name, descr)
}

const allowedTypes = "booleans, integers, float16, float32, float64, texts (S, U) and datetime64"

// parseDescr reads a type such as <f4.
func parseDescr(name, descr string) (f npyField, err error) {
	wrong := func() (npyField, error) {
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
	f = npyField{name: name, descr: descr, order: binary.LittleEndian}
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
	f.kind = rest[0]
	count, unit, dated := strings.Cut(rest[1:], "[")
	if f.width, err = strconv.Atoi(count); err != nil || f.width < 1 || f.width > 1<<20 {
		return wrong()
	}
	widths := map[byte][]int{'b': {1}, 'i': {1, 2, 4, 8}, 'u': {1, 2, 4, 8}, 'f': {2, 4, 8}, 'M': {8}}
	switch f.kind {
	case 'S', 'a':
		f.kind = 'S'
	case 'U':
		f.width *= 4
	case 'b', 'i', 'u', 'f', 'M':
		if !slices.Contains(widths[f.kind], f.width) {
			return wrong()
		}
	default:
		return wrong()
	}
	if f.kind == 'M' {
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
	return nil, fmt.Errorf("%q is not understood", clipped(p.text[p.at:]))
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
		return nil, fmt.Errorf("the number %q is not a whole number of 64 bits", clipped(p.text[from:p.at]))
	}
	if p.at < len(p.text) && p.text[p.at] == 'L' { // as Python 2 wrote them
		p.at++
	}
	return v, nil
}
