package run

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// Version is the version of this program, as far as its build knows it: of the module, of
// the source, and of Go.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return runtime.Version()
	}
	parts := []string{info.Main.Version}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			parts = append(parts, s.Value)
		}
		if s.Key == "vcs.modified" && s.Value == "true" {
			parts = append(parts, "modified")
		}
	}
	return strings.Join(append(parts, runtime.Version()), " ")
}
