// Package config holds the variables that configure experiments: their names, allowed
// values and presets, and how a command explains them.
package config
