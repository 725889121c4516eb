package table

import (
	"fmt"
	"math"
	"strconv"
)

// applyHint gives the column the kind of its hint and checks its bounds.
func applyHint(c *Column, h Hint) error {
	if h.Kind != "" && h.Kind != c.Kind {
		if err := convert(c, h.Kind); err != nil {
			return err
		}
	}
	if !h.Bounded {
		return nil
	}
	if c.Kind != Real && c.Kind != Integer {
		return fmt.Errorf("CMF_COLUMNS gives it bounds, but it is of kind %s; bounds are for numbers", c.Kind)
	}
	for i, v := range c.Values {
		if v < h.Low || v > h.High {
			return fmt.Errorf("row %d is %s, outside of [%s, %s] of CMF_COLUMNS", i+1, short(v), short(h.Low), short(h.High))
		}
	}
	return nil
}

// convert changes the kind of a column as far as its values allow.
func convert(c *Column, to Kind) error {
	number := c.Kind == Real || c.Kind == Integer
	switch {
	case number && to == Real:
		c.Kind = Real
	case number && to == Integer:
		for i, v := range c.Values {
			if v != math.Trunc(v) {
				if math.IsNaN(v) {
					continue
				}
				return fmt.Errorf("row %d is %s, which is not a whole number as CMF_COLUMNS says", i+1, short(v))
			}
		}
		c.Kind, c.Decimals = Integer, 0
	case number && to == Category:
		label(c)
	case number && to == Boolean:
		if label(c); len(c.Labels) > 2 || len(c.Labels) == 0 {
			return fmt.Errorf("it holds %d different numbers; a boolean column holds two", len(c.Labels))
		}
		asBoolean(c)
	case number && to == Time:
		setClock(c)
	case c.Kind == Boolean && to == Category:
		c.Kind = Category
	case c.Kind == Category && to == Boolean && len(c.Labels) == 2:
		asBoolean(c)
	default:
		return fmt.Errorf("CMF_COLUMNS says that it is of kind %s, but the file holds the kind %s", to, c.Kind)
	}
	return nil
}

// label makes categories of numbers.
func label(c *Column) {
	codes := map[float64]int{}
	for i, v := range c.Values {
		if math.IsNaN(v) {
			continue
		}
		code, known := codes[v]
		if !known {
			code = len(c.Labels)
			codes[v] = code
			places := -1
			if c.Kind == Integer {
				places = 0
			} else if c.Stored == "" {
				places = c.Decimals
			}
			format := byte('f')
			if places < 0 {
				format = 'g'
			}
			c.Labels = append(c.Labels, strconv.FormatFloat(v, format, places, 64))
		}
		c.Values[i] = float64(code)
	}
	c.Kind, c.Decimals = Category, 0
}

// setClock makes times of numbers since 1970, whose unit follows from their size.
func setClock(c *Column) {
	low, high := boundsOf(c.Values)
	size := max(math.Abs(low), math.Abs(high))
	clock := &Clock{Unit: "s"}
	switch {
	case size < 1e5:
		clock.Unit = "day"
	case size >= 1e17:
		clock.Unit = "ns"
	case size >= 1e14:
		clock.Unit = "us"
	case size >= 1e11:
		clock.Unit = "ms"
	}
	if low <= high {
		clock.Origin = int64(math.Floor(low))
		for i := range c.Values {
			c.Values[i] -= float64(clock.Origin)
		}
	}
	c.Kind, c.Clock = Time, clock
}

// texts maps each distinct text to its place.
type texts struct {
	codes  map[string]int
	labels []string
}

func (t *texts) code(text string) float64 {
	code, known := t.codes[text]
	if !known {
		if t.codes == nil {
			t.codes = map[string]int{}
		}
		code = len(t.labels)
		t.codes[text] = code
		t.labels = append(t.labels, text)
	}
	return float64(code)
}
