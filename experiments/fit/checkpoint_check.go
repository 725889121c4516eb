package fit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"cmf/graph"
	"cmf/solvers/batch"

	"gonum.org/v1/gonum/mat"
)

// perWeight are the groups of arrays of a checkpoint that have one for each weight, by what
// their names begin with. Those of Adam come together.
var perWeight = []string{adamM, adamV, "average.", "good.", "chosen."}

const (
	adamM = "adam.m."
	adamV = "adam.v."
)

// checkArrays returns an error that names an array which no run has written: of another
// type, not finite, or missing from its group, and second moments that are negative.
func checkArrays(c *graph.Checkpoint) error {
	if err := c.Check(); err != nil {
		return err
	}
	groups, all := map[string][]string{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.Tensors)) {
		for _, group := range perWeight {
			weight, ok := strings.CutPrefix(name, group)
			if !ok {
				continue
			}
			groups[group] = append(groups[group], weight)
			value, ok := c.Tensors["weight."+weight]
			if all[weight] = true; !ok {
				if value, ok = c.Tensors["own."+weight]; !ok {
					delete(all, weight) // of a loss that the run no longer has
					continue
				}
			}
			if _, err := c.Values(name, len(value.F32)); err != nil {
				return err
			}
		}
		if i := slices.IndexFunc(c.Tensors[name].F32, func(v float32) bool { return v < 0 }); i >= 0 && strings.HasPrefix(name, adamV) {
			return fmt.Errorf("its %q holds %g; second moments are not negative", name, c.Tensors[name].F32[i])
		}
	}
	if !slices.Equal(groups[adamM], groups[adamV]) {
		return fmt.Errorf("its moments of Adam, %s… and %s…, are not those of the same weights", adamM, adamV)
	}
	for _, group := range perWeight {
		for _, weight := range slices.Sorted(maps.Keys(all)) {
			if len(groups[group]) > 0 && !slices.Contains(groups[group], weight) {
				return fmt.Errorf("it has no %q", group+weight)
			}
		}
	}
	return nil
}

// checkRoot makes sure that p and l, (d, d), are a symmetric positive matrix and its root,
// P = L·Lᵀ, up to the rounding of float32.
func checkRoot(p, l []float32, d int) error {
	const tolerance = 1e-5
	dense := mat.NewDense(d, d, nil)
	for i, v := range l {
		dense.Set(i/d, i%d, float64(v))
	}
	var product mat.Dense
	product.Mul(dense, dense.T())
	for i := range d {
		if !(p[i*d+i] > 0) {
			return fmt.Errorf("entry (%d, %[1]d) of its preconditioner is %g; it must be positive", i, p[i*d+i])
		}
		for j := range d {
			scale := math.Sqrt(float64(p[i*d+i]) * float64(p[j*d+j]))
			if !(math.Abs(float64(p[i*d+j])-product.At(i, j)) <= tolerance*scale) {
				return fmt.Errorf("entry (%d, %d) of its preconditioner is %g, but by its root %g", i, j, p[i*d+j], product.At(i, j))
			}
		}
	}
	return nil
}

// count reads a whole number of at least 0, and at most limit, from a text.
func count(c *graph.Checkpoint, name string, limit int) (int, error) {
	text, ok := c.Texts[name]
	if !ok {
		return 0, fmt.Errorf("it has no %q", name)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > limit {
		return 0, fmt.Errorf("its %q is %q; it must be a whole number from 0 to %d", name, text, limit)
	}
	return n, nil
}

// number reads a finite number of at least low from a text.
func number(c *graph.Checkpoint, name string, low float64) (float64, error) {
	text, ok := c.Texts[name]
	if !ok {
		return 0, fmt.Errorf("it has no %q", name)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !batch.Finite(v) || v < low {
		return 0, fmt.Errorf("its %q is %q; it must be a finite number of at least %g", name, text, low)
	}
	return v, nil
}
