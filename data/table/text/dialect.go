package text

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Dialect is how a text file separates its columns.
type Dialect struct {
	Comma        rune
	Spaces       bool // runs of them
	Lazy         bool // quotes occur within fields
	DecimalComma bool
	Columns      int
}

// Reader reads the records of a text.
func (d *Dialect) Reader(in io.Reader) *csv.Reader {
	if d.Spaces {
		if s, ok := in.(*bytes.Reader); ok { // a sample
			in = &spaceReader{in: bufio.NewReader(s), start: true}
		}
	}
	r := csv.NewReader(in)
	r.Comma, r.Comment, r.FieldsPerRecord, r.LazyQuotes = d.Comma, '#', -1, d.Lazy
	r.TrimLeadingSpace = d.Comma != ' ' && d.Comma != '\t'
	return r
}

// mostSampled limits the records from which the dialect is inferred.
const mostSampled = 2000

// records are those of the sample.
func (d *Dialect) records(sample []byte) (records [][]string, err error) {
	r := d.Reader(bytes.NewReader(sample))
	for len(records) < mostSampled {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return records, err
		}
		for j, field := range record {
			record[j] = strings.TrimSpace(field)
		}
		if Blank(record) {
			continue
		}
		records = append(records, record)
	}
	return records, nil
}

// Sniff infers the dialect of a sample. The separator is the one by which most
// lines have the same number of fields, and these hold no other separator.
func Sniff(sample []byte, tabs bool) (best Dialect, records [][]string) {
	best = Dialect{Comma: ',', Columns: 1}
	score := 0.
	for _, c := range []Dialect{{Comma: ','}, {Comma: ';'}, {Comma: '\t'}, {Comma: '|'}, {Comma: ' ', Spaces: true}} {
		c.Lazy = true
		found, _ := c.records(sample)
		c.Columns = mode(found)
		got := c.score(found)
		if tabs && c.Comma == '\t' {
			got *= 2
		}
		if c.Columns > 1 && got > score+1e-9 {
			best, score = c, got
		}
	}
	best.Lazy = false
	records, err := best.records(sample)
	if errors.Is(err, csv.ErrBareQuote) {
		best.Lazy = true
		records, _ = best.records(sample)
	}
	best.DecimalComma = best.Comma != ',' && decimalCommas(records)
	return best, records
}

// mode is the most frequent number of fields.
func mode(records [][]string) (most int) {
	count := map[int]int{}
	for _, r := range records {
		if count[len(r)]++; count[len(r)] > count[most] || count[len(r)] == count[most] && len(r) > most {
			most = len(r)
		}
	}
	return most
}

// score is the share of the records of the right length times that of the fields
// without other separators.
func (d *Dialect) score(records [][]string) float64 {
	if len(records) == 0 || d.Columns < 2 {
		return 0
	}
	agree, clean, numbers, fields, stamped := 0, 0, 0, 0, 0
	for i, r := range records {
		if len(r) != d.Columns {
			continue
		}
		agree++
		if d.Spaces && NewTimes().Fit(strings.Join(r, " ")) {
			stamped++
		}
		for _, f := range r {
			fields++
			number := IsNumber(f, true) || IsMissing(f)
			if number || i == 0 { // the first may be a header
				numbers++
			}
			if number || !strings.ContainsAny(f, ",;\t|\"") {
				clean++
			}
		}
	}
	// Words in a row are texts rather than columns, and so are a date and a time.
	if d.Spaces && (4*numbers < fields || 2*stamped > agree) {
		return 0
	}
	return float64(agree) / float64(len(records)) * float64(clean) / float64(fields)
}

func (c *Times) Fit(text string) bool {
	_, ok := c.Parse(text)
	return ok
}

// decimalCommas reports whether numbers are written with a decimal comma: some
// are, and none has a point.
func decimalCommas(records [][]string) bool {
	found := false
	for _, r := range records {
		for _, f := range r {
			switch {
			case IsNumber(f, false) && strings.Contains(f, "."):
				return false
			case strings.Contains(f, ",") && IsNumber(f, true):
				found = true
			}
		}
	}
	return found
}

// IsNumber reports whether a text is a number, with a decimal comma if that is
// allowed.
func IsNumber(text string, comma bool) bool {
	if comma && strings.Count(text, ",") == 1 && !strings.Contains(text, ".") {
		text = strings.Replace(text, ",", ".", 1)
	}
	v, err := strconv.ParseFloat(text, 64)
	return (err == nil || errors.Is(err, strconv.ErrRange)) && !math.IsNaN(v)
}

// Names infers the names of the columns: those of the first record, of the
// comment line before it, or none. first says that they are the first record. The
// mode is auto, yes or no.
func (d *Dialect) Names(mode string, sample []byte, records [][]string, notef func(string, ...any)) (names []string, first bool) {
	if len(records) == 0 {
		return nil, false
	}
	comment := d.commented(sample)
	switch mode {
	case "yes":
		return records[0], true
	case "no":
		return nil, false
	}
	body := records[1:]
	switch names := records[0]; {
	case d.named(names, body):
		notef("the first line is a header: it names the columns")
		return names, true
	case comment != nil:
		notef("the comment line before the values names the columns: %s", Listed(comment))
		return comment, false
	case d.numbersName(names, body):
		notef("the first line, %s, is a header of numbers, because the values beneath it are of another kind (CMF_HEADER=no reads it as values)", Listed(names))
		return names, true
	case d.countsUp(names, body):
		notef("the first line, %s, is read as values; if it is a header of numbers, set CMF_HEADER=yes", Listed(names))
		return nil, false
	}
	notef("the file has no header: the columns are called x1, x2, … (CMF_HEADER=yes reads the first line as names)")
	return nil, false
}

// commented are the names in the last comment line before the values.
func (d *Dialect) commented(sample []byte) []string {
	last := ""
	for line := range strings.Lines(string(sample)) {
		line = strings.TrimSpace(line)
		rest, comment := strings.CutPrefix(line, "#")
		if comment {
			last = strings.TrimSpace(strings.TrimLeft(rest, "#"))
		} else if line != "" {
			break
		}
	}
	one := *d
	one.Lazy = true
	records, _ := one.records([]byte(last + "\n"))
	if last == "" || len(records) != 1 || len(records[0]) != d.Columns || d.Columns == 1 && strings.ContainsAny(last, " \t") {
		return nil
	}
	for j, name := range records[0] {
		if name == "" || IsNumber(name, d.DecimalComma) || slices.Contains(records[0][:j], name) {
			return nil
		}
	}
	return records[0]
}

// kindOf is what a field looks like: "" where it is missing, number, time or text.
func (d *Dialect) kindOf(field string) string {
	switch {
	case IsMissing(field):
		return ""
	case IsNumber(field, d.DecimalComma):
		return "number"
	case NewTimes().Fit(field):
		return "time"
	}
	return "text"
}

// beneath is the kind of nearly all fields of column j, "" if there is none.
func (d *Dialect) beneath(j int, body [][]string) string {
	count, total := map[string]int{}, 0
	for _, r := range body[:min(500, len(body))] {
		if j < len(r) {
			if kind := d.kindOf(r[j]); kind != "" {
				count[kind]++
				total++
			}
		}
	}
	for kind, n := range count {
		if 5*n > 4*total {
			return kind
		}
	}
	return ""
}

// named reports whether the fields are names: texts over values that are none,
// or, over texts only, fields that do not occur beneath them.
func (d *Dialect) named(fields []string, body [][]string) bool {
	if len(body) == 0 {
		// A single line without a number is a header of nothing.
		return !slices.ContainsFunc(fields, func(f string) bool { return IsNumber(f, d.DecimalComma) })
	}
	contrasts, fractions, fresh := 0, 0, true
	for j, f := range fields {
		here, under := d.kindOf(f), d.beneath(j, body)
		switch {
		case here != "" && here != "number" && (under == "number" || under == "time" && here == "text"):
			contrasts++
		case here == "number" && under == "number" && strings.ContainsAny(f, ".eE,"):
			fractions++
		case here == "number" || under == "number" || under == "time":
			fresh = fresh && here == "" && f == ""
		default:
			for _, r := range body {
				fresh = fresh && (j >= len(r) || r[j] != f)
			}
		}
		fresh = fresh && !slices.Contains(fields[:j], f)
	}
	if contrasts > 0 {
		return contrasts >= fractions
	}
	return fresh && fractions == 0
}

// numbersName reports whether whole numbers, all different, stand over fractions
// only.
func (d *Dialect) numbersName(fields []string, body [][]string) bool {
	if len(body) < 5 {
		return false
	}
	for j, f := range fields {
		if !isWhole(f) || slices.Contains(fields[:j], f) {
			return false
		}
		for _, r := range body {
			if j < len(r) && (isWhole(r[j]) || d.kindOf(r[j]) == "text") {
				return false
			}
		}
	}
	return true
}

// countsUp reports whether at least two whole numbers stand in equal steps over
// values that do not go on so.
func (d *Dialect) countsUp(fields []string, body [][]string) bool {
	counts := func(fields []string) bool {
		if len(fields) < 2 {
			return false
		}
		step := 0
		for j, f := range fields {
			v, err := strconv.Atoi(f)
			if err != nil {
				return false
			}
			if j > 0 {
				before, _ := strconv.Atoi(fields[j-1])
				if step == 0 {
					step = v - before
				}
				if v-before != step || step == 0 {
					return false
				}
			}
		}
		return true
	}
	return counts(fields) && len(body) > 1 && !counts(body[0]) && !counts(body[1])
}

func isWhole(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return err == nil
}
