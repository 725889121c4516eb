package table

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"cmf/data/table/text"
)

// Header says whether the first line of a text file names the columns.
type Header string

// The values of Header; the empty one is HeaderAuto.
const (
	HeaderAuto Header = "auto"
	HeaderYes  Header = "yes"
	HeaderNo   Header = "no"
)

// Options say what is known about a file before it is read. The zero value
// leaves everything to be inferred.
type Options struct {
	Header Header
	Hints  Hints

	// Extra says that hints for columns that are not there are no error.
	Extra bool

	// Used, unless nil, gets the names of the columns that are there and have hints.
	Used map[string]bool
}

// Hints say by name what is known about columns.
type Hints map[string]Hint

// Hint is what is known about a column. Its zero value is nothing.
type Hint struct {
	Kind Kind // empty where it is to be inferred
	Skip bool // the column is not read

	// Values lie in [Low, High] if Bounded. A circular quantity also has bounds:
	// Low and High are the same point.
	Low, High         float64
	Bounded, Circular bool

	// Layout is that of a column of times, as for time.Parse; empty where it is
	// to be inferred.
	Layout string
}

const allowedHints = "real, integer, boolean, category, time, time(LAYOUT), skip, [LOW,HIGH] and circular(LOW,HIGH)"

// ParseHints reads hints such as
//
//	age:integer,share:[0,1],income:[0,inf],id:skip,wind:circular(0,360),when:time(02/01/2006)
//
// Commas within brackets or double quotes do not separate. A name that holds a
// comma or a quote is given in double quotes.
func ParseHints(text string) (Hints, error) {
	hints := Hints{}
	if strings.TrimSpace(text) == "" {
		return hints, nil
	}
	parts, err := splitHints(text)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		part = strings.TrimSpace(part)
		name, says, ok := cutHint(part)
		if !ok {
			return nil, fmt.Errorf("%q is not NAME:HINT; hints are %s", part, allowedHints)
		}
		if _, twice := hints[name]; twice {
			return nil, fmt.Errorf("column %q has two hints; give one", name)
		}
		hint, err := parseHint(strings.TrimSpace(says))
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
		hints[name] = hint
	}
	return hints, nil
}

// splitHints splits at commas outside of brackets and quotes.
func splitHints(text string) (parts []string, err error) {
	depth, quoted, from := 0, false, 0
	for i, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '[' || r == '(':
			depth++
		case r == ']' || r == ')':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, text[from:i])
			from = i + 1
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 || quoted {
		return nil, fmt.Errorf("%q: brackets or quotes do not match; hints are NAME:HINT with %s", text, allowedHints)
	}
	return append(parts, text[from:]), nil
}

// cutHint cuts a hint at the colon behind its name.
func cutHint(part string) (name, says string, ok bool) {
	if strings.HasPrefix(part, `"`) {
		end := 1 + strings.Index(part[1:], `"`)
		if end < 1 {
			return "", "", false
		}
		for strings.HasPrefix(part[end:], `""`) { // a doubled quote is one of the name
			next := strings.Index(part[end+2:], `"`)
			if next < 0 {
				return "", "", false
			}
			end += 2 + next
		}
		says, ok = strings.CutPrefix(strings.TrimSpace(part[end+1:]), ":")
		return strings.ReplaceAll(part[1:end], `""`, `"`), says, ok
	}
	// The layout of a time may hold colons.
	at := strings.LastIndex(part, ":")
	if bracket := strings.LastIndex(part, ":time("); bracket >= 0 {
		at = bracket
	}
	if at < 1 {
		return "", "", false
	}
	return strings.TrimSpace(part[:at]), part[at+1:], true
}

func parseHint(says string) (h Hint, err error) {
	word, inside, _ := strings.Cut(says, "(")
	switch {
	case says == "skip":
		return Hint{Skip: true}, nil
	case slices.Contains(Kinds, Kind(says)):
		return Hint{Kind: Kind(says)}, nil
	case word == "time" && len(inside) > 1 && strings.HasSuffix(inside, ")"):
		h = Hint{Kind: Time, Layout: strings.TrimSuffix(inside, ")")}
		if !slices.Contains(text.Layouts, h.Layout) {
			return h, fmt.Errorf("the layout %q is unknown; known are %s", h.Layout, strings.Join(text.Layouts, ", "))
		}
		return h, nil
	case word == "circular" && strings.HasSuffix(inside, ")"):
		h.Circular = true
		inside = strings.TrimSuffix(inside, ")")
	case strings.HasPrefix(says, "[") && strings.HasSuffix(says, "]"):
		inside = says[1 : len(says)-1]
	default:
		return h, fmt.Errorf("the hint %q is unknown; hints are %s", says, allowedHints)
	}
	low, high, ok := strings.Cut(inside, ",")
	h.Low, err = strconv.ParseFloat(strings.TrimSpace(low), 64)
	high1, err2 := strconv.ParseFloat(strings.TrimSpace(high), 64)
	h.High, h.Bounded = high1, true
	if err := errors.Join(err, err2); err != nil || !ok || !(h.Low < h.High) {
		return h, fmt.Errorf("the bounds %q must be LOW,HIGH with LOW < HIGH; inf and -inf are allowed", inside)
	}
	if h.Circular && math.IsInf(h.High-h.Low, 0) {
		return h, fmt.Errorf("the bounds %q of a circular column must be finite", inside)
	}
	return h, nil
}

// checkNames refuses hints for columns that are not there.
func (r *reader) checkNames(names []string) error {
	for _, name := range slices.Sorted(maps.Keys(r.o.Hints)) {
		there := slices.Contains(names, name)
		if there && r.o.Used != nil {
			r.o.Used[name] = true
		}
		if !r.o.Extra && !there {
			return fmt.Errorf("CMF_COLUMNS names the column %q, which is not there; its columns are %s", name, text.Listed(names))
		}
	}
	return nil
}
