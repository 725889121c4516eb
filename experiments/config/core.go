// Package config reads the CMF_… variables that configure a command. A variable is a
// field of a struct; its tags say everything about it:
//
//	Steps int `default:"2000" range:"0..1000000000" desc:"outer iterations"`
//
//	default  the value unless a preset has another
//	range    0|2..2000: 0 and 2 to 2000; >0..<1: between 0 and 1
//	oneof    plan,tape; a type that knows its values, such as Source, needs no tag
//	needed   what the user should name; the value must not be empty
//	file     what the user should name; the value must be empty or a file
//	address  what the user should name; the value must be empty or [HOST]:PORT
//	aside    true for a variable that changes nothing of what a run leaves; see Recorded
//	desc     what the variable means
//
// A rule that relates two variables, or one and the data, is a method Validate() error
// of the struct or of one that it embeds. If a variable of a group does nothing in a
// command, it keeps its default there: the method Fixed() []string of the command's
// struct names it. Siblings() []string names variables of commands that are used together with
// this one: they are passed over.
package config

import (
	"cmp"

	"cmf/layers"
	"cmf/solvers/conjugate"
	"cmf/solvers/sampling"
)

// Command is the configuration that all commands share. The variable of a field is CMF_
// followed by its name in capitals; so the tags carry no name for envconfig.
type Command struct {
	Preset string `default:"default" desc:"scale of the run: quick (seconds), default (minutes on two cores) or paper (the paper's scale)"`
	Out    string `desc:"folder for the run's results; runs/NAME/TIMESTAMP if empty"`

	VM      string `default:"plan" oneof:"plan,tape" desc:"how expression graphs run: plan (compiled once) or tape (Gorgonia's machine)"`
	BLAS    string `default:"auto" oneof:"auto,openblas,native,gonum" desc:"matrix products; those of gonum are not the same bits in every run"`
	Threads int    `default:"0" range:"0..1024" desc:"threads; 0 for all cores"`

	Watch string `address:":8080, or 0.0.0.0:8080 for other computers too" aside:"true" desc:"address at which a browser can follow the run, such as :8080; this computer alone unless a host is named; port 0 for one that is free"`
}

// Shared is the configuration that all commands share.
func (c *Command) Shared() *Command { return c }

// Core is the configuration of an experiment that learns a potential. The struct of such
// an experiment embeds Core and adds its own fields.
type Core struct {
	Command
	Random

	Resume  string  `file:"a checkpoint.safetensors that a run left" desc:"checkpoint from which to go on; a new run if empty"`
	Steps   int     `default:"2000" range:"0..1000000000" desc:"outer iterations"`
	Batch   int     `default:"512" range:"2..1000000" desc:"points in a batch"`
	Minutes float64 `default:"0" range:"0..1000000" desc:"stop training after this many minutes; 0 for no limit (a run that is stopped by it is not repeatable)"`

	Loss      string           `default:"dual" needed:"at least one loss term, such as dual" desc:"sum of loss terms, such as dual, pairs or dual+0.1*pairs"`
	Source    Source           `default:"gibbs" desc:"source of the map: gibbs (the method) or gaussian (the baseline)"`
	Init      Init             `default:"gaussian" desc:"first potential: gaussian (closed form for the data's mean and covariance) or identity"`
	Sampler   sampling.Method  `default:"mala" desc:"Langevin sampler: mala (with the Metropolis test) or ula (without)"`
	Conjugate conjugate.Method `default:"bb" desc:"conjugate solver: bb (Barzilai-Borwein), lbfgs or newton"`
	Hidden    Widths           `default:"64,64,64,64" desc:"widths of the hidden layers"`
	Unit      layers.Unit      `default:"softplus" desc:"hidden units: softplus (of one affine piece) or maximum (the soft maximum of two)"`
	Potential layers.Family    `default:"icnn" desc:"network: icnn (the potential w) or quadratics (its conjugate w*, a soft maximum of quadratics)"`
	Pieces    int              `default:"0" range:"0..10000" desc:"quadratics of the maximum; 0 for a number that suits the data"`
	Rank      int              `default:"0" range:"0..10000" desc:"rank of each quadratic beside a diagonal; 0 for full matrices"`
	Tau       float64          `default:"0" range:"0..1000" desc:"width over which the maximum of quadratics is rounded; 0 for one that suits the data"`
	LR        float64          `default:"0.001" range:">0..10" desc:"learning rate of Adam"`
}

// Validate limits the size of the network and of its batches.
func (c *Core) Validate() error {
	pieces := 1
	if c.Unit == layers.Maximum {
		pieces = 2
	}
	return c.Hidden.Check(c.Batch, pieces)
}

// Adapt sets the defaults that suit the network.
func (c *Core) Adapt(env Environment) {
	if Quadratics(env) {
		c.LR = .01
	}
}

// Quadratics reports whether the network is a maximum of quadratics.
func Quadratics(env Environment) bool {
	return env["CMF_POTENTIAL"] == string(layers.NetworkQuadratics)
}

// Network is the potential of an experiment: the given ICNN, or, by CMF_POTENTIAL, the
// conjugate of a maximum of quadratics in as many dimensions. CMF_PIECES, CMF_RANK and
// CMF_TAU replace what the experiment suggests for that, and this what suits the dimension.
func (c *Core) Network(icnn, quadratics layers.Architecture) (layers.Network, error) {
	if c.Potential != layers.NetworkQuadratics {
		return layers.New(icnn)
	}
	suits := quadraticsFor(icnn.Dim)
	return layers.New(layers.Architecture{
		Family: layers.NetworkQuadratics,
		Dim:    icnn.Dim,
		Pieces: cmp.Or(c.Pieces, quadratics.Pieces, suits.Pieces),
		Rank:   cmp.Or(c.Rank, quadratics.Rank, suits.Rank),
		Tau:    cmp.Or(c.Tau, quadratics.Tau, suits.Tau),

		Context:       cmp.Or(quadratics.Context, icnn.Context),
		ContextHidden: icnn.ContextHidden,
		Classes:       quadratics.Classes,
	})
}

// quadraticsFor is the maximum of quadratics that suits d dimensions.
func quadraticsFor(d int) layers.Architecture {
	switch {
	case d <= 2:
		return layers.Architecture{Pieces: 64, Tau: .02}
	case d > 128:
		return layers.Architecture{Pieces: 100, Rank: 24, Tau: 1}
	}
	return layers.Architecture{Pieces: 50, Tau: .15}
}

// Source is the law that an experiment's map takes to the data.
type Source string

const (
	SourceGibbs    Source = "gibbs"    // the Gibbs factor of the potential: the method
	SourceGaussian Source = "gaussian" // N(0, I): the baseline
)

// Known lists the sources.
func (Source) Known() []string { return []string{string(SourceGibbs), string(SourceGaussian)} }

// Init is the potential at the start of learning.
type Init string

const (
	InitGaussian Init = "gaussian" // the closed form of the data's mean and covariance
	InitIdentity Init = "identity" // ½|x|²
)

// Known lists the first potentials.
func (Init) Known() []string { return []string{string(InitGaussian), string(InitIdentity)} }
