package table

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"cmf/data/table/text"
)

// parsing is how the texts of a column are parsed.
type parsing int

const (
	asNumber parsing = iota
	asTime
	asText
	skipped
)

// field is a column of a text file while it is read.
type field struct {
	name  string
	index int
	hint  Hint
	mode  parsing
	comma bool // decimal

	values  chunks
	stamps  stamps
	times   *text.Times
	first   string         // the layout by which the first pass of times began
	codes   map[string]int // of texts
	labels  []string
	size    int  // of the labels in bytes
	left    bool // its texts are nearly all different
	missing int
	null    string
	filled  int // values that are not missing

	wrong    int // texts that do not fit the mode
	bad      place
	padded   bool // numbers with leading zeros
	infinite place
	places   int
	exponent bool
}

// place is where a text is.
type place struct {
	line, column int
	text         string
}

// guess chooses the mode by the beginning of the file.
func (c *field) guess(d *text.Dialect, records [][]string, j int) {
	count := map[string]int{}
	stamps := text.NewTimes()
	if c.hint.Layout != "" {
		stamps.Fits = []string{c.hint.Layout}
	}
	for _, r := range records {
		if j >= len(r) || text.IsMissing(r[j]) {
			continue
		}
		_, _, padded, number := text.ParseNumber(r[j], d.DecimalComma)
		switch {
		case number && !padded:
			count["number"]++
		case stamps.Fit(r[j]):
			count["time"]++
		default:
			count["text"]++
		}
	}
	total := count["number"] + count["time"] + count["text"]
	switch {
	case count["time"]*5 > total*4:
		c.mode, c.times = asTime, stamps
	case c.hint.Kind == Time && count["number"] == total && total > 0:
		c.mode = asNumber
	case c.hint.Kind == Time:
		c.mode, c.times = asTime, stamps
	case count["number"]*20 < total*19:
		c.mode = asText
	}
}

func (c *field) reset() {
	*c = field{name: c.name, index: c.index, hint: c.hint, mode: c.mode, comma: c.comma, times: c.times}
	if c.mode == asTime {
		fits := c.times.Fits
		c.times = &text.Times{Fits: slices.Clone(fits)}
		c.first = fits[0]
	}
	if c.mode == asText {
		c.codes = map[string]int{}
	}
}

// add reads the text of the next row.
func (c *field) add(s string, r *csv.Reader) error {
	if c.left {
		return nil
	}
	if c.mode == asNumber {
		// Most texts are plain numbers; only others need a closer look.
		v, places, padded, ok := text.ParseNumber(s, c.comma)
		if !ok && s != "" {
			s = strings.TrimSpace(s)
			v, places, padded, ok = text.ParseNumber(s, c.comma)
		}
		if ok && !math.IsNaN(v) {
			c.number(v, places, padded, s, r)
			return nil
		}
	} else {
		s = strings.TrimSpace(s)
	}
	if text.IsMissing(s) {
		c.gap(s)
		return nil
	}
	c.filled++
	switch c.mode {
	case asNumber:
		c.wrongAt(s, r)
		c.values.add(math.NaN())
	case asTime:
		if at, ok := c.times.Parse(s); ok {
			c.stamps.add(at)
		} else {
			c.wrongAt(s, r)
			c.stamps.missing()
		}
	case asText:
		return c.label(s)
	}
	return nil
}

func (c *field) gap(text string) {
	if c.missing == 0 {
		c.null = strings.Clone(text)
	}
	c.missing++
	if c.mode == asTime {
		c.stamps.missing()
	} else {
		c.values.add(math.NaN())
	}
}

func (c *field) number(v float64, places int, padded bool, text string, r *csv.Reader) {
	c.values.add(v)
	c.filled++
	c.padded = c.padded || padded
	if places < 0 {
		c.exponent = true
	} else if places > c.places {
		c.places = places
	}
	if math.IsInf(v, 0) && c.infinite.line == 0 {
		c.infinite = c.at(text, r)
	}
}

func (c *field) at(text string, r *csv.Reader) place {
	line, _ := r.FieldPos(c.index)
	return place{line, c.index + 1, strings.Clone(text)}
}

func (c *field) wrongAt(text string, r *csv.Reader) {
	if c.wrong == 0 {
		c.bad = c.at(text, r)
	}
	c.wrong++
}

// Bounds of the texts of a column.
const (
	mostTexts    = 256 << 20 // bytes
	namesChecked = 1 << 17   // rows after which a column of different texts is given up
	fewLabels    = 50
)

func (c *field) label(text string) error {
	code, known := c.codes[text]
	if !known {
		code = len(c.labels)
		text = strings.Clone(text)
		c.codes[text] = code
		c.labels = append(c.labels, text)
		if c.size += len(text); c.size > mostTexts {
			return fmt.Errorf("column %q holds more than %d bytes of different texts; leave it out by CMF_COLUMNS=%s", called(c.name, c.index), mostTexts, HintText(called(c.name, c.index), "skip"))
		}
	}
	c.values.add(float64(code))
	if c.filled == namesChecked && c.namesRows() {
		c.left, c.values, c.codes, c.labels = true, chunks{}, nil, nil
	}
	return nil
}

// namesRows reports whether the texts are names of rows rather than categories.
func (c *field) namesRows() bool {
	return c.hint.Kind == "" && len(c.labels) > fewLabels && 2*len(c.labels) > c.filled
}

// revise says whether the column must be read again in another mode, now that all
// its texts were seen. A few wrong texts among many are an error.
func (c *field) revise() (again bool, err error) {
	if c.mode != asNumber && c.mode != asTime {
		return false, nil
	}
	change := func(to parsing) (bool, error) {
		c.mode = to
		return true, nil
	}
	name := called(c.name, c.index)
	at := fmt.Sprintf("line %d, column %d (%s)", c.bad.line, c.bad.column, name)
	fixed := c.hint.Kind == Real || c.hint.Kind == Integer || c.hint.Bounded
	if c.mode == asNumber {
		switch {
		case c.wrong > 0 && (fixed || 20*c.wrong <= c.filled && !c.padded):
			return false, fmt.Errorf("%s: %q is not a number, as the others of the column are; correct it, write NA for a missing value, or set CMF_COLUMNS=%s to read texts or %s to leave the column out",
				at, clipped(c.bad.text), HintText(name, "category"), HintText(name, "skip"))
		case c.wrong > 0 && c.wrong == c.filled && c.times == nil:
			// Only times are left to try for a column whose beginning was empty.
			c.times = text.NewTimes()
			return change(asTime)
		case c.wrong > 0 || c.padded && !fixed:
			return change(asText)
		case c.infinite.line > 0:
			return false, fmt.Errorf("line %d, column %d (%s): %q is not a finite number; allowed are numbers between -1.8e308 and 1.8e308", c.infinite.line, c.infinite.column, name, clipped(c.infinite.text))
		}
		return false, nil
	}
	switch other, ambiguous := c.times.Ambiguous(); {
	case c.wrong > 0 && (c.hint.Kind == Time || 20*c.wrong <= c.filled):
		return false, fmt.Errorf("%s: %q is not a time like the others, which are as %s; correct it, write NA for a missing value, or set CMF_COLUMNS=%s to leave the column out",
			at, clipped(c.bad.text), c.times.Fits[0], HintText(name, "skip"))
	case c.wrong > 0:
		return change(asText)
	case ambiguous:
		return false, fmt.Errorf("column %d (%s): its dates have either month or day first, which they do not decide; set CMF_COLUMNS=%s or CMF_COLUMNS=%s", c.index+1, name,
			HintText(name, "time("+c.times.Fits[0]+")"), HintText(name, "time("+other+")"))
	case c.times.Fits[0] != c.first && c.filled > 0:
		return true, nil // the first values were read by a layout that does not fit the later ones
	}
	return false, nil
}

// column is the whole column.
func (c *field) column() (Column, error) {
	out := Column{Name: c.name, Null: c.null}
	switch c.mode {
	case asNumber:
		out.Values = c.values.joined()
		out.Kind, out.Decimals = Integer, 0
		if c.places > 0 || c.exponent {
			out.Kind, out.Decimals = Real, c.places
		}
		if c.exponent {
			out.Decimals = -1
		}
		if c.filled == 0 {
			out.Kind = Real
		}
	case asTime:
		values, clock := c.stamps.column()
		clock.Layout = c.times.Layout()
		if clock.Zone = c.times.Zone; c.times.Zones {
			clock.Zone = "Z"
		}
		out.Kind, out.Values, out.Clock = Time, values, &clock
	default:
		out.Kind, out.Values, out.Labels = Category, c.values.joined(), c.labels
		if c.hint.Kind != Category {
			setBoolean(&out)
		}
		if c.hint.Kind == Boolean && out.Kind != Boolean {
			if len(out.Labels) > 2 || len(out.Labels) == 0 {
				return out, fmt.Errorf("column %d (%s): it holds %d different texts; a boolean column holds two", c.index+1, called(c.name, c.index), len(out.Labels))
			}
			asBoolean(&out)
		}
	}
	return out, nil
}

var pairs = [][2]string{{"false", "true"}, {"no", "yes"}, {"f", "t"}, {"n", "y"}}

// setBoolean makes a boolean of a category whose texts are false and true, or
// other such words.
func setBoolean(c *Column) {
	if len(c.Labels) == 0 || len(c.Labels) > 2 {
		return
	}
	for _, pair := range pairs {
		for _, style := range []func(string) string{strings.ToLower, strings.ToUpper, capitalised} {
			words := []string{style(pair[0]), style(pair[1])}
			if !slices.ContainsFunc(c.Labels, func(l string) bool { return !slices.Contains(words, l) }) {
				relabel(c, words)
				c.Kind = Boolean
				return
			}
		}
	}
}

// asBoolean makes a boolean of any two texts; the first in order is false.
func asBoolean(c *Column) {
	words := slices.Sorted(slices.Values(c.Labels))
	if len(words) == 1 {
		switch words[0] {
		case "0":
			words = append(words, "1")
		case "1":
			words = []string{"0", "1"}
		default:
			words = []string{"not " + words[0], words[0]}
		}
	}
	relabel(c, words)
	c.Kind = Boolean
}

func capitalised(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// relabel gives the column the labels, which hold all that it has.
func relabel(c *Column, labels []string) {
	to := make([]float64, len(c.Labels))
	for k, l := range c.Labels {
		to[k] = float64(slices.Index(labels, l))
	}
	for i, v := range c.Values {
		if !math.IsNaN(v) {
			c.Values[i] = to[int(v)]
		}
	}
	c.Labels = labels
}

var errNoColumns = errors.New("it holds no columns")
