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

// OneOf says what is allowed when value is not.
func OneOf(variable, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s=%s: allowed are %s", variable, value, strings.Join(allowed, ", "))
}

// IsFile says what is wrong with a file that a variable names; one left empty
// names none.
func IsFile(variable, path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w; name a checkpoint.safetensors that a run left", variable, path, err)
	}
	return nil
}

// PresetNames lists the presets from quick to paper, then others by name.
func PresetNames[F any](presets map[string]F) []string {
	known := slices.Sorted(maps.Keys(presets))
	if !slices.Contains(known, "default") {
		known = append(known, "default")
	}
	order := []string{"quick", "default", "paper"}
	rank := func(name string) int { return (slices.Index(order, name) + len(order) + 1) % (len(order) + 1) }
	slices.SortStableFunc(known, func(a, b string) int { return rank(a) - rank(b) })
	return known
}

// Explained rewrites an error of envconfig: VARIABLE=VALUE: what is wanted.
func Explained(err error) error {
	parse, ok := errors.AsType[*envconfig.ParseError](err)
	if !ok {
		return err
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
	return fmt.Errorf("%s=%s: %s", parse.KeyName, parse.Value, wanted)
}

// checkNames refuses a CMF_ variable that no field reads.
func checkNames(spec any, fields []field) error {
	err := envconfig.CheckDisallowed(Prefix, spec)
	if err == nil {
		return nil
	}
	// The name ends envconfig's message, which is all that it gives.
	words := strings.Fields(err.Error())
	unknown := words[len(words)-1]
	near, least := "", len(unknown)/3+1
	var known []string
	for _, f := range fields {
		known = append(known, f.Name)
		if d := editDistance(unknown, f.Name); d < least {
			near, least = f.Name, d
		}
	}
	if near != "" {
		near = fmt.Sprintf("did you mean %s? ", near)
	}
	return fmt.Errorf("unknown variable %s: %sknown are %s", unknown, near, strings.Join(known, ", "))
}

// editDistance is the least number of letters to insert, delete or replace to
// turn a into b (V. I. Levenshtein, Soviet Physics Doklady 10 (1966), 707–710).
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

func usage(out io.Writer, settings []Setting, preset string, presets []string) error {
	fmt.Fprintf(out, "Variables and their defaults under CMF_PRESET=%s (known: %s).\nSet them before the command: CMF_SEED=7 go run ./experiments/NAME\n\n", preset, strings.Join(presets, ", "))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VARIABLE\tDEFAULT\tMEANING")
	for _, s := range settings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, cmp.Or(s.Default, "-"), s.Meaning)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return flag.ErrHelp
}

// OpenOut makes the folder for a run's results, runs/EXPERIMENT/TIMESTAMP when
// dir is empty, and proves that files can be written there.
func OpenOut(dir, experiment string) (folder string, err error) {
	if dir == "" {
		dir = filepath.Join("runs", experiment, time.Now().Format("20060102-150405.000"))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("CMF_OUT=%s: %w; name a folder that can be made and written", dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe.*")
	if err != nil {
		return "", fmt.Errorf("CMF_OUT=%s: %w; name a folder that can be written", dir, err)
	}
	return dir, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// DataFolder is CMF_DATA_DIR, or cmf in the user's cache folder when that is
// not set.
func (c *Core) DataFolder() (string, error) {
	if c.DataDir != "" {
		return c.DataDir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("CMF_DATA_DIR is not set and there is no cache folder: %w", err)
	}
	return filepath.Join(cache, "cmf"), nil
}
