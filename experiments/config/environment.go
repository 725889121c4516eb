package config

import (
	"maps"
	"os"
	"slices"
	"strings"
)

// Prefix begins the name of every variable.
const Prefix = "CMF"

// Environment holds values of variables by their full names, "CMF_STEPS": "20".
type Environment map[string]string

// OS is the environment of this process: its CMF_… variables.
func OS() Environment {
	return Variables(slices.DeleteFunc(os.Environ(), foreign)...)
}

// Variables is the environment with these settings, each written as CMF_STEPS=20.
func Variables(settings ...string) Environment {
	e := Environment{}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		e[name] = value
	}
	return e
}

// With is a copy of the environment in which these settings replace or extend its own.
func (e Environment) With(settings ...string) Environment {
	all := Environment{}
	maps.Copy(all, e)
	maps.Copy(all, Variables(settings...))
	return all
}

// Process is the environment for a process that this one starts: that of this process,
// but with the variables of e in place of all CMF_… variables.
func (e Environment) Process() []string {
	all := slices.DeleteFunc(os.Environ(), func(v string) bool { return !foreign(v) })
	for _, name := range slices.Sorted(maps.Keys(e)) {
		all = append(all, name+"="+e[name])
	}
	return all
}

func foreign(variable string) bool { return !strings.HasPrefix(variable, Prefix+"_") }
