// Package config holds the variables that configure experiments: what they are called,
// what is allowed, their presets, and how a command tells of them.
package config
