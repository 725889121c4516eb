package run

import (
	"context"
	"io"

	"cmf/experiments/config"
)

// Experiment is a Definition of any configuration.
type Experiment interface {
	Command() string
	PresetNames() []string
	Settings(args []string, out io.Writer) ([]config.Setting, error)
	Execute(ctx context.Context, out io.Writer) (*Run, error)
}

func (d Definition[T]) Command() string { return d.Name }

func (d Definition[T]) PresetNames() []string { return config.PresetNames(d.Presets) }

func (d Definition[T]) Settings(args []string, out io.Writer) ([]config.Setting, error) {
	return config.Load(new(T), d.Presets, args, out)
}

func (d Definition[T]) Execute(ctx context.Context, out io.Writer) (*Run, error) {
	return Execute(ctx, d, nil, out)
}
