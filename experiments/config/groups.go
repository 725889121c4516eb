package config

// Groups are structs that the structs of several commands embed.

// Random configures a command that draws random numbers.
type Random struct {
	Seed uint64 `default:"1" desc:"seed of every random stream"`
}

// Data configures a command that reads data sets.
type Data struct {
	DataDir string `split_words:"true" desc:"folder of data sets; cmf in the user's cache folder if empty"`
}

// Bank configures the bank of particles of a fit.
type Bank struct {
	Particles int `default:"4096" range:"1..1000000" desc:"particles in the bank; rounded up to whole batches"`
	Langevin  int `default:"5" range:"1..10000" desc:"Langevin steps in each iteration, of a batch of particles and of walkers on an energy"`
}

// Generation configures how points are drawn from a model.
type Generation struct {
	Mixing int `default:"200" range:"20..100000" desc:"Langevin steps from the bank to the generated points"`
}

// Logit configures how pixels become coordinates.
type Logit struct {
	Alpha float64 `default:"0.005" range:"0.001..0.4" desc:"pixels p are learned as logit(α + (1−2α)p)"`
}

// Export configures model.onnx.
type Export struct {
	ONNX ExportUnits `default:"learning" desc:"units of model.onnx: learning (w and its gradient as they are learned) or data (points in the units of the file, in float64; for columns that are centred and scaled)"`
}

// ExportUnits is a value of CMF_ONNX.
type ExportUnits string

// The units of model.onnx.
const (
	ExportLearning ExportUnits = "learning"
	ExportData     ExportUnits = "data"
)

// Known implements Known of a variable.
func (ExportUnits) Known() []string { return []string{string(ExportLearning), string(ExportData)} }
