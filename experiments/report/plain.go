package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain is a text for terminals, logs and pages: what cannot be printed, such as control
// characters and bytes that are not UTF-8 in the names of files, is written as in Go
// strings, \x1b. Line breaks stay.
func Plain(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1, r < utf8.RuneSelf && !unicode.IsPrint(r) && r != '\n':
			fmt.Fprintf(&out, `\x%02x`, text[0])
		case !unicode.IsPrint(r) && r != '\n':
			fmt.Fprintf(&out, `\u%04x`, r)
		default:
			out.WriteString(text[:n])
		}
		text = text[n:]
	}
	return out.String()
}
