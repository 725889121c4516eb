package autoencoder

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"cmf/data"
	"cmf/data/images"
	"cmf/graph"
	"cmf/solvers/batch"
	"cmf/solvers/random"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/blas/blas32"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// small is an autoencoder of 9×11 pictures in two colours.
func small(t *testing.T, loss Loss) *Network {
	t.Helper()
	a := For(9, 11, 2, 3, loss)
	a.Hidden, a.Filters = 12, []int{5, 7}
	n, err := New(a, random.New(1, "weights", 0))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func noise(n, d int, scale float64, seed uint64) blas32.General {
	x := batch.New(n, d)
	rng := random.New(seed, "points", 0)
	for i := range x.Data {
		x.Data[i] = float32(scale * rng.Float64())
	}
	return x
}

// Gradients of both losses agree with central differences along random directions.
func TestGradients(t *testing.T) {
	for _, loss := range []Loss{Bernoulli, Gaussian} {
		n := small(t, loss)
		const rows = 4
		s := graph.NewScope(tensor.Float32)
		x := s.Input("x", rows, n.Pixels())
		l := s.Mean(n.Mismatch(s, x, n.Decode(s, n.encodeBatch(s, x, rows, nil))))
		out := map[string]*gorgonia.Node{"loss": l}
		for _, p := range n.params.Trained() {
			out[p.Name] = s.Grad(l, s.Param(p))[0]
		}
		program, err := s.Compile(out)
		if err != nil {
			t.Fatal(err)
		}
		copy(program.In("x").F32, noise(rows, n.Pixels(), 1, 2).Data)
		at := func() float64 {
			if err := program.Run(); err != nil {
				t.Fatal(err)
			}
			return program.Out("loss").At(0, 0)
		}
		at()
		for _, p := range n.params.Trained() {
			direction := noise(1, p.Len(), 1, 3).Data
			before := append([]float32{}, p.Float32s()...)
			var slope, size float64
			for i, g := range program.Out(p.Name).F32 {
				direction[i] -= .5
				slope += float64(g) * float64(direction[i])
				size += float64(g) * float64(g) * float64(direction[i]) * float64(direction[i])
			}
			const h = 3e-3
			move := func(by float32) float64 {
				for i, v := range before {
					p.Float32s()[i] = v + by*direction[i]
				}
				return at()
			}
			want := (move(h) - move(-h)) / (2 * h)
			move(0)
			if math.Abs(slope-want) > .02*(math.Abs(want)+math.Sqrt(size)) {
				t.Errorf("%s, %s: slope %.5g, differences say %.5g", loss, p.Name, slope, want)
			}
		}
	}
}

// digits are small pictures with few degrees of freedom.
func digits(t *testing.T) blas32.General {
	t.Helper()
	set := images.StandIn(1, 600, 2)
	x := batch.New(600, 14*14)
	for i := range x.Rows {
		from, to := batch.Row(set.Train, i), batch.Row(x, i)
		for r := range 14 {
			for c := range 14 {
				to[r*14+c] = (from[2*r*28+2*c] + from[2*r*28+2*c+1] + from[(2*r+1)*28+2*c] + from[(2*r+1)*28+2*c+1]) / 4
			}
		}
	}
	return x
}

func trainer(t *testing.T, x blas32.General, steps int) (*Trainer, *data.Epochs, *random.Stream) {
	t.Helper()
	a := For(14, 14, 1, 8, Bernoulli)
	a.Hidden = 64
	n, err := New(a, random.New(1, "weights", 0))
	if err != nil {
		t.Fatal(err)
	}
	e, err := data.NewEpochs(x, random.New(1, "minibatches", 0))
	if err != nil {
		t.Fatal(err)
	}
	rng := random.New(1, "noise", 0)
	tr, err := NewTrainer(n, Options{Batch: 64, Steps: steps}, e, rng)
	if err != nil {
		t.Fatal(err)
	}
	return tr, e, rng
}

func advance(t *testing.T, tr *Trainer, steps int) {
	t.Helper()
	for range steps {
		if _, err := tr.Step(); err != nil {
			t.Fatal(err)
		}
	}
}

// A trained autoencoder gives held-out pictures back better than their mean does, and its
// latents have mean 0 and deviation 1.
func TestTrainedAutoencoder(t *testing.T) {
	x := digits(t)
	held, rest := batch.Rows(x, 500, 600), batch.Rows(x, 0, 500)
	tr, _, _ := trainer(t, rest, 300)
	before, err := tr.Score(held)
	if err != nil {
		t.Fatal(err)
	}
	advance(t, tr, 300)
	after, err := tr.Score(held)
	if err != nil {
		t.Fatal(err)
	}
	if !(after < .6*before) {
		t.Errorf("the held-out loss went from %.1f to %.1f", before, after)
	}
	if err := tr.Finish(rest); err != nil {
		t.Fatal(err)
	}
	u := NewLatent(tr.Network)
	z, err := u.Learning(rest)
	if err != nil {
		t.Fatal(err)
	}
	mean := batch.Means(z)
	variance := batch.TotalVariance(z, mean) / 8
	for _, m := range mean {
		if math.Abs(m) > 1e-3 {
			t.Errorf("a latent has the mean %.4f", m)
		}
	}
	if math.Abs(variance-1) > .01 {
		t.Errorf("latents have the variance %.4f", variance)
	}
	z, err = u.Learning(held)
	if err != nil {
		t.Fatal(err)
	}
	again, err := u.Data(z, nil)
	if err != nil {
		t.Fatal(err)
	}
	var square float64
	for i, v := range again.Data {
		square += float64(v-held.Data[i]) * float64(v-held.Data[i])
	}
	square /= float64(held.Rows - 1)
	if of := batch.TotalVariance(held, batch.Means(held)); square > .5*of {
		t.Errorf("squared error %.3f of variance %.3f", square, of)
	}
}

// Training that goes on from a checkpoint ends at the same bits, and a network read from a
// checkpoint has the same weights.
func TestTrainingGoesOnToTheSameBits(t *testing.T) {
	x := digits(t)
	whole, _, _ := trainer(t, x, 20)
	advance(t, whole, 10)
	if _, err := whole.Score(x); err != nil {
		t.Fatal(err)
	}
	advance(t, whole, 10)

	first, epochs, rng := trainer(t, x, 20)
	advance(t, first, 10)
	if _, err := first.Score(x); err != nil {
		t.Fatal(err)
	}
	c := graph.NewCheckpoint()
	if err := first.Put(c); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "c.safetensors")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	if c, err := graph.LoadCheckpoint(path); err != nil || !InTraining(c) {
		t.Fatal("not a checkpoint in training", err)
	}
	noise, err := rng.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	second, e, r := trainer(t, x, 20)
	if c, err = graph.LoadCheckpoint(path); err != nil {
		t.Fatal(err)
	}
	if err := second.Restore(c); err != nil {
		t.Fatal(err)
	}
	if err := e.Restore(epochs.State()); err != nil {
		t.Fatal(err)
	}
	if err := r.UnmarshalBinary(noise); err != nil {
		t.Fatal(err)
	}
	advance(t, second, 10)
	for _, p := range whole.Network.params.All() {
		if d := cmp.Diff(p.Float32s(), second.Network.params.ByName(p.Name).Float32s()); d != "" {
			t.Errorf("%s differs", p.Name)
		}
	}
	if d := cmp.Diff(whole.State, second.State); d != "" {
		t.Errorf("the states differ: %s", d)
	}
}

// A colour that fills its plane comes back in that plane.
func TestPlanesOfColour(t *testing.T) {
	const side, area = 8, 64
	x := batch.New(300, 3*area)
	rng := random.New(1, "colours", 0)
	for i := range x.Rows {
		for c := range 3 {
			v := float32(rng.Float64())
			for p := range area {
				batch.Row(x, i)[c*area+p] = v
			}
		}
	}
	n, err := New(For(side, side, 3, 3, Gaussian), random.New(1, "weights", 0))
	if err != nil {
		t.Fatal(err)
	}
	n.Noise = .01
	e, err := data.NewEpochs(x, random.New(1, "minibatches", 0))
	if err != nil {
		t.Fatal(err)
	}
	tr, err := NewTrainer(n, Options{Batch: 64, Steps: 400}, e, random.New(1, "noise", 0))
	if err != nil {
		t.Fatal(err)
	}
	advance(t, tr, 400)
	if _, err := tr.Score(x); err != nil {
		t.Fatal(err)
	}
	if err := tr.Finish(x); err != nil {
		t.Fatal(err)
	}
	u := NewLatent(n)
	z, err := u.Learning(x)
	if err != nil {
		t.Fatal(err)
	}
	again, err := u.Data(z, nil)
	if err != nil {
		t.Fatal(err)
	}
	var square float64
	for i, v := range again.Data {
		square += float64(v-x.Data[i]) * float64(v-x.Data[i]) / float64(len(x.Data))
	}
	if square > .01 { // colours have the variance 1/12
		t.Errorf("mean squared error %.4f", square)
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	tr, _, _ := trainer(t, digits(t), 1000)
	advance(t, tr, 3)
	least := math.Inf(1)
	for range 5 { // the runtime allocates, too, where threads wait for each other
		least = min(least, testing.AllocsPerRun(10, func() { advance(t, tr, 1) }))
	}
	if least > 0 && !race {
		t.Errorf("%.0f allocations in a step", least)
	}
}

func TestDamagedCheckpoints(t *testing.T) {
	n := small(t, Gaussian)
	fresh := func() *graph.Checkpoint {
		c := graph.NewCheckpoint()
		if err := n.Put(c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	if got, err := Of(fresh()); err != nil || got.Latents != 3 {
		t.Fatal(err)
	}
	if got, err := Of(graph.NewCheckpoint()); got != nil || err != nil {
		t.Errorf("a checkpoint without an autoencoder: %v", err)
	}
	for name, damage := range map[string]func(c *graph.Checkpoint){
		"autoencoder.encoder0.weight\" has shape [2 2]; it must be": func(c *graph.Checkpoint) { c.Put("autoencoder.encoder0.weight", make([]float32, 4), 2, 2) },
		"has no \"autoencoder.latents.scale\"":                      func(c *graph.Checkpoint) { delete(c.Tensors, "autoencoder.latents.scale") },
		"does not know the architecture":                            func(c *graph.Checkpoint) { c.Texts["autoencoder.architecture"] = `{"Depth": 3}` },
		"latents; there must be 1 to 4096": func(c *graph.Checkpoint) {
			c.Texts["autoencoder.architecture"] = `{"Height":8,"Width":8,"Channels":1,"Filters":[4],"Hidden":4,"Latents":1000000,"Loss":"gaussian"}`
		},
	} {
		c := fresh()
		damage(c)
		if _, err := Of(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want an error with %q, got %v", name, err)
		}
	}
}

func TestArchitectureErrors(t *testing.T) {
	good := For(28, 28, 1, 16, Bernoulli)
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{16, 32}, good.Filters); d != "" {
		t.Error(d)
	}
	for want, a := range map[string]Architecture{
		"0 latents":            For(28, 28, 1, 0, Bernoulli),
		"loss \"l1\"":          For(28, 28, 1, 2, "l1"),
		"0 convolutions":       For(3, 3, 1, 2, Bernoulli),
		"noise of deviation":   {Height: 8, Width: 8, Channels: 1, Filters: []int{4}, Hidden: 4, Latents: 2, Noise: math.NaN(), Loss: Gaussian},
		"hidden layer of 0":    {Height: 8, Width: 8, Channels: 1, Filters: []int{4}, Latents: 2, Loss: Gaussian},
		"convolution 1 of 0":   {Height: 8, Width: 8, Channels: 1, Filters: []int{0}, Hidden: 4, Latents: 2, Loss: Gaussian},
		"convolution 1: ":      {Height: 0, Width: 8, Channels: 1, Filters: []int{4}, Hidden: 4, Latents: 2, Loss: Gaussian},
		"convolution 3: ":      {Height: 8, Width: 8, Channels: 1, Filters: []int{4, 4, 4}, Hidden: 4, Latents: 2, Loss: Gaussian},
		"1000000 latents":      For(28, 28, 1, 1000000, Bernoulli),
		"there must be 1 to 8": {Height: 8, Width: 8, Channels: 1, Hidden: 4, Latents: 2, Loss: Gaussian},
	} {
		if _, err := New(a, random.New(1, "weights", 0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}
