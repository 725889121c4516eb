package table

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/float16"
)

// readNPY reads an array of a file of the given size.
func (r *reader) readNPY(f *os.File, size int64) (*Table, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r.format.Name = "npy"
	columns, h, err := readArray(bufio.NewReaderSize(f, 1<<18), size)
	if err != nil {
		return nil, err
	}
	r.format.Vector = len(h.shape) == 1 && !h.record
	t := &Table{Columns: columns, Format: r.format}
	return t, r.checkColumns(t)
}

// checkColumns gives the columns different names and leaves out those to skip.
func (r *reader) checkColumns(t *Table) error {
	names := make([]string, len(t.Columns))
	for j := range names {
		names[j] = t.Columns[j].Name
	}
	names, err := r.uniqueNames(names)
	if err != nil {
		return err
	}
	t.Format.Headless = !named(t)
	kept := t.Columns[:0]
	r.places = []int{}
	for j, c := range t.Columns {
		if c.Name = names[j]; r.o.Hints[called(c.Name, j)].Skip {
			r.leftOut = append(r.leftOut, c.Name)
			continue
		}
		kept, r.places = append(kept, c), append(r.places, j)
	}
	t.Columns = kept
	return nil
}

// readArray reads an array of at most size bytes, header and all. The header's
// claims are checked against the size before memory is taken.
func readArray(in io.Reader, size int64) ([]Column, *npyHeader, error) {
	h, err := readNPYHeader(in)
	if err != nil {
		return nil, nil, err
	}
	rows, cols, err := h.layout(size - h.size)
	if err != nil {
		return nil, h, err
	}
	out := make([]npyColumn, len(h.fields)*cols)
	for j := range out {
		out[j].npyField = h.fields[j%len(h.fields)]
		out[j].values = make([]float64, rows)
		if out[j].kind == 'M' {
			out[j].values = nil
		}
	}
	if h.fortran && !h.record && cols > 1 {
		for j := range out {
			if err := fill(in, out[j:j+1], rows); err != nil {
				return nil, h, err
			}
		}
	} else if err := fill(in, out, rows); err != nil {
		return nil, h, err
	}
	columns := make([]Column, len(out))
	for j := range out {
		if columns[j], err = out[j].column(); err != nil {
			return nil, h, fmt.Errorf("column %d: %w", j+1, err)
		}
	}
	return columns, h, nil
}

// layout is the shape of the table, if the body has as many bytes as it needs.
func (h *npyHeader) layout(body int64) (rows, cols int, err error) {
	if len(h.fields) == 0 {
		return 0, 0, errNoColumns
	}
	n, d := int64(0), int64(1)
	switch {
	case len(h.shape) == 1:
		n = h.shape[0]
	case len(h.shape) == 2 && !h.record:
		n, d = h.shape[0], h.shape[1]
	case h.record:
		return 0, 0, fmt.Errorf("shape is %v; that of a structured array must be (n,)", h.shape)
	default:
		return 0, 0, fmt.Errorf("shape is %v; it must be (n, d) or (n,)", h.shape)
	}
	width := int64(0)
	for _, f := range h.fields {
		width += int64(f.width)
	}
	const mostColumns = 1 << 20
	if d > mostColumns || n > maxValues || n*max(1, d)*int64(len(h.fields)) > maxValues {
		return 0, 0, fmt.Errorf("shape is %v; at most %d values and %d columns are read", h.shape, maxValues, mostColumns)
	}
	if want := n * d * width; body != want {
		return 0, 0, fmt.Errorf("%d bytes follow the header; shape %v of %s needs %d", body, h.shape, h.types(), want)
	}
	if d == 0 {
		return 0, 0, errNoColumns
	}
	return int(n), int(d), nil
}

func (h *npyHeader) types() string {
	var out []string
	for _, f := range h.fields {
		out = append(out, fmt.Sprintf("%q", f.descr))
	}
	return strings.Join(out, ", ")
}

// npyColumn is a column while it is read.
type npyColumn struct {
	npyField
	values []float64
	texts  texts
	stamps stamps
}

// fill reads the rows of columns that lie beside each other.
func fill(in io.Reader, columns []npyColumn, rows int) error {
	width := 0
	for j := range columns {
		width += columns[j].width
	}
	line := make([]byte, width)
	for i := range rows {
		if _, err := io.ReadFull(in, line); err != nil {
			return fmt.Errorf("row %d: %w", i+1, err)
		}
		rest := line
		for j := range columns {
			c := &columns[j]
			if err := c.put(i, rest[:c.width]); err != nil {
				return fmt.Errorf("row %d, column %d: %w", i+1, j+1, err)
			}
			rest = rest[c.width:]
		}
	}
	return nil
}

// put reads the value of row i.
func (c *npyColumn) put(i int, b []byte) error {
	var v float64
	switch c.kind {
	case 'b':
		if b[0] != 0 {
			v = 1
		}
	case 'f':
		v = c.float(b)
	case 'u':
		v = float64(c.unsigned(b))
	case 'i':
		v = float64(c.signed(b))
	case 'S':
		text := string(bytes.TrimRight(b, "\x00"))
		if !utf8.ValidString(text) {
			text = latin1(text)
		}
		v = c.texts.code(text)
	case 'U':
		text, err := c.runes(b)
		if err != nil {
			return err
		}
		v = c.texts.code(text)
	case 'M':
		return c.stamp(c.signed(b))
	}
	c.values[i] = v
	return nil
}

func (f *npyField) unsigned(b []byte) uint64 {
	switch f.width {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(f.order.Uint16(b))
	case 4:
		return uint64(f.order.Uint32(b))
	}
	return f.order.Uint64(b)
}

func (f *npyField) signed(b []byte) int64 {
	shift := 64 - 8*f.width
	return int64(f.unsigned(b)<<shift) >> shift
}

func (f *npyField) float(b []byte) float64 {
	switch f.width {
	case 2:
		return float64(float16.FromBits(f.order.Uint16(b)).Float32())
	case 4:
		return float64(math.Float32frombits(f.order.Uint32(b)))
	}
	return math.Float64frombits(f.order.Uint64(b))
}

func (f *npyField) runes(b []byte) (string, error) {
	var out strings.Builder
	for len(b) > 0 {
		code := f.order.Uint32(b)
		if code > utf8.MaxRune {
			return "", fmt.Errorf("the character %#x does not exist", code)
		}
		out.WriteRune(rune(code))
		b = b[4:]
	}
	return strings.TrimRight(out.String(), "\x00"), nil
}

func latin1(text string) string {
	var out strings.Builder
	for i := range len(text) {
		out.WriteRune(rune(text[i]))
	}
	return out.String()
}

var errTime = errors.New("a time lies outside of the years -9999 to 9999")

// stamp is a datetime64; the least number is NaT.
func (c *npyColumn) stamp(v int64) error {
	if v == math.MinInt64 {
		c.stamps.missing()
		return nil
	}
	if limit := math.MaxInt64 / c.step; v > limit || v < -limit {
		return errTime
	}
	v *= c.step
	at, ok := timeOf(v, c.unit)
	if !ok {
		return errTime
	}
	c.stamps.add(at)
	return nil
}

// timeOf is the time v units of datetime64 since 1970.
func timeOf(v int64, unit string) (at time.Time, ok bool) {
	const most = 12000 // years
	seconds := map[string]int64{"W": 7 * day, "D": day, "h": 3600, "m": 60, "s": 1}[unit]
	switch per, fine := perSecond(unit); {
	case unit == "Y" && v > -most && v < most:
		at = time.Date(1970+int(v), 1, 1, 0, 0, 0, 0, time.UTC)
	case unit == "M" && v > -12*most && v < 12*most:
		at = time.Date(1970, time.Month(1+v), 1, 0, 0, 0, 0, time.UTC)
	case seconds > 0 && v > -most*366*day/seconds && v < most*366*day/seconds:
		at = time.Unix(v*seconds, 0).UTC()
	case fine && seconds == 0 && per > 0:
		whole := floorDiv(v, per)
		at = time.Unix(whole, (v-whole*per)*(1e9/per)).UTC()
	default:
		return at, false
	}
	return at, at.Year() > -10000 && at.Year() < 10000
}

func (c *npyColumn) column() (Column, error) {
	out := Column{Name: c.name, Values: c.values, Decimals: -1, Stored: c.descr}
	switch c.kind {
	case 'b':
		out.Kind, out.Labels, out.Decimals = Boolean, []string{"false", "true"}, 0
	case 'i', 'u':
		out.Kind, out.Decimals = Integer, 0
	case 'f':
		out.Kind = Real
	case 'M':
		values, clock := c.stamps.column()
		if values == nil {
			values = []float64{}
		}
		out.Kind, out.Values, out.Clock, out.Decimals = Time, values, &clock, 0
	default:
		out.Kind, out.Labels, out.Decimals = Category, c.texts.labels, 0
	}
	return out, nil
}

// writable is a dtype as it is written: native order becomes that of the bytes.
func writable(descr string) string {
	if rest, native := strings.CutPrefix(descr, "="); native {
		return "<" + rest
	}
	return descr
}

// appendValue writes the value v of the column c as the field's type.
func (f *npyField) appendValue(b []byte, c *Column, v float64) ([]byte, error) {
	order := binary.AppendByteOrder(binary.LittleEndian)
	if f.order == binary.ByteOrder(binary.BigEndian) {
		order = binary.BigEndian
	}
	switch f.kind {
	case 'f':
		v, err := f.number(c, v)
		if err != nil {
			return b, err
		}
		switch f.width {
		case 2:
			return order.AppendUint16(b, float16.New(float32(v)).Uint16()), nil
		case 4:
			return order.AppendUint32(b, math.Float32bits(float32(v))), nil
		}
		return order.AppendUint64(b, math.Float64bits(v)), nil
	case 'S', 'U':
		return f.appendText(b, c, v)
	}
	whole, err := f.whole(c, v)
	if err != nil {
		return b, err
	}
	switch f.width {
	case 1:
		return append(b, byte(whole)), nil
	case 2:
		return order.AppendUint16(b, uint16(whole)), nil
	case 4:
		return order.AppendUint32(b, uint32(whole)), nil
	}
	return order.AppendUint64(b, uint64(whole)), nil
}

// whole is a value as a whole number of the field's type, or an error if it does
// not have it.
func (f *npyField) whole(c *Column, v float64) (int64, error) {
	if f.kind == 'M' {
		if math.IsNaN(v) {
			return math.MinInt64, nil
		}
		return f.since1970(c.Clock.instant(v)), nil
	}
	if math.IsNaN(v) {
		return 0, fmt.Errorf("the type %s has no missing values", f.descr)
	}
	if f.kind != 'b' {
		var err error
		if v, err = c.stored(v); err != nil {
			return 0, err
		}
	}
	v = math.RoundToEven(v)
	low, high := 0., math.Ldexp(1, 8*f.width)
	if f.kind == 'i' {
		low, high = -high/2, high/2
	} else if f.kind == 'b' {
		high = 2
	}
	if v < low || v >= high {
		// Of whole numbers beyond 2⁵³ the largest are rounded up to the limit.
		if f.width == 8 && v == high {
			return int64(uint64(1)<<63 - 1), nil
		}
		return 0, fmt.Errorf("%s is not a value of the type %s", short(v), f.descr)
	}
	if f.kind == 'u' && f.width == 8 {
		return int64(uint64(v)), nil
	}
	return int64(v), nil
}

// since1970 is a time in the units of datetime64.
func (f *npyField) since1970(at time.Time) int64 {
	at = at.UTC()
	v := int64(0)
	switch f.unit {
	case "Y":
		v = int64(at.Year() - 1970)
	case "M":
		v = int64(at.Year()-1970)*12 + int64(at.Month()) - 1
	default:
		if per, fine := perSecond(f.unit); fine && per > 0 {
			v = at.Unix()*per + int64(at.Nanosecond())/(1e9/per)
		} else {
			v = floorDiv(at.Unix(), map[string]int64{"W": 7 * day, "D": day, "h": 3600, "m": 60}[f.unit])
		}
	}
	return floorDiv(v, f.step)
}

func (f *npyField) appendText(b []byte, c *Column, v float64) ([]byte, error) {
	text := ""
	if !math.IsNaN(v) {
		text = c.Labels[int(v)]
	}
	from := len(b)
	if f.kind == 'S' {
		b = append(b, text...)
	} else {
		for _, r := range text {
			code := make([]byte, 4)
			f.order.PutUint32(code, uint32(r))
			b = append(b, code...)
		}
	}
	if len(b)-from > f.width {
		return b, fmt.Errorf("%q is too long for the type %s", clipped(text), f.descr)
	}
	for len(b)-from < f.width {
		b = append(b, 0)
	}
	return b, nil
}
