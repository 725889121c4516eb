package text

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseNumber is strconv.ParseFloat with what a column must know about its
// texts: the places behind the point, −1 with an exponent, and whether the number
// has leading zeros, as codes have.
func ParseNumber(text string, comma bool) (v float64, places int, padded, ok bool) {
	if comma {
		if strings.IndexByte(text, '.') >= 0 {
			return 0, 0, false, false
		}
		if k := strings.IndexByte(text, ','); k >= 0 {
			text = text[:k] + "." + text[k+1:]
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, 0, false, false
	}
	digits := text
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		digits = digits[1:]
	}
	if len(digits) > 1 && digits[0] == '0' {
		switch c := digits[1]; {
		case c >= '0' && c <= '9':
			padded = true
		case c == 'x' || c == 'X':
			return v, -1, false, true
		}
	}
	for i := 0; i < len(digits); i++ {
		switch digits[i] {
		case '.':
			places = len(digits) - i - 1
		case 'e', 'E':
			return v, -1, padded, true
		}
	}
	return v, places, padded, true
}

// Blank reports whether a line consists of spaces.
func Blank(record []string) bool { return len(record) == 1 && strings.TrimSpace(record[0]) == "" }

// Listed quotes up to 20 names for a message.
func Listed(names []string) string {
	var out []string
	for _, name := range names[:min(20, len(names))] {
		out = append(out, strconv.Quote(name))
	}
	if more := len(names) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
