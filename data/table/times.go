package table

import (
	"math"
	"slices"
	"strings"
	"time"
)

// layouts are the layouts of times that are recognised, padded ones before
// those that accept both. Seconds may have a fraction.
var layouts = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700 MST",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
	"2006/01/02 15:04:05", "2006/01/02 15:04", "2006/01/02",
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
			if rest, ok := strings.CutPrefix(layout, pair[k]); ok && slices.Contains(layouts, pair[1-k]+rest) {
				return pair[1-k] + rest
			}
		}
	}
	return layout
}

// times reads a column of times. Which layouts still fit all of them narrows as
// they come.
type times struct {
	fits   []string // layouts
	seen   int
	places int // most digits behind the seconds
	zone   string
	zones  bool // more than one
}

func newTimes() *times { return &times{fits: slices.Clone(layouts)} }

// timeLike rules out most texts before any layout is tried.
func timeLike(text string) bool {
	return len(text) >= 6 && len(text) <= 40 && strings.ContainsAny(text, "0123456789") && strings.ContainsAny(text, "-/. ")
}

// parse is the time of a text by the first layout that fits all texts so far. A
// text that no such layout fits changes nothing.
func (c *times) parse(text string) (at time.Time, ok bool) {
	if !timeLike(text) {
		return at, false
	}
	first, err := time.Parse(c.fits[0], text)
	ambiguous := len(c.fits) > 1 && (c.seen == 0 || err != nil || swapped(c.fits[0]) != c.fits[0])
	if err != nil || ambiguous {
		var fits []string
		for _, layout := range c.fits {
			if _, err := time.Parse(layout, text); err == nil {
				fits = append(fits, layout)
			}
		}
		if fits == nil {
			return at, false
		}
		c.fits = fits
		if first, err = time.Parse(fits[0], text); err != nil {
			return at, false
		}
	}
	c.note(text, first)
	return first, true
}

func (c *times) note(text string, at time.Time) {
	if strings.Contains(c.fits[0], ":05") {
		if point := strings.LastIndexAny(text, ".,"); point > 0 {
			digits := 0
			for _, r := range text[point+1:] {
				if r < '0' || r > '9' {
					break
				}
				digits++
			}
			if point > strings.LastIndexByte(text, ':') || strings.Count(text, ":") > 2 {
				c.places = max(c.places, min(9, digits))
			}
		}
	}
	if strings.Contains(c.fits[0], "07") {
		zone := at.Format("Z07:00")
		c.zones = c.zones || c.seen > 0 && zone != c.zone
		c.zone = zone
	}
	c.seen++
}

// ambiguous is the other layout where both orders of month and day fit.
func (c *times) ambiguous() (other string, is bool) {
	other = swapped(c.fits[0])
	return other, other != c.fits[0] && slices.Contains(c.fits, other)
}

// layout is the layout of the texts with their fraction of seconds.
func (c *times) layout() string {
	if c.places == 0 {
		return c.fits[0]
	}
	return strings.Replace(c.fits[0], ":05", ":05."+strings.Repeat("0", c.places), 1)
}

// Units of time in seconds, from coarse to fine, and how many are in a second.
var unitsOfTime = []struct {
	name string
	per  int64 // units in a second
}{{"s", 1}, {"ms", 1e3}, {"us", 1e6}, {"ns", 1e9}}

const day = 86400 // seconds

// perSecond is the number of units in a second; a day is 0.
func perSecond(unit string) (int64, bool) {
	for _, u := range unitsOfTime {
		if u.name == unit {
			return u.per, true
		}
	}
	return 0, unit == "day"
}

// instant is the time of v units since the clock's origin.
func (c *Clock) instant(v float64) time.Time {
	whole := c.Origin + int64(math.Round(v))
	per, _ := perSecond(c.Unit)
	if per == 0 {
		return time.Unix(whole*day, 0).UTC()
	}
	seconds := floorDiv(whole, per)
	return time.Unix(seconds, (whole-seconds*per)*(1e9/per)).UTC()
}

// location is the zone in which the clock's texts are.
func (c *Clock) location() *time.Location {
	if at, err := time.Parse("Z07:00", c.Zone); err == nil {
		_, offset := at.Zone()
		return time.FixedZone("", offset)
	}
	if at, err := time.LoadLocation(c.Zone); err == nil {
		return at
	}
	return time.UTC
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// stamps are times as whole numbers of units since 1970, with gaps.
type stamps struct {
	seconds, nanos chunks // the second only once there is a fraction
	fraction       bool
}

func (s *stamps) add(at time.Time) {
	s.put(float64(at.Unix()), at.Nanosecond())
}

func (s *stamps) put(seconds float64, nano int) {
	if nano != 0 && !s.fraction {
		s.fraction = true
		for range s.seconds.n {
			s.nanos.add(0)
		}
	}
	s.seconds.add(seconds)
	if s.fraction {
		s.nanos.add(float64(nano))
	}
}

func (s *stamps) missing() { s.put(math.NaN(), 0) }

// column is the values since the first time, in the coarsest unit that has all
// times as whole numbers.
func (s *stamps) column() (values []float64, c Clock) {
	values, nanos := s.seconds.joined(), s.nanos.joined()
	whole, nano := int64(0), int64(0) // a divisor of all
	least := math.Inf(1)
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		least = min(least, v)
		whole = gcd(whole, int64(v))
		if nanos != nil {
			nano = gcd(nano, int64(nanos[i]))
		}
	}
	c.Unit = "s"
	switch {
	case math.IsInf(least, 0):
		return values, c
	case nano == 0 && whole%day == 0:
		c.Unit = "day"
		for i := range values {
			values[i] = (values[i] - least) / day
		}
		c.Origin = int64(least) / day
		return values, c
	}
	per := int64(1)
	for _, u := range unitsOfTime {
		if math.Abs(least)*float64(u.per) > math.MaxInt64/2 {
			break // times far from 1970 do not have units that fine
		}
		if c.Unit, per = u.name, u.per; nano%(1e9/u.per) == 0 {
			break
		}
	}
	c.Origin = int64(least) * per
	for i := range values {
		values[i] = (values[i] - least) * float64(per)
		if nanos != nil {
			values[i] += nanos[i] / float64(1e9/per)
		}
	}
	return values, c
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	if a < 0 {
		return -a
	}
	return a
}
