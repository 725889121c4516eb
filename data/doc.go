// Package data holds the measures ρ that conjugate moment measures are fitted
// to: two-dimensional toy sets, energies and their quadrature, MNIST, the Cartoon
// Set and drawn stand-ins for both, and arrays from files, together with pixel
// transforms and shuffled minibatches.
//
// Begin with Toy, NewEnergy or EnergyFunc, MNIST, and for points of one's own
// ReadCSV, ReadNPY and ReadPNGs. Problems, whose potential is known, are truths
// for learned ones.
//
// A batch is a row-major (n, d) matrix of float32, one point to a row.
package data
