package fit

import (
	"context"

	"cmf/experiments/train"
)

// Hook is a set of functions that Fit calls while it trains; see train.Hook.
type Hook = train.Hook[*Model]

// Loop is the state of training that hooks see.
type Loop = train.Loop[*Model]

// WithHooks returns a context in which every fit has additional hooks; see train.WithHooks.
func WithHooks(ctx context.Context, hooks ...Hook) context.Context {
	return train.WithHooks(ctx, hooks...)
}
