// Package solvers holds the two algorithms of conjugate moment measures: CMFGen
// learns a potential from points, CMFMA from an energy. The packages below it hold
// their parts, one role each, and can be used alone:
//
//	batch      rows, columns and moments of (n, d) batches
//	potential  what a potential is; the normal, carried noise, preconditioners
//	random     streams of random numbers, named by seed and purpose
//	conjugate  ∇w*(y) by Barzilai–Borwein, L-BFGS or Newton–CG
//	sampling   Langevin and Hamiltonian steps on e^{−w}; diagnostics of chains
//	transport  exact assignments, Sinkhorn, sliced distances
//	exact      Gaussians and their potentials in closed form
//	line       the fixed point in one dimension
//	density    log densities, log Z, importance weights
//	posterior  the noise given part of a point
//	optim      Adam, averages of weights, schedules
//	order      sorting and selection
//	mpi        processes on several machines
//
// None of them needs expression graphs: a potential is anything that evaluates a batch.
//
// # Shape
//
// Every method has one shape:
//
//	options  a struct, such as Langevin or Adam, with a documented zero value that works
//	state    what evolves and a checkpoint must hold: Chains, AdamState, CMFGenState, x
//	info     the report of a call: Info, AdamInfo, CMFGenInfo, a Coupling
//	status   in the info, a potential.Status for each row, where rows can fail
//
// A call takes the state and changes it in place, takes the source of random numbers, a
// random.Stream, as an argument, and returns the info. An error means that the caller
// did something wrong, or that a batch is lost as a whole; a row that does not converge
// has a status. Besides its options such a struct holds only memory for the next call,
// so a method is not safe for concurrent use.
//
// # Words
//
// One word means one thing throughout the module.
//
//	potential w      the convex function that is learned
//	Gibbs factor     the density e^{−w}/Z_w, the law of the noise; Z_w = ∫ e^{−w}
//	noise y          a draw from the Gibbs factor
//	conjugate        w*(y) = sup_x ⟨x,y⟩ − w(x); the conjugate of y is ∇w*(y)
//	carried noise    Cy for a fixed matrix C, for when that is easier to sample
//	ρ, the data      the law that is learned: ρ = ∇w*♯e^{−w}
//	source, target   two laws that are given by points, and the map ∇w* between them
//	energy E         minus a log density, up to a constant, for when ρ has no points
//	context c        what a law is given; there w(·; c) is convex, with a Z(c) of its own
//	batch            an (n, d) matrix of float32 with one point in each row
//	kind             the declaration of a batch that a loss may read
//	bank             the particles that a run keeps between iterations
//	residual         ‖∇w(x) − y‖ / ‖y‖ for a computed conjugate x
//	preconditioner   the matrix P that shapes the steps of a sampler or solver
//	metric           a number by which results are judged, never a matrix
//	floor            the metric between data and other data: what a perfect model gets
//	baseline         the metric of a simpler method at the same budget
//	machine          what runs expression graphs; a computer has cores and threads
//	status           how the work on one row ended
//	rank             one of the processes that train a model together, and its number
package solvers
