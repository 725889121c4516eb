package solvers

import (
	"errors"

	"cmf/solvers/batch"

	"gonum.org/v1/gonum/blas/blas32"
)

// BatchPoints has the points x_i at which CMFMA evaluates E.
var BatchPoints = &Kind{Name: "points", CMFMA: func(c *CMFMA, dst blas32.General) error {
	batch.Copy(dst, c.State.points)
	return nil
}}

// BatchEnergy has E(x_i), clipped beyond CMFMA.Cut.
var BatchEnergy = &Kind{Name: "energy", Columns: 1, CMFMA: func(c *CMFMA, dst blas32.General) error {
	batch.Copy(dst, c.State.energy)
	return nil
}}

// BatchSlope has the rows ∇E(x_i), clipped as the energies are. CMFMA evaluates them
// together with the energies, and only if the loss itself reads them.
var BatchSlope = &Kind{Name: "slope", CMFMA: func(c *CMFMA, dst blas32.General) error {
	if !c.State.sloped {
		return errors.New("another batch needs it, but the loss does not read it; let the term list it among its Inputs")
	}
	batch.Copy(dst, c.State.slope)
	return nil
}}
