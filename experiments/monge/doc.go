// Package monge learns the Monge map between two tables.
package monge
