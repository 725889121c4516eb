package sweep

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"cmf/experiments/config"
	"cmf/experiments/report"
)

// ablationConfig has the variables of an ablation besides those of its experiment. Their
// defaults come from the ablation.
type ablationConfig struct {
	Variants string `desc:"variants separated by semicolons: names from the table, or your own settings such as LOSS=dual+0.1*pairs LR=0.001"`
	Datasets string `desc:"data sets separated by semicolons"`
	Seeds    int    `range:"1..100" desc:"seeds of each variant on each set, counted from CMF_SEED"`
	Metric   string `desc:"metric of the first table"`
	Parallel int    `range:"0..1024" desc:"cells that each process runs at once; 0 for as many as the cores allow, one on each of several ranks"`
	Part     part   `aside:"true" desc:"which of several processes this one is that share the cells, such as 2/4; they need nothing but the same CMF_OUT. By default from SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX or the launcher of ranks"`
}

// sharedSettings are the settings of the experiment that all cells share. Their defaults
// include the ablation's base.
func (a *Ablation) sharedSettings(args []string, base, user config.Environment) ([]config.Setting, error) {
	defaults, err := a.Of.Settings(base, args, io.Discard)
	if err != nil {
		return nil, fmt.Errorf("the ablation's base: %w", err)
	}
	if user["CMF_RESUME"] != "" {
		return nil, errors.New("CMF_RESUME: to go on with an ablation, set CMF_OUT to its folder instead")
	}
	env := base.With()
	maps.Copy(env, user)
	settings, err := a.Of.Settings(env, args, io.Discard)
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

// readVariables removes the ablation's own variables from the user's and returns them as
// settings. The user may name any known variant, even one that the preset leaves out.
func (a *Ablation) readVariables(user config.Environment, known []Variant) (settings []config.Setting, c ablationConfig, err error) {
	var metrics, variants []string
	for _, m := range a.Metrics {
		metrics = append(metrics, m.Metric)
	}
	for _, v := range a.Variants {
		variants = append(variants, v.Name)
	}
	if len(metrics) == 0 || len(variants) == 0 {
		return nil, c, fmt.Errorf("the ablation %s has %d variants and %d metrics; it needs one of each", a.Name, len(variants), len(metrics))
	}
	c = ablationConfig{strings.Join(variants, "; "), strings.Join(a.Sets, "; "), a.Seeds, metrics[0], 0, partHere()}
	if settings, err = config.Take(&c, user); err != nil {
		return nil, c, err
	}
	if err := config.Check(&c); err != nil {
		return nil, c, err
	}
	for i, s := range settings {
		delete(user, s.Name)
		if s.Name == "CMF_METRIC" {
			settings[i].Meaning += ": " + strings.Join(metrics, ", ")
		}
	}
	lead := slices.Index(metrics, c.Metric)
	if lead < 0 {
		return nil, c, config.OneOf("CMF_METRIC", c.Metric, metrics...)
	}
	a.Seeds, a.Sets = c.Seeds, listed(c.Datasets)
	if _, ok := user[config.Prefix+"_"+a.Over]; ok && len(a.Sets) > 0 {
		return nil, c, fmt.Errorf("CMF_%s: an ablation takes its data sets from CMF_DATASETS, which is %s; set that instead", a.Over, c.Datasets)
	}
	a.Metrics = slices.Concat(a.Metrics[lead:lead+1], a.Metrics[:lead], a.Metrics[lead+1:])
	if a.Variants, err = chosen(c.Variants, known); err != nil {
		return nil, c, fmt.Errorf("CMF_VARIANTS=%s: %w", c.Variants, err)
	}
	return settings, c, nil
}

// listed splits a list at semicolons.
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
				return nil, fmt.Errorf("unknown variant %q; give settings such as LOSS=dual LR=0.001, or names of known variants: %s", part, strings.Join(names, "; "))
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

// over is a copy of variables in which the settings replace or extend the values.
func (s Settings) over(variables config.Environment) config.Environment {
	all := variables.With()
	for name, value := range s {
		all[config.Prefix+"_"+name] = value
	}
	return all
}

// usage writes the ablation's variables and those of its cells.
func (a *Ablation) usage(args []string, out io.Writer, own []config.Setting, base config.Environment) error {
	fmt.Fprintf(out, "Variables of %s.\n\n", a.Name)
	if err := config.WriteTable(out, own); err != nil {
		return err
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(base)) {
		words = append(words, name+"="+report.Quoted(base[name]))
	}
	fmt.Fprintf(out, "\nEvery cell is a run of %s with %s\nunless you set these. The settings of its variant override yours.\n\n", a.Of.Command(), strings.Join(words, " "))
	_, err := a.Of.Settings(config.Variables("CMF_PRESET="+base["CMF_PRESET"]), args, out)
	if err == nil {
		return flag.ErrHelp
	}
	return err
}
