package experiments

import (
	"os"
	"strings"
	"testing"
)

// TestMain clears the variables that configure experiments: tests set their own.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "CMF_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
