package layout

import (
	"bytes"
	"os"
	"regexp"
	"testing"
)

// A package that exceeds these limits has more than one role.
const (
	mostFiles = 25
	mostLines = 3500
)

// Generated files, marked by Go's convention, do not count.
func TestPackagesStaySmall(t *testing.T) {
	generated := regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
	for _, p := range module(t) {
		files, lines := 0, 0
		for _, path := range p.files() {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !generated.Match(text) {
				files++
				lines += bytes.Count(text, []byte("\n"))
			}
		}
		if files > mostFiles || lines > mostLines {
			t.Errorf("%s has %d files and %d lines of code without tests; at most %d and %d are allowed", p.ImportPath, files, lines, mostFiles, mostLines)
		}
	}
}
