// Package exptest holds what the tests of several packages of experiments share.
package exptest

import (
	"os"
	"strings"
	"testing"
)

// Main runs tests without the variables that configure experiments: tests set their
// own.
func Main(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "CMF_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
