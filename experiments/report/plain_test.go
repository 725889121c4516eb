package report

import "testing"

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"∇w*, \"a\" 和\nb":   "∇w*, \"a\" 和\nb",
		"a\x1b[31mred.csv":  `a\x1b[31mred.csv`,
		"a\xff\xfe\x00b\t":  `a\xff\xfe\x00b\x09`,
		"a\u202eb\u0085":    `a\u202eb\u0085`,
		"1\u00a0000\u2009m": "1\u00a0000\u2009m",
		"\ufffd":            "\ufffd",
	} {
		if got := Plain(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
