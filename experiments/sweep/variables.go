package sweep

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"cmf/experiments/config"
	"cmf/experiments/report"

	"github.com/kelseyhightower/envconfig"
)

// ablationConfig is what an ablation has variables for besides those of its
// experiment. The defaults are the ablation's.
type ablationConfig struct {
	Variants string `desc:"variants parted by semicolons: names of the table's, or settings of your own such as LOSS=dual+0.1*pairs LR=0.001"`
	Datasets string `desc:"data sets parted by semicolons"`
	Seeds    int    `desc:"seeds of each variant on each set, counted from CMF_SEED"`
	Metric   string `desc:"metric of the table that leads"`
	Parallel int    `desc:"cells at once; 0 for as many as the cores hold"`
}

// sharedSettings are those of the experiment that all cells have, their defaults
// with the ablation's base.
func (a *Ablation) sharedSettings(args []string, base, user map[string]string) ([]config.Setting, error) {
	load := func() ([]config.Setting, error) { return a.Of.Settings(args, io.Discard) }
	defaults, err := WithVariables(base, load)
	if err != nil {
		return nil, fmt.Errorf("the ablation's base: %w", err)
	}
	if user["CMF_RESUME"] != "" {
		return nil, errors.New("CMF_RESUME: an ablation goes on where CMF_OUT names its folder")
	}
	env := maps.Clone(base)
	maps.Copy(env, user)
	settings, err := WithVariables(env, load)
	if err != nil {
		return nil, err
	}
	for i, s := range settings {
		settings[i].Default = defaults[i].Value
		if s.Name == "CMF_PRESET" {
			settings[i].Default = "default"
		}
	}
	return settings, nil
}

// readVariables takes the ablation's own variables from the user's, and returns
// them as settings. The user may name any known variant, beyond the preset's too.
func (a *Ablation) readVariables(user map[string]string, known []Variant) (settings []config.Setting, parallel int, err error) {
	var metrics, variants []string
	for _, m := range a.Metrics {
		metrics = append(metrics, m.Metric)
	}
	for _, v := range a.Variants {
		variants = append(variants, v.Name)
	}
	if len(metrics) == 0 || len(variants) == 0 {
		return nil, 0, fmt.Errorf("the ablation %s has %d variants and %d metrics; it needs one of each", a.Name, len(variants), len(metrics))
	}
	c := ablationConfig{strings.Join(variants, "; "), strings.Join(a.Sets, "; "), a.Seeds, metrics[0], 0}
	if settings, err = c.read(user); err != nil {
		return nil, 0, err
	}
	lead := slices.Index(metrics, c.Metric)
	switch {
	case c.Seeds < 1 || c.Seeds > 100:
		return nil, 0, fmt.Errorf("CMF_SEEDS=%d: allowed are 1 to 100 seeds", c.Seeds)
	case c.Parallel < 0 || c.Parallel > 1024:
		return nil, 0, fmt.Errorf("CMF_PARALLEL=%d: the cells at once must be 0 (as many as the cores hold) to 1024", c.Parallel)
	case lead < 0:
		return nil, 0, config.OneOf("CMF_METRIC", c.Metric, metrics...)
	}
	a.Seeds, a.Sets = c.Seeds, listed(c.Datasets)
	if _, ok := user[config.Prefix+"_"+a.Over]; ok && len(a.Sets) > 0 {
		return nil, 0, fmt.Errorf("CMF_%s: an ablation takes data sets from CMF_DATASETS, here %s", a.Over, c.Datasets)
	}
	a.Metrics = slices.Concat(a.Metrics[lead:lead+1], a.Metrics[:lead], a.Metrics[lead+1:])
	if a.Variants, err = chosen(c.Variants, known); err != nil {
		return nil, 0, fmt.Errorf("CMF_VARIANTS=%s: %w", c.Variants, err)
	}
	return settings, c.Parallel, nil
}

// read takes the variables of c from the user's; what c holds is their defaults.
func (c *ablationConfig) read(user map[string]string) (settings []config.Setting, err error) {
	var set ablationConfig
	if err := envconfig.Process(config.Prefix, &set); err != nil {
		return nil, config.Explained(err)
	}
	given, err := config.FieldsOf(&set)
	if err != nil {
		return nil, err
	}
	fields, err := config.FieldsOf(c)
	if err != nil {
		return nil, err
	}
	for i, f := range fields {
		s := config.Setting{Name: f.Name, Default: fmt.Sprint(f.Value), Meaning: f.Meaning}
		if _, ok := user[f.Name]; ok {
			f.Value.Set(given[i].Value)
			delete(user, f.Name)
		}
		s.Value = fmt.Sprint(f.Value)
		settings = append(settings, s)
	}
	return settings, nil
}

// listed are the parts of a list parted by semicolons.
func listed(list string) (parts []string) {
	for part := range strings.SplitSeq(list, ";") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// chosen reads a list of variants: names of known ones, or settings.
func chosen(list string, known []Variant) (variants []Variant, err error) {
	var names []string
	for _, v := range known {
		names = append(names, v.Name)
	}
	for _, part := range listed(list) {
		if k := slices.Index(names, part); k >= 0 {
			variants = append(variants, known[k])
			continue
		}
		v := Variant{part, Settings{}}
		for word := range strings.FieldsSeq(part) {
			name, value, ok := strings.Cut(word, "=")
			if !ok {
				return nil, fmt.Errorf("unknown variant %q; give settings such as LOSS=dual LR=0.001, or of the known ones: %s", part, strings.Join(names, "; "))
			}
			v.Settings[strings.TrimPrefix(name, config.Prefix+"_")] = value
		}
		variants = append(variants, v)
	}
	if len(variants) == 0 {
		return nil, errors.New("name at least one variant")
	}
	return variants, nil
}

// over is a copy of variables with the settings in place of their values.
func (s Settings) over(variables map[string]string) map[string]string {
	all := maps.Clone(variables)
	for name, value := range s {
		all[config.Prefix+"_"+name] = value
	}
	return all
}

// cmfVariables are the environment's variables that begin with CMF_.
func cmfVariables() map[string]string {
	found := map[string]string{}
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, config.Prefix+"_") {
			found[name] = value
		}
	}
	return found
}

// WithVariables calls load with these CMF_ variables in place of the
// environment's.
func WithVariables(variables map[string]string, load func() ([]config.Setting, error)) ([]config.Setting, error) {
	replace := func(from, to map[string]string) (err error) {
		for name := range from {
			err = errors.Join(err, os.Unsetenv(name))
		}
		for name, value := range to {
			err = errors.Join(err, os.Setenv(name, value))
		}
		return err
	}
	was := cmfVariables()
	if err := replace(was, variables); err != nil {
		return nil, err
	}
	settings, err := load()
	return settings, errors.Join(err, replace(variables, was))
}

// usage writes the ablation's variables and those of its cells.
func (a *Ablation) usage(args []string, out io.Writer, own []config.Setting, base map[string]string) error {
	fmt.Fprintf(out, "Variables of %s.\n\n", a.Name)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VARIABLE\tDEFAULT\tMEANING")
	for _, s := range own {
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.Name, s.Default, s.Meaning)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(base)) {
		words = append(words, name+"="+report.Quoted(base[name]))
	}
	fmt.Fprintf(out, "\nEvery cell is a run of %s with %s\nunless you set these; the settings of its variant come before yours.\n\n", a.Of.Command(), strings.Join(words, " "))
	_, err := WithVariables(map[string]string{"CMF_PRESET": base["CMF_PRESET"]}, func() ([]config.Setting, error) { return a.Of.Settings(args, out) })
	if err == nil {
		return flag.ErrHelp
	}
	return err
}
