package table

import (
	"math"
	"time"
)

// Units of time in seconds, from coarse to fine, and how many are in a second.
var unitsOfTime = []struct {
	name string
	per  int64 // units in a second
}{{"s", 1}, {"ms", 1e3}, {"us", 1e6}, {"ns", 1e9}}

const day = 86400 // seconds

// perSecond is the number of units in a second, 0 for days.
func perSecond(unit string) int64 {
	for _, u := range unitsOfTime {
		if u.name == unit {
			return u.per
		}
	}
	return 0
}

// instant is the time of v units since the clock's origin.
func (c *Clock) instant(v float64) time.Time {
	whole := c.Origin + int64(math.Round(v))
	per := perSecond(c.Unit)
	if per == 0 {
		return time.Unix(whole*day, 0).UTC()
	}
	seconds := floorDiv(whole, per)
	return time.Unix(seconds, (whole-seconds*per)*(1e9/per)).UTC()
}

// Time is instant in the clock's zone.
func (c *Clock) Time(v float64) time.Time { return c.instant(v).In(c.location()) }

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
