package text

import (
	"slices"
	"strings"
	"time"
)

// Layouts are the layouts of times that are recognised, padded ones before
// those that accept both. Seconds may have a fraction.
var Layouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700 MST",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
	"2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02", "2006.01.02",
	"01/02/2006", "02/01/2006", "01/02/2006 15:04:05", "02/01/2006 15:04:05", "01/02/2006 15:04", "02/01/2006 15:04",
	"1/2/2006", "2/1/2006", "1/2/2006 15:04:05", "2/1/2006 15:04:05", "1/2/2006 15:04", "2/1/2006 15:04",
	"01-02-2006", "02-01-2006",
	"02.01.2006", "02.01.2006 15:04:05", "02.01.2006 15:04", "2.1.2006", "2.1.2006 15:04:05", "2.1.2006 15:04",
	"2006-01", "2006/01", "01/2006", "Jan 2006", "January 2006", "Jan-2006", "Jan-06", "2006-Jan", "2006 Jan",
	"02 Jan 2006", "2 Jan 2006", "02 January 2006", "2 January 2006", "02-Jan-2006", "2-Jan-2006", "02-Jan-2006 15:04:05",
	"Jan 02, 2006", "Jan 2, 2006", "January 02, 2006", "January 2, 2006",
}

// swapped is a layout with month and day in the other order, itself where that
// is none.
func swapped(layout string) string {
	for _, pair := range [][2]string{{"01/02", "02/01"}, {"01-02-2", "02-01-2"}, {"1/2", "2/1"}} {
		for k := range pair {
			if rest, ok := strings.CutPrefix(layout, pair[k]); ok && slices.Contains(Layouts, pair[1-k]+rest) {
				return pair[1-k] + rest
			}
		}
	}
	return layout
}

// Times reads a column of times. Which layouts still fit all of them narrows as
// they come.
type Times struct {
	Fits   []string // layouts
	Places int      // most digits behind the seconds
	Zone   string
	Zones  bool // more than one

	seen int
}

// NewTimes has all layouts.
func NewTimes() *Times { return &Times{Fits: slices.Clone(Layouts)} }

// timeLike rules out most texts before any layout is tried.
func timeLike(text string) bool {
	return len(text) >= 6 && len(text) <= 40 && strings.ContainsAny(text, "0123456789") && strings.ContainsAny(text, "-/. ")
}

// Parse is the time of a text by the first layout that fits all texts so far. A
// text that no such layout fits changes nothing.
func (c *Times) Parse(text string) (at time.Time, ok bool) {
	if !timeLike(text) {
		return at, false
	}
	first, err := time.Parse(c.Fits[0], text)
	ambiguous := len(c.Fits) > 1 && (c.seen == 0 || err != nil || swapped(c.Fits[0]) != c.Fits[0])
	if err != nil || ambiguous {
		var fits []string
		for _, layout := range c.Fits {
			if _, err := time.Parse(layout, text); err == nil {
				fits = append(fits, layout)
			}
		}
		if fits == nil {
			return at, false
		}
		c.Fits = fits
		if first, err = time.Parse(fits[0], text); err != nil {
			return at, false
		}
	}
	c.note(text, first)
	return first, true
}

func (c *Times) note(text string, at time.Time) {
	if strings.Contains(c.Fits[0], ":05") {
		if point := strings.LastIndexAny(text, ".,"); point > 0 {
			digits := 0
			for _, r := range text[point+1:] {
				if r < '0' || r > '9' {
					break
				}
				digits++
			}
			if point > strings.LastIndexByte(text, ':') || strings.Count(text, ":") > 2 {
				c.Places = max(c.Places, min(9, digits))
			}
		}
	}
	if strings.Contains(c.Fits[0], "07") {
		zone := at.Format("Z07:00")
		c.Zones = c.Zones || c.seen > 0 && zone != c.Zone
		c.Zone = zone
	}
	c.seen++
}

// Ambiguous is the other layout where both orders of month and day fit.
func (c *Times) Ambiguous() (other string, is bool) {
	other = swapped(c.Fits[0])
	return other, other != c.Fits[0] && slices.Contains(c.Fits, other)
}

// Layout is the layout of the texts with their fraction of seconds.
func (c *Times) Layout() string {
	if c.Places == 0 {
		return c.Fits[0]
	}
	return strings.Replace(c.Fits[0], ":05", ":05."+strings.Repeat("0", c.Places), 1)
}
