// Package latent learns the law of pictures in a space of their own: an autoencoder maps
// a picture to a few latents and back, and the potential is learned from latents.
package latent

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"cmf/experiments/config"
	"cmf/experiments/run"
	"cmf/graph"
	"cmf/layers"
	"cmf/layers/autoencoder"
)

// Space is where the law of pictures is learned.
type Space string

const (
	Latents Space = "latent" // the space of an autoencoder
	Pixels  Space = "pixels" // the paper's setting
)

// Known lists the spaces.
func (Space) Known() []string { return []string{string(Latents), string(Pixels)} }

// Config configures the space and its autoencoder.
type Config struct {
	Space   Space `default:"latent" desc:"where the law of pictures is learned: latent (the space of an autoencoder) or pixels (the paper's setting)"`
	Latents int   `default:"0" range:"0|2..256" desc:"dimension of the latent space; 0 for a number that the error on held-out pictures chooses"`
	Passes  int   `default:"8" range:"1..10000" desc:"passes of the autoencoder over the pictures"`
	Beside  bool  `default:"true" desc:"whether to fit what the model is compared with in the latent space: the potential from N(0, I) for as many steps, and mixtures of 10 and 50 Gaussians"`
}

// Chosen is the space that an environment chooses: the one it names, or that of the
// checkpoint which a run goes on from or uses.
func Chosen(env config.Environment) Space {
	if s := Space(env["CMF_SPACE"]); slices.Contains(s.Known(), string(s)) {
		return s
	}
	if path := cmp.Or(env["CMF_RESUME"], env["CMF_CHECKPOINT"]); path != "" {
		c, err := graph.LoadCheckpoint(path)
		if err != nil {
			return Latents // the run reports the error
		}
		var of map[string]string
		if err := json.Unmarshal([]byte(c.Texts["config"]), &of); err == nil && of["CMF_SPACE"] != "" {
			return Space(of["CMF_SPACE"])
		}
		if !autoencoder.Has(c) {
			return Pixels
		}
	}
	return Latents
}

// Adapt sets the defaults of core that suit a latent space: quadratics, unless the
// environment names another network.
func Adapt(core *config.Core, env config.Environment) {
	core.Batch, core.Hidden = 256, config.Widths{128, 128}
	core.Potential, core.LR = layers.NetworkQuadratics, .01
	if given := env["CMF_POTENTIAL"]; given != "" && given != string(layers.NetworkQuadratics) {
		core.LR = .03
	}
}

// Only refuses variables that do nothing in the space of c: those of Config in pixels, and
// those of pixels, which the experiment names, in a latent space.
func (c *Config) Only(r *run.Run, ofPixels ...string) error {
	other, names := Pixels, ofPixels
	if c.Space == Pixels {
		other, names = Latents, []string{"CMF_LATENTS", "CMF_PASSES", "CMF_BESIDE"}
	}
	for _, name := range names {
		if r.Given(name) {
			return fmt.Errorf("%s: it does nothing where CMF_SPACE=%s; with it CMF_SPACE must be %s", name, c.Space, other)
		}
	}
	return nil
}
