package run

import (
	"context"
	"io"

	"cmf/experiments/config"
)

// Experiment is a Definition with any type of configuration.
type Experiment interface {
	Command() string
	PresetNames() []string
	Settings(env config.Environment, args []string, out io.Writer) ([]config.Setting, error)
	Execute(ctx context.Context, env config.Environment, out io.Writer) (*Run, error)
}

func (d Definition[T]) Command() string { return d.Name }

func (d Definition[T]) PresetNames() []string { return config.PresetNames(d.Presets) }

func (d Definition[T]) Settings(env config.Environment, args []string, out io.Writer) ([]config.Setting, error) {
	return config.Load(new(T), d.Presets, env, args, out)
}

func (d Definition[T]) Execute(ctx context.Context, env config.Environment, out io.Writer) (*Run, error) {
	return Execute(ctx, d, env, nil, out)
}
