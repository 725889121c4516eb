package losses

import (
	"fmt"

	"cmf/solvers"
)

// CheckGoal refuses terms that read a batch which learning from an energy, by solvers.CMFMA, or
// from samples, by solvers.CMFGen, does not make.
func (l Sum) CheckGoal(energy bool) error {
	needs, here, elsewhere := "an energy, but this is a fit to samples", solvers.CheckCMFGen, solvers.CheckCMFMA
	if energy {
		needs, here, elsewhere = "samples, but this is a fit to an energy (monge-ampere needs none)", elsewhere, here
	}
	for _, w := range l {
		for _, kind := range w.Term.Inputs() {
			err := here(kind)
			switch {
			case err != nil && elsewhere(kind) == nil:
				return fmt.Errorf("losses: the term %s needs %s: %w", w.Term.Name(), needs, err)
			case err != nil:
				return fmt.Errorf("losses: the term %s: %w", w.Term.Name(), err)
			}
		}
	}
	return nil
}

// CheckTables refuses the terms that have no meaning for a map between two tables: they need
// the density of the source, which a sample of it does not give.
func (l Sum) CheckTables() error {
	for _, w := range l {
		switch w.Term.(type) {
		case Likelihood, LikelihoodCG:
			return fmt.Errorf("losses: the term %s needs the density of the source, the Gibbs factor, but here the source is a table; allowed are dual, pairs, sinkhorn, moments, enot, growth, penalty and amortised", w.Term.Name())
		}
	}
	return nil
}

// CheckContexts refuses the terms that have no meaning where every row has a context of its
// own: they match rows with each other, read the network apart from its contexts, or have one
// constant for all.
func (l Sum) CheckContexts() error {
	for _, w := range l {
		switch w.Term.(type) {
		case Pairs, Sinkhorn, Growth, Penalty, Amortised, MongeAmpereConstant:
			return fmt.Errorf("losses: the term %s for a potential with contexts; of the known terms dual, likelihood, likelihood-cg, enot and moments are for these, and of an energy monge-ampere and monge-ampere-gradient", w.Term.Name())
		}
	}
	return nil
}
