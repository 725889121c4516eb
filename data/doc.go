// Package data holds the measures ρ that conjugate moment measures are fitted to:
// two-dimensional toy sets, energies and their quadrature, problems whose potential is
// known, and shuffled minibatches of points.
//
// Begin with Toy, NewEnergy or EnergyFunc, and for your own points with
// table.Read of data/table. Pictures are in data/images. The units in which a model is
// learned, and pixel transforms, are in data/units.
//
// A batch is a row-major (n, d) matrix of float32, one point to a row.
package data
