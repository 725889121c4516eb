// Package layout holds tests of how the module is cut into packages: what may import
// what, and how large one may grow.
package layout
