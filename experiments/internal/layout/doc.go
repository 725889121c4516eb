// Package layout tests how the module is divided into packages: which imports are allowed,
// and how large a package may grow.
package layout
