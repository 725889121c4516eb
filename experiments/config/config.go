package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Core is the configuration that all experiments share; an experiment's own
// struct embeds it and adds fields of its own, with tags default and desc. The
// variable of a field is CMF_ and its name in capitals.
//
// The tags carry no envconfig name: with one, envconfig would also read the
// bare variable, SEED say, which other programs set too.
type Core struct {
	Preset string `default:"default" desc:"scale of the run: quick (seconds), default (minutes on two cores) or paper (the paper's scale)"`

	Out     string `desc:"folder for the run's results; when empty, runs/NAME/TIMESTAMP"`
	DataDir string `split_words:"true" desc:"where data sets lie; when empty, cmf in the user's cache folder"`
	Resume  string `desc:"checkpoint to go on from; when empty, a new run"`

	Seed    uint64  `default:"1" desc:"seed of every random stream"`
	Steps   int     `default:"2000" desc:"outer iterations"`
	Batch   int     `default:"512" desc:"points in a batch"`
	Minutes float64 `default:"0" desc:"stop training after this many minutes; 0 for no limit (a run so stopped is not repeatable)"`

	Loss      string  `default:"dual" desc:"sum of loss terms, such as dual, pairs or dual+0.1*pairs"`
	Source    string  `default:"gibbs" desc:"source of the map: gibbs (the method) or gaussian (the baseline)"`
	Init      string  `default:"gaussian" desc:"first potential: gaussian (closed form for the data's mean and covariance) or identity"`
	Sampler   string  `default:"mala" desc:"Langevin sampler: mala (with the Metropolis test) or ula (without)"`
	Conjugate string  `default:"bb" desc:"conjugate solver: bb (Barzilai-Borwein), lbfgs or newton"`
	Hidden    Widths  `default:"64,64,64,64" desc:"widths of the hidden layers"`
	LR        float64 `default:"0.001" desc:"learning rate of Adam"`

	VM      string `default:"plan" desc:"how expression graphs run: plan (compiled once) or tape (Gorgonia's machine)"`
	BLAS    string `default:"auto" desc:"matrix products: auto, openblas, native or gonum"`
	Threads int    `default:"0" desc:"threads; 0 for all cores"`
}

// Widths are the widths of hidden layers, written 64,64,64.
type Widths []int

// Decode reads widths from a list such as 64,64,64, for envconfig; none from the
// empty text.
func (w *Widths) Decode(list string) error {
	*w = nil
	if strings.TrimSpace(list) == "" {
		return nil
	}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		width, err := strconv.Atoi(part)
		if err != nil || width < 1 {
			return fmt.Errorf("%q is not a width; give positive whole numbers such as 64,64", part)
		}
		*w = append(*w, width)
	}
	return nil
}

// Check bounds what a network and its batches of n take: 2²⁷ weights between
// hidden layers, 512 MiB, and as many activations.
func (w Widths) Check(n int) error {
	const most = 1 << 27
	if len(w) > 100 {
		return fmt.Errorf("CMF_HIDDEN=%s…: %d layers; allowed are 1 to 100", w[:3], len(w))
	}
	var weights, units int
	for l, width := range w {
		if width > 1<<16 {
			return fmt.Errorf("CMF_HIDDEN=%s: a width of %d; allowed are 1 to %d", w, width, 1<<16)
		}
		units += width
		if l > 0 {
			weights += width * w[l-1]
		}
	}
	switch {
	case weights > most:
		return fmt.Errorf("CMF_HIDDEN=%s: %d weights between hidden layers; allowed are at most %d", w, weights, most)
	case units > most/n:
		return fmt.Errorf("CMF_BATCH=%d: beside CMF_HIDDEN=%s, allowed are at most %d points in a batch", n, w, most/units)
	}
	return nil
}

// String writes widths as Decode reads them.
func (w Widths) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int(w)), " ", ","), "[]")
}

// Setting is one configured variable of a run.
type Setting struct {
	Name    string // CMF_STEPS
	Value   string
	Default string // the value under the chosen preset
	Meaning string
}

const Prefix = "CMF"

func (c *Core) Shared() *Core { return c }

// Load fills spec, a struct that embeds Core, in the order: default tags, the
// preset "default", the preset that CMF_PRESET names, and last the variables
// that are set, so that a preset changes only what the user did not. It then
// checks ranges, by spec's method Validate() error too where it has one, and
// returns every setting, in the order of the fields.
//
// A misspelt CMF_ variable is an error that suggests the nearest known one.
// The arguments are those of the command: -h or --help writes the table of
// variables to out and returns flag.ErrHelp; any other is an error.
func Load[T any](spec *T, presets map[string]func(*T), args []string, out io.Writer) ([]Setting, error) {
	owner, ok := any(spec).(interface{ Shared() *Core })
	if !ok {
		return nil, fmt.Errorf("the configuration %T must embed config.Core", spec)
	}
	help := false
	for _, arg := range args {
		if arg != "-h" && arg != "-help" && arg != "--help" {
			return nil, fmt.Errorf("unknown argument %q: an experiment is configured by CMF_ variables; -h lists them", arg)
		}
		help = true
	}

	// No variable's name holds "=", so under this prefix none is found: what
	// remains are the tags' defaults.
	if err := envconfig.Process("=", spec); err != nil {
		return nil, Explained(err)
	}
	common := owner.Shared()
	name := cmp.Or(os.Getenv("CMF_PRESET"), common.Preset)
	allowed := PresetNames(presets)
	if err := OneOf("CMF_PRESET", name, allowed...); err != nil {
		return nil, err
	}
	for _, step := range slices.Compact([]string{"default", name}) {
		if apply := presets[step]; apply != nil {
			apply(spec)
		}
	}
	chosen := len(common.Hidden) == 0 // by the experiment, for its data
	fields, err := FieldsOf(spec)
	if err != nil {
		return nil, err
	}
	settings := make([]Setting, len(fields))
	for i, f := range fields {
		settings[i] = Setting{Name: f.Name, Default: fmt.Sprint(f.Value), Meaning: f.Meaning}
	}
	if help {
		return nil, usage(out, settings, name, allowed)
	}

	if err := checkNames(spec, fields); err != nil {
		return nil, err
	}
	var set T
	if err := envconfig.Process(Prefix, &set); err != nil {
		return nil, Explained(err)
	}
	given, err := FieldsOf(&set)
	if err != nil {
		return nil, err
	}
	for i, f := range fields {
		if _, ok := os.LookupEnv(f.Name); ok {
			f.Value.Set(given[i].Value)
		}
	}
	common.Preset = name
	if !chosen && len(common.Hidden) == 0 {
		return nil, errors.New("CMF_HIDDEN=: name at least one width, such as 64,64")
	}
	if err := common.check(); err != nil {
		return nil, err
	}
	if own, ok := any(spec).(interface{ Validate() error }); ok {
		if err := own.Validate(); err != nil {
			return nil, err
		}
	}
	for i, f := range fields {
		settings[i].Value = fmt.Sprint(f.Value)
	}
	return settings, nil
}

// field is a field of a configuration and the variable that sets it.
type field struct {
	Name, Meaning string
	Value         reflect.Value
}

// FieldsOf lists the fields of spec, those of embedded structs in their place,
// as envconfig does.
func FieldsOf(spec any) ([]field, error) {
	var names strings.Builder
	if err := envconfig.Usagef(Prefix, spec, &names, "{{range .}}{{usage_key .}} {{end}}"); err != nil {
		return nil, err
	}
	var fields []field
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			switch f := v.Type().Field(i); {
			case f.Anonymous:
				walk(v.Field(i))
			case f.IsExported():
				fields = append(fields, field{Meaning: f.Tag.Get("desc"), Value: v.Field(i)})
			}
		}
	}
	walk(reflect.ValueOf(spec).Elem())
	keys := strings.Fields(names.String())
	if len(keys) != len(fields) {
		return nil, fmt.Errorf("the configuration %T must hold plain values and embedded structs only", spec)
	}
	for i, key := range keys {
		fields[i].Name = key
	}
	return fields, nil
}

// check says which shared variable is out of its range, and what is allowed.
func (c *Core) check() error {
	number := func(name string, value any, ok bool, rule string) error {
		if ok {
			return nil
		}
		return fmt.Errorf("CMF_%s=%v: %s", name, value, rule)
	}
	err := cmp.Or(
		number("STEPS", c.Steps, c.Steps >= 0 && c.Steps <= 1e9, "the number of steps must be 0 to 1000000000"),
		number("BATCH", c.Batch, c.Batch >= 2 && c.Batch <= 1e6, "a batch must have 2 to 1000000 points"),
		number("MINUTES", c.Minutes, c.Minutes >= 0 && c.Minutes <= 1e6, "the minutes must be 0 (no limit) to 1000000"),
		number("LR", c.LR, c.LR > 0 && c.LR <= 10, "the learning rate must be above 0, up to 10"),
		number("THREADS", c.Threads, c.Threads >= 0 && c.Threads <= 1024, "the threads must be 0 (all cores) to 1024"),
		number("LOSS", c.Loss, c.Loss != "", "name at least one loss term, such as dual"),
		OneOf("CMF_SOURCE", c.Source, "gibbs", "gaussian"),
		OneOf("CMF_INIT", c.Init, "gaussian", "identity"),
		OneOf("CMF_SAMPLER", c.Sampler, "mala", "ula"),
		OneOf("CMF_CONJUGATE", c.Conjugate, "bb", "lbfgs", "newton"),
		OneOf("CMF_VM", c.VM, "plan", "tape"),
		OneOf("CMF_BLAS", c.BLAS, "auto", "openblas", "native", "gonum"),
		IsFile("CMF_RESUME", c.Resume),
	)
	if err != nil {
		return err
	}
	return c.Hidden.Check(c.Batch)
}

// Rule is a variable, CMF_ and its name, with whether its value is allowed.
type Rule struct {
	Ok      bool
	Name    string
	Value   any
	Allowed string
}

// Allowed names the first variable whose value is not.
func Allowed(rules ...Rule) error {
	for _, v := range rules {
		if !v.Ok {
			return fmt.Errorf("CMF_%s=%v: %s", v.Name, v.Value, v.Allowed)
		}
	}
	return nil
}

// Want is the rule that the variable CMF_NAME, of this value, is as allowed says.
func Want(ok bool, name string, value any, allowed string) Rule {
	return Rule{ok, name, value, allowed}
}
