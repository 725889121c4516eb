// Package experiments holds the experiments of the paper and those for your own data, each
// a value that reads like its section: Gaussian (Figure 1), Mixture1D (Figure 2), Energy
// (Figure 3), Toy2D (Figure 4) with its ablation, MNIST (Figure 5) and Cartoon; Inpaint is in
// picture/inpaint. Samples learns a file, and Generate draws from a model that any of them has learned. The
// figures and the truth of an experiment are in the files beside it.
//
// The packages below hold their parts; each imports only those after it in this list:
//
//	picture, sweep  what experiments on pictures share, and picture/inpaint; ablations
//	latent          an autoencoder of pictures, and their law in its space
//	fit             trains a potential, with hooks beside its steps; draws from, saves and loads its model
//	train           the loop of steps with hooks
//	run             an experiment as a command: its configuration, its folder, its progress
//	watch           serves the page of a run to browsers while it goes on
//	report          report.json, index.html, metrics.jsonl, TensorBoard
//	figure          pictures
//	metric, config  distances between samples; CMF_ variables
//
// Your own experiment is a run.Definition: see the examples, which begin with points, an
// energy, and a saved model.
package experiments
