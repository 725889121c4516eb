package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain is a text for terminals, logs and pages: what cannot be printed, such as control
// characters and bytes that are not UTF-8 in the names of files, is written as in Go
// strings, \x1b. Line breaks and spaces stay.
func Plain(text string) string { return printable(text, "\n") }

// printable replaces what cannot be printed, except the characters of keep.
func printable(text, keep string) string {
	var out strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&out, `\x%02x`, text[0])
		case unicode.IsPrint(r), unicode.Is(unicode.Zs, r), strings.ContainsRune(keep, r):
			out.WriteString(text[:n])
		case r < utf8.RuneSelf:
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		text = text[n:]
	}
	return out.String()
}
