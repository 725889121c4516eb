// Package solvers holds the two algorithms of conjugate moment measures: CMFGen
// learns a potential from points, CMFMA from an energy. What they are made of lies
// below, one package to a role, each of use alone:
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
//
// None of them knows expression graphs: a potential is whatever evaluates a batch.
//
// # Shape
//
// Every method has one shape:
//
//	options  a struct, Langevin or Adam say, whose zero value works and is documented
//	state    what evolves and a checkpoint must hold: Chains, AdamState, CMFGenState, x
//	info     what a call has to say: Info, AdamInfo, CMFGenInfo, a Coupling
//	status   in the info a potential.Status of each row, where rows can fail
//
// A call takes the state and leaves it changed, takes the source of random numbers as
// an argument, a random.Stream, and returns the info. An error is for what the caller
// did wrong, or for a batch that is lost as a whole; a row that does not converge is a
// status. What else options hold is memory for the next call: such a method is not
// safe for concurrent use.
//
// # Words
//
// One word means one thing throughout the module.
//
//	potential w      the convex function that is learned
//	Gibbs factor     the density e^{−w}/Z_w, the law of the noise; Z_w = ∫ e^{−w}
//	noise y          a draw from the Gibbs factor
//	conjugate        w*(y) = sup_x ⟨x,y⟩ − w(x); the conjugate of y is ∇w*(y)
//	carried noise    Cy for a fixed matrix C, where that is easier to sample
//	ρ, the data      the law that is learned: ρ = ∇w*♯e^{−w}
//	energy E         minus a log density, up to a constant, where ρ has no points
//	batch            an (n, d) matrix of float32, one point to a row
//	kind             the declaration of a batch that a loss may read
//	bank             the particles that a run keeps between iterations
//	residual         ‖∇w(x) − y‖ over ‖y‖, of a conjugate that was solved for
//	preconditioner   the matrix P that shapes the steps of a sampler or solver
//	metric           a number by which results are judged, never a matrix
//	floor            the metric of data against other data: what a perfect model gets
//	baseline         the metric of a plainer method at the same budget
//	machine          what runs expression graphs; a computer has cores and threads
//	status           how the work on one row ended
package solvers
