package config

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// OneOf returns an error that says what is allowed if value is not.
func OneOf(variable, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s=%s: allowed are %s", variable, value, strings.Join(allowed, ", "))
}

// explained rewrites an error of envconfig as VARIABLE=VALUE: what to give.
func explained(err error, variable, value string) error {
	parse, ok := errors.AsType[*envconfig.ParseError](err)
	if !ok {
		return fmt.Errorf("%s=%s: %w", variable, value, err)
	}
	wanted := parse.Err.Error()
	if errors.Is(parse.Err, strconv.ErrSyntax) || errors.Is(parse.Err, strconv.ErrRange) {
		switch {
		case strings.HasPrefix(parse.TypeName, "uint"):
			wanted = "give a whole number, 0 or more"
		case strings.HasPrefix(parse.TypeName, "int"):
			wanted = "give a whole number"
		case strings.HasPrefix(parse.TypeName, "float"):
			wanted = "give a number such as 0.001 or 1e-3"
		case parse.TypeName == "bool":
			wanted = "give true or false"
		}
	}
	return fmt.Errorf("%s=%s: %s", variable, value, wanted)
}

// anywhere lists variables that belong to the computer rather than to a run. Users export
// them once for all commands; a command that does not read them ignores them.
var anywhere = []string{Prefix + "_DATA_DIR"}

// checkNames refuses a variable that no field reads, and one that is fixed at another
// value.
func checkNames(env Environment, fields []field) error {
	known, read := []string{}, slices.Clone(anywhere)
	for _, f := range fields {
		if text, ok := env[f.name]; ok && f.fixed && text != fmt.Sprint(f.value) {
			return fmt.Errorf("%s=%s: it is always %v here and must not be set", f.name, text, f.value)
		}
		if !f.fixed {
			known = append(known, f.name)
		}
		read = append(read, f.name)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if slices.Contains(read, name) {
			continue
		}
		near, least := "", len(name)/3+1
		for _, k := range known {
			if d := editDistance(name, k); d < least {
				near, least = k, d
			}
		}
		if near != "" {
			near = fmt.Sprintf("did you mean %s? ", near)
		}
		return fmt.Errorf("unknown variable %s: %sknown are %s", name, near, strings.Join(known, ", "))
	}
	return nil
}

// withoutSiblings leaves out variables of commands that are used together with this one, which
// users may have exported for all of them, and says so.
func withoutSiblings(env Environment, siblings []string, out io.Writer) Environment {
	env = env.With()
	for _, name := range siblings {
		if _, ok := env[name]; ok {
			fmt.Fprintf(out, "%s does nothing in this command\n", name)
			delete(env, name)
		}
	}
	return env
}

// editDistance is the smallest number of letters to insert, delete or replace that turns
// a into b (V. I. Levenshtein, Soviet Physics Doklady 10 (1966), 707–710).
func editDistance(a, b string) int {
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		diagonal := last[0]
		last[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = last[j+1]
			last[j+1] = min(replaced, last[j]+1, last[j+1]+1)
		}
	}
	return last[len(b)]
}

func usage(out io.Writer, settings []Setting, preset string) error {
	fmt.Fprintf(out, "Variables and their defaults under CMF_PRESET=%s.\nSet them before the command: CMF_SEED=7 go run ./experiments/NAME\n\n", preset)
	if err := WriteTable(out, settings); err != nil {
		return err
	}
	return flag.ErrHelp
}

// WriteTable lists variables with their defaults, allowed values and meanings.
func WriteTable(out io.Writer, settings []Setting) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VARIABLE\tDEFAULT\tALLOWED\tMEANING")
	for _, s := range settings {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Name, cmp.Or(s.Default, "-"), cmp.Or(s.Allowed, "-"), s.Meaning)
	}
	return table.Flush()
}

// OpenOut makes the folder for a run's results, runs/EXPERIMENT/TIMESTAMP if dir is
// empty, and checks that files can be written there.
func OpenOut(dir, experiment string) (folder string, err error) {
	if dir == "" {
		dir, err = ownFolder(filepath.Join("runs", experiment))
	} else {
		err = os.MkdirAll(dir, 0o777)
	}
	if err != nil {
		return "", fmt.Errorf("CMF_OUT=%s: %w; name a folder that can be created and written", dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe.*")
	if err != nil {
		return "", fmt.Errorf("CMF_OUT=%s: %w; name a folder that can be written", dir, err)
	}
	return dir, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// ownFolder makes a folder named by the time, which no other run has: neither one that begins
// just then nor an earlier one, before the clock went back.
func ownFolder(parent string) (dir string, err error) {
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return parent, err
	}
	for {
		dir = filepath.Join(parent, time.Now().Format("20060102-150405.000"))
		if err = os.Mkdir(dir, 0o777); !errors.Is(err, os.ErrExist) {
			return dir, err
		}
		time.Sleep(time.Millisecond)
	}
}
