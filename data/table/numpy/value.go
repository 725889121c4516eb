package numpy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow/float16"
)

// Writable is a type as it is written: native order becomes that of the bytes.
func Writable(descr string) string {
	if rest, native := strings.CutPrefix(descr, "="); native {
		return "<" + rest
	}
	return descr
}

func (f *Field) unsigned(b []byte) uint64 {
	switch f.Width {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(f.order.Uint16(b))
	case 4:
		return uint64(f.order.Uint32(b))
	}
	return f.order.Uint64(b)
}

func (f *Field) signed(b []byte) int64 {
	shift := 64 - 8*f.Width
	return int64(f.unsigned(b)<<shift) >> shift
}

// Number is the value of a field of booleans, integers or floats.
func (f *Field) Number(b []byte) float64 {
	switch {
	case f.Kind == 'b':
		return float64(min(b[0], 1))
	case f.Kind == 'u':
		return float64(f.unsigned(b))
	case f.Kind == 'i':
		return float64(f.signed(b))
	case f.Width == 2:
		return float64(float16.FromBits(f.order.Uint16(b)).Float32())
	case f.Width == 4:
		return float64(math.Float32frombits(f.order.Uint32(b)))
	}
	return math.Float64frombits(f.order.Uint64(b))
}

// Text is the value of a field of texts. Bytes that are not UTF-8 are read as
// Latin-1.
func (f *Field) Text(b []byte) (string, error) {
	var out strings.Builder
	if f.Kind == 'S' {
		b = bytes.TrimRight(b, "\x00")
		if utf8.Valid(b) {
			return string(b), nil
		}
		for _, c := range b {
			out.WriteRune(rune(c))
		}
		return out.String(), nil
	}
	for ; len(b) > 0; b = b[4:] {
		code := f.order.Uint32(b)
		if code > utf8.MaxRune {
			return "", fmt.Errorf("the character %#x does not exist", code)
		}
		out.WriteRune(rune(code))
	}
	return strings.TrimRight(out.String(), "\x00"), nil
}

var errTime = errors.New("a time lies outside of the years -9999 to 9999")

const day = 86400 // seconds

// perSecond are the units of datetime64 that a second holds, and the seconds in
// longer ones.
var (
	perSecond = map[string]int64{"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}
	seconds   = map[string]int64{"W": 7 * day, "D": day, "h": 3600, "m": 60}
)

// Time is the value of a field of datetime64; ok is false for NaT.
func (f *Field) Time(b []byte) (at time.Time, ok bool, err error) {
	v := f.signed(b)
	if v == math.MinInt64 {
		return at, false, nil
	}
	if limit := math.MaxInt64 / f.step; v > limit || v < -limit {
		return at, false, errTime
	}
	v *= f.step
	const years = 12000
	switch per := perSecond[f.unit]; {
	case f.unit == "Y" && v > -years && v < years:
		at = time.Date(1970+int(v), 1, 1, 0, 0, 0, 0, time.UTC)
	case f.unit == "M" && v > -12*years && v < 12*years:
		at = time.Date(1970, time.Month(1+v), 1, 0, 0, 0, 0, time.UTC)
	case per > 0:
		whole := floorDiv(v, per)
		at = time.Unix(whole, (v-whole*per)*(1e9/per)).UTC()
	case seconds[f.unit] > 0 && v > -years*366*day && v < years*366*day:
		at = time.Unix(v*seconds[f.unit], 0).UTC()
	default:
		return at, false, errTime
	}
	if at.Year() < -9999 || at.Year() > 9999 {
		return at, false, errTime
	}
	return at, true, nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// AppendNumber writes a value of booleans, integers or floats; whole numbers are
// rounded. A value that the type does not have is an error.
func (f *Field) AppendNumber(b []byte, v float64) ([]byte, error) {
	if f.Kind == 'f' {
		switch f.Width {
		case 2:
			return f.append(b, uint64(float16.New(float32(v)).Uint16())), nil
		case 4:
			return f.append(b, uint64(math.Float32bits(float32(v)))), nil
		}
		return f.append(b, math.Float64bits(v)), nil
	}
	if math.IsNaN(v) {
		return b, fmt.Errorf("the type %s has no missing values", f.Type)
	}
	v = math.RoundToEven(v)
	low, high := 0., math.Ldexp(1, 8*f.Width)
	switch f.Kind {
	case 'i':
		low, high = -high/2, high/2
	case 'b':
		high = 2
	}
	switch {
	case f.Width == 8 && v == high && f.Kind == 'i': // rounded up from the largest
		return f.append(b, math.MaxInt64), nil
	case f.Width == 8 && v == high:
		return f.append(b, math.MaxUint64), nil
	case v < low || v >= high:
		return b, fmt.Errorf("%g is not a value of the type %s", v, f.Type)
	case v < 0:
		return f.append(b, uint64(int64(v))), nil
	}
	return f.append(b, uint64(v)), nil
}

// append writes the lowest bytes of v.
func (f *Field) append(b []byte, v uint64) []byte {
	raw := binary.LittleEndian.AppendUint64(nil, v)[:f.Width]
	if f.order == binary.ByteOrder(binary.BigEndian) {
		for k := range raw {
			b = append(b, raw[len(raw)-1-k])
		}
		return b
	}
	return append(b, raw...)
}

// AppendTime writes a value of datetime64, NaT where ok is false.
func (f *Field) AppendTime(b []byte, at time.Time, ok bool) []byte {
	v := int64(math.MinInt64)
	if at = at.UTC(); ok {
		switch per := perSecond[f.unit]; {
		case f.unit == "Y":
			v = int64(at.Year() - 1970)
		case f.unit == "M":
			v = int64(at.Year()-1970)*12 + int64(at.Month()) - 1
		case per > 0:
			v = at.Unix()*per + int64(at.Nanosecond())/(1e9/per)
		default:
			v = floorDiv(at.Unix(), seconds[f.unit])
		}
		v = floorDiv(v, f.step)
	}
	return f.append(b, uint64(v))
}

// AppendText writes a text. One that is too long for the type is an error.
func (f *Field) AppendText(b []byte, text string) ([]byte, error) {
	from := len(b)
	if f.Kind == 'S' {
		b = append(b, text...)
	} else {
		for _, r := range text {
			code := make([]byte, 4)
			f.order.PutUint32(code, uint32(r))
			b = append(b, code...)
		}
	}
	if len(b)-from > f.Width {
		return b, fmt.Errorf("%q is too long for the type %s", text, f.Type)
	}
	return append(b, make([]byte, f.Width-(len(b)-from))...), nil
}
