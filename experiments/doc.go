// Package experiments holds the experiments of the paper and those for data of one's
// own, each a value that reads like its section: Gaussian (Figure 1), Mixture1D
// (Figure 2), Energy (Figure 3), Toy2D (Figure 4) with its ablation, MNIST (Figure 5),
// Cartoon, Inpaint; Samples learns a file, and Generate draws from what any of them
// has learned. Figures and truths of an experiment are in the files beside it.
//
// What they are made of lies below, each package of the next:
//
//	picture, sweep  what experiments on pictures share, and picture/inpaint; ablations
//	fit             trains a potential, with hooks beside its steps; the model that comes of it, drawn from, saved, loaded
//	run             an experiment as a command: its configuration, its folder, its progress
//	report          report.json, index.html, metrics.jsonl, TensorBoard
//	figure          pictures
//	metric, config  distances between samples; CMF_ variables
//
// An experiment of one's own is a run.Definition: see the examples, which begin with
// points, an energy, and a saved model.
package experiments
