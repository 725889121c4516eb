package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// rules say which values the tags and the type of a field allow.
type rules struct {
	spans  []span   // a number must be in one of these
	known  []string // the value must be one of these
	needed string
	file   string

	address string
	aside   bool
}

// span is an interval of numbers, with closed or open ends.
type span struct {
	low, high         float64
	openLow, openHigh bool
	text              string // as it stands in messages
}

// rulesOf reads the rules of a field from its tags and type.
func rulesOf(f reflect.StructField) (r rules, err error) {
	r.needed, r.file = f.Tag.Get("needed"), f.Tag.Get("file")
	r.address, r.aside = f.Tag.Get("address"), f.Tag.Get("aside") == "true"
	if list := f.Tag.Get("oneof"); list != "" {
		r.known = strings.Split(list, ",")
	}
	if v, ok := reflect.Zero(f.Type).Interface().(interface{ Known() []string }); ok {
		r.known = v.Known()
	}
	if list := f.Tag.Get("range"); list != "" {
		for part := range strings.SplitSeq(list, "|") {
			s, err := spanOf(part)
			if err != nil {
				return r, fmt.Errorf("the tag range:%q of %s: %w", list, f.Name, err)
			}
			r.spans = append(r.spans, s)
		}
	}
	return r, nil
}

// spanOf reads 3, 2..10, >0..10, 0..<1 or >0..<1.
func spanOf(text string) (s span, err error) {
	low, high, both := strings.Cut(text, "..")
	if !both {
		high = low
	}
	low, s.openLow = strings.CutPrefix(low, ">")
	high, s.openHigh = strings.CutPrefix(high, "<")
	var errLow, errHigh error
	s.low, errLow = strconv.ParseFloat(low, 64)
	s.high, errHigh = strconv.ParseFloat(high, 64)
	switch {
	case !both:
		s.text = low
	case s.openLow && s.openHigh:
		s.text = fmt.Sprintf("numbers between %s and %s", low, high)
	case s.openLow:
		s.text = fmt.Sprintf("numbers above %s, up to %s", low, high)
	case s.openHigh:
		s.text = fmt.Sprintf("numbers from %s, below %s", low, high)
	default:
		s.text = fmt.Sprintf("%s to %s", low, high)
	}
	return s, errors.Join(errLow, errHigh)
}

func (s span) holds(v float64) bool {
	return (v > s.low || !s.openLow && v == s.low) && (v < s.high || !s.openHigh && v == s.high)
}

// Allowed says, for a table, what is allowed; it is empty if every value is.
func (r rules) Allowed() string {
	switch {
	case len(r.known) > 0:
		return strings.Join(r.known, ", ")
	case len(r.spans) > 0:
		var texts []string
		for _, s := range r.spans {
			texts = append(texts, s.text)
		}
		return strings.Join(texts, " and ")
	case r.needed != "":
		return "not empty"
	case r.file != "":
		return "a file"
	case r.address != "":
		return "[HOST]:PORT"
	}
	return ""
}

// check returns an error that says what is allowed if the value of a variable is not.
func (r rules) check(variable string, value reflect.Value) error {
	refused := func() error { return fmt.Errorf("%s=%v: allowed are %s", variable, value, r.Allowed()) }
	if len(r.spans) > 0 {
		v := number(value)
		if !slices.ContainsFunc(r.spans, func(s span) bool { return s.holds(v) }) {
			return refused()
		}
	}
	if text := value.String(); len(r.known) > 0 && !slices.Contains(r.known, text) {
		return refused()
	}
	if r.needed != "" && value.Len() == 0 {
		return fmt.Errorf("%s=: name %s", variable, r.needed)
	}
	if r.file != "" && value.Len() > 0 {
		if err := isFile(value.String()); err != nil {
			return fmt.Errorf("%s=%v: %w; name %s", variable, value, err, r.file)
		}
	}
	if r.address != "" && value.Len() > 0 {
		if err := isAddress(value.String()); err != nil {
			return fmt.Errorf("%s=%v: %w; name [HOST]:PORT, such as %s", variable, value, err, r.address)
		}
	}
	return nil
}

// number is the value of a field with a range. If the field is not a number, it is NaN,
// which is in no range.
func number(value reflect.Value) float64 {
	switch {
	case value.CanInt():
		return float64(value.Int())
	case value.CanUint():
		return float64(value.Uint())
	case value.CanFloat():
		return value.Float()
	}
	return math.NaN()
}

func isFile(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	return err
}

func isAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	if known, ok := errors.AsType[*net.AddrError](err); ok {
		return errors.New(known.Err)
	}
	if err != nil {
		return err
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port %q is not a number from 0 to 65535", port)
	}
	if strings.ContainsFunc(host, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-:%_", r)
	}) {
		return fmt.Errorf("the host %q is no name", host)
	}
	return nil
}
