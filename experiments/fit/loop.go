package fit

import (
	"context"

	"cmf/experiments/train"
)

// Hook is a set of functions that Fit calls while it trains; see train.Hook.
type Hook = train.Hook[*Model]

// Loop is the state of training that hooks see.
type Loop = train.Loop[*Model]

// hooksKey is the key of hooks in a context.
type hooksKey struct{}

// WithHooks returns a context in which every fit has additional hooks. It is for a
// program, or a test, that runs an experiment unchanged.
func WithHooks(ctx context.Context, hooks ...Hook) context.Context {
	return context.WithValue(ctx, hooksKey{}, append(hooksOf(ctx), hooks...))
}

func hooksOf(ctx context.Context) []Hook {
	hooks, _ := ctx.Value(hooksKey{}).([]Hook)
	return hooks[:len(hooks):len(hooks)]
}
