package experiments

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cmf/data/units"
	"cmf/experiments/fit"
	"cmf/experiments/run"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// classes are those of CMF_CLASSES, of k; all if it is empty.
func (c *GenerateConfig) classes(k int) (list []int, err error) {
	if c.Classes == "" {
		for class := range k {
			list = append(list, class)
		}
		return list, nil
	}
	for part := range strings.SplitSeq(c.Classes, ",") {
		class, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || class < 0 || class >= k {
			return nil, fmt.Errorf("CMF_CLASSES=%s: %q is no class of the model; allowed are 0 to %d, separated by commas", c.Classes, strings.TrimSpace(part), k-1)
		}
		list = append(list, class)
	}
	return list, nil
}

// checkClasses says what is wrong with CMF_CLASSES, for a model of k classes.
func (c *GenerateConfig) checkClasses(k int) error {
	list, err := c.classes(k)
	if err == nil && c.Points != "" && len(list) != 1 {
		err = fmt.Errorf("CMF_POINTS=%s: the model has a density for each class; name one class as CMF_CLASSES, from 0 to %d", c.Points, k-1)
	}
	return err
}

// oneHot are n contexts, of the listed classes in turn.
func oneHot(list []int, n, k int) blas32.General {
	contexts := batch.New(n, k)
	for i := range n {
		batch.Row(contexts, i)[list[i%len(list)]] = 1
	}
	return contexts
}

// generateClasses is generate given classes in turn, and writes the class of each picture.
func generateClasses(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	k := m.Evaluator.Contexts()
	list, err := c.classes(k)
	if err != nil {
		return err
	}
	contexts := oneHot(list, c.Count, k)
	given, err := m.Given(ctx, contexts, random.New(c.Seed, "generation, particles", 0))
	if err != nil {
		return err
	}
	if err := generate(ctx, r, given, c, len(list) == 1); err != nil {
		return err
	}
	classes := batch.New(c.Count, 1)
	for i := range c.Count {
		classes.Data[i] = float32(list[i%len(list)])
	}
	r.Report.Notes = append(r.Report.Notes, "classes.npy: the class that each picture was drawn given.")
	return r.SaveRows("classes", units.Form{}, nil, classes)
}

// evaluateClass is evaluate given the one class of CMF_CLASSES.
func evaluateClass(ctx context.Context, r *run.Run, m *fit.Model, c *GenerateConfig) error {
	k := m.Evaluator.Contexts()
	list, err := c.classes(k)
	if err != nil {
		return err
	}
	given, err := m.Given(ctx, oneHot(list, 1, k), random.New(c.Seed, "particles", 0))
	if err != nil {
		return err
	}
	return evaluate(ctx, r, given, c)
}
