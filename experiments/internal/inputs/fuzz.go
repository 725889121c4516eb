package inputs

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"cmf/experiments/config"
	"cmf/experiments/report"

	"github.com/google/go-cmp/cmp"
)

// FuzzVariables sets one variable of one command. Either the configuration is accepted, and
// its values given back make the same one; or it is refused with a message that names the
// variable. Both must be quick and need little memory.
func FuzzVariables(f *testing.F, commands ...Command) {
	names := make([][]string, len(commands))
	for i, command := range commands {
		settings, err := command.settings()
		if err != nil {
			f.Fatalf("%s: %v", command.Command(), err)
		}
		for j, s := range settings {
			names[i] = append(names[i], s.Name)
			for _, value := range []string{s.Value, "", "NaN", "9e99", "9;9", "="} {
				f.Add(byte(i), byte(j), value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, i, j byte, value string) {
		command, known := commands[int(i)%len(commands)], names[int(i)%len(commands)]
		name := known[int(j)%len(known)]
		if strings.ContainsRune(value, 0) || command.Plans && name == "CMF_OUT" {
			return // an environment cannot hold such a value, or the variable may make any folder
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		settings, err := command.settings(name + "=" + value)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; taken > 256<<20 || took > 10*time.Second {
			t.Errorf("%s %s=%q took %v and %d bytes", command.Command(), name, value, took, taken)
		}
		if err != nil {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s=%q: %v; the variable is not named", command.Command(), name, value, err)
			}
			return
		}
		if command.Plans {
			return // CMF_DATASETS and the cells' CMF_DATASET are not given together
		}
		given := command
		given.Needed = config.Environment(report.ConfigOf(settings))
		again, err := given.settings()
		if diff := cmp.Diff(settings, again); err != nil || diff != "" {
			t.Errorf("%s %s=%q: given back, %v (−first +again)\n%s", command.Command(), name, value, err, diff)
		}
	})
}
