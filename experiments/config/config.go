package config

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Setting is one configured variable of a run.
type Setting struct {
	Name    string // CMF_STEPS
	Value   string
	Default string // the value under the chosen preset
	Allowed string // empty if every value of its type is allowed
	Meaning string
	Aside   bool // it changes nothing of what a run leaves
}

// Recorded are the settings that make a run what it is, and that it leaves in its files:
// those that are not aside.
func Recorded(settings []Setting) []Setting {
	return slices.DeleteFunc(slices.Clone(settings), func(s Setting) bool { return s.Aside })
}

// Load fills spec, a struct that embeds Command, in this order: default tags, the
// preset "default", the preset that CMF_PRESET names, its method Adapt (if it has one,
// as Core does) where defaults depend on a variable, and last the variables of the
// environment. So a preset changes only what the user has not set. Load then checks the
// values and returns every setting, in the order of the fields.
//
// A misspelt CMF_ variable is an error that suggests the nearest known one. args are the
// arguments of the command: -h or --help writes the table of variables to out and
// returns flag.ErrHelp; any other is an error.
func Load[T any](spec *T, presets map[string]func(*T), env Environment, args []string, out io.Writer) ([]Setting, error) {
	owner, ok := any(spec).(interface{ Shared() *Command })
	if !ok {
		return nil, fmt.Errorf("the configuration %T must embed config.Core or config.Command", spec)
	}
	help := false
	for _, arg := range args {
		if arg != "-h" && arg != "-help" && arg != "--help" {
			return nil, fmt.Errorf("unknown argument %q: an experiment is configured by CMF_ variables; -h lists them", arg)
		}
		help = true
	}

	if err := setDefaults(spec); err != nil {
		return nil, err
	}
	common := owner.Shared()
	name := cmp.Or(env["CMF_PRESET"], common.Preset)
	allowed := PresetNames(presets)
	if err := OneOf("CMF_PRESET", name, allowed...); err != nil {
		return nil, err
	}
	for _, step := range slices.Compact([]string{"default", name}) {
		if apply := presets[step]; apply != nil {
			apply(spec)
		}
	}
	if a, ok := any(spec).(interface{ Adapt(env Environment) }); ok {
		a.Adapt(env)
	}
	fields, err := fieldsOf(spec)
	if err != nil {
		return nil, err
	}
	if help {
		env = nil
	}
	if s, ok := any(spec).(interface{ Siblings() []string }); ok {
		env = withoutSiblings(env, s.Siblings(), out)
	}
	if err := checkNames(env, fields); err != nil {
		return nil, err
	}
	settings, err := Take(spec, env)
	if err != nil {
		return nil, err
	}
	common.Preset = name
	for i, s := range settings {
		if s.Name == "CMF_PRESET" {
			settings[i].Value, settings[i].Allowed = name, strings.Join(allowed, ", ")
		}
	}
	if help {
		return nil, usage(out, settings, name)
	}
	if err := Check(spec); err != nil {
		return nil, err
	}
	return settings, nil
}

// Take sets the fields of spec, any struct of variables, that env names, and returns
// every setting. The defaults are the values that spec has before.
func Take(spec any, env Environment) ([]Setting, error) {
	fields, err := fieldsOf(spec)
	if err != nil {
		return nil, err
	}
	var settings []Setting
	for _, f := range fields {
		if f.fixed {
			continue
		}
		s := Setting{Name: f.name, Default: fmt.Sprint(f.value), Allowed: f.Allowed(), Meaning: f.meaning, Aside: f.aside}
		if text, ok := env[f.name]; ok {
			if err := f.set(text); err != nil {
				return nil, err
			}
		}
		s.Value = fmt.Sprint(f.value)
		settings = append(settings, s)
	}
	return settings, nil
}

// Check returns an error that names a field of spec with a value that is not allowed, and
// says what is. Rules are in the tags, and in the method Validate of spec or of a struct
// that it embeds.
func Check(spec any) error {
	fields, err := fieldsOf(spec)
	if err != nil {
		return err
	}
	for _, f := range fields {
		if err := f.check(f.name, f.value); err != nil {
			return err
		}
	}
	return validate(reflect.ValueOf(spec).Elem())
}

// validate calls Validate of the structs that v embeds, then that of v.
func validate(v reflect.Value) error {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Anonymous && f.IsExported() {
			if err := validate(v.Field(i)); err != nil {
				return err
			}
		}
	}
	if own, ok := v.Addr().Interface().(interface{ Validate() error }); ok {
		return own.Validate()
	}
	return nil
}

// setDefaults sets the fields of spec that have a default tag.
func setDefaults(spec any) error {
	// No variable's name contains "=", so none is found under this prefix, and only the
	// defaults of the tags remain.
	if err := envconfig.Process("=", spec); err != nil {
		return fmt.Errorf("the defaults of %T: %w", spec, err)
	}
	return nil
}

// field is a field of a configuration and the variable that sets it.
type field struct {
	rules
	name, meaning string
	value         reflect.Value
	fixed         bool // it keeps its default: the command's method Fixed names it
}

// fieldsOf lists the fields of spec in their order, with those of embedded structs in
// place of the struct, as envconfig does.
func fieldsOf(spec any) ([]field, error) {
	var names strings.Builder
	if err := envconfig.Usagef(Prefix, spec, &names, "{{range .}}{{usage_key .}} {{end}}"); err != nil {
		return nil, err
	}
	keys := strings.Fields(names.String())
	var fields []field
	var walk func(v reflect.Value) error
	walk = func(v reflect.Value) error {
		for i := range v.NumField() {
			switch f := v.Type().Field(i); {
			case f.Anonymous:
				if err := walk(v.Field(i)); err != nil {
					return err
				}
			case f.IsExported():
				r, err := rulesOf(f)
				if err != nil {
					return err
				}
				fields = append(fields, field{rules: r, meaning: f.Tag.Get("desc"), value: v.Field(i)})
			}
		}
		return nil
	}
	if err := walk(reflect.ValueOf(spec).Elem()); err != nil {
		return nil, fmt.Errorf("the configuration %T: %w", spec, err)
	}
	if len(keys) != len(fields) {
		return nil, fmt.Errorf("the configuration %T must hold plain values and embedded structs only", spec)
	}
	seen := map[string]bool{}
	for i, key := range keys {
		if seen[key] {
			return nil, fmt.Errorf("the configuration %T has two fields of the variable %s", spec, key)
		}
		fields[i].name, seen[key] = key, true
	}
	if c, ok := spec.(interface{ Fixed() []string }); ok {
		for _, name := range c.Fixed() {
			k := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
			if k < 0 {
				return nil, fmt.Errorf("the configuration %T fixes %s, but has no such variable", spec, name)
			}
			fields[k].fixed = true
		}
	}
	return fields, nil
}

// set reads text as envconfig reads a default tag. envconfig looks up values only in the
// process's own environment, and here the environment is an argument.
func (f field) set(text string) error {
	if text == "" && f.value.Kind() == reflect.String {
		f.value.SetString("")
		return nil
	}
	// To envconfig an empty default is no default. Types other than string read a space
	// as they would the empty text.
	tag := reflect.StructTag(fmt.Sprintf("default:%q", cmp.Or(text, " ")))
	spec := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Value", Type: f.value.Type(), Tag: tag}}))
	if err := envconfig.Process("=", spec.Interface()); err != nil {
		return explained(err, f.name, text)
	}
	read := spec.Elem().Field(0)
	if read.Kind() == reflect.Slice && read.Len() == 0 && f.value.Len() > 0 {
		return fmt.Errorf("%s=: name at least one, such as %v", f.name, f.value)
	}
	f.value.Set(read)
	return nil
}

// PresetNames lists the presets from quick to paper, then the others by name.
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
