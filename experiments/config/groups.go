package config

// Groups are what the structs of several commands embed.

// Random is what a command has that draws random numbers.
type Random struct {
	Seed uint64 `default:"1" desc:"seed of every random stream"`
}

// Data is what a command has that reads data sets.
type Data struct {
	DataDir string `split_words:"true" desc:"where data sets lie; when empty, cmf in the user's cache folder"`
}

// Bank is the bank of particles of a fit.
type Bank struct {
	Particles int `default:"4096" range:"1..1000000" desc:"particles in the bank; rounded up to whole batches"`
	Langevin  int `default:"5" range:"1..10000" desc:"Langevin steps of a batch of particles, and of walkers on an energy, in each iteration"`
}

// Generation is how points are drawn from a model.
type Generation struct {
	Mixing int `default:"200" range:"20..100000" desc:"Langevin steps from the bank to the points that are generated"`
}

// Logit is how pixels are made coordinates.
type Logit struct {
	Alpha float64 `default:"0.005" range:"0.001..0.4" desc:"pixels p are learned as logit(α + (1−2α)p)"`
}
