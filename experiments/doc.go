// Package experiments fits conjugate moment measures to points and to energies,
// judges the fits, and draws what they learned.
//
// A [Definition] is an experiment as a value: a configuration that embeds [Core],
// read from CMF_ variables, and a function. [Main] runs it as a command and
// [Execute] as a call; what it has to say goes into a [Run]: a folder with a
// [Report], a [Page] and figures. In it, [Fit] trains the potential of a
// [Problem], and the [Model] draws points ([Model.Draw]) and has a density
// ([Model.LogPDF]). [LoadModel] brings it back from the run's checkpoint.
//
// Begin with the examples of Definition (points), Fit (an energy) and LoadModel
// (generation and densities), or without a line of code with [Samples], which
// learns a file, and [Generate]. The paper's experiments are [Gaussian],
// [Mixture1D], [Energy], [Toy2D], [MNIST], [Cartoon] and [Inpaint]; an [Ablation]
// exchanges the parts of one.
package experiments
