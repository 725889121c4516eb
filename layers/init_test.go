package layers

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/data"
	"cmf/graph"
	"cmf/layers/internal/hinges"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/optim"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// law is a Gaussian in general position, or with independent coordinates.
func law(t testing.TB, d int, independent bool) *exact.Gaussian {
	t.Helper()
	cov := mat.NewSymDense(d, nil)
	mean := make([]float64, d)
	for i := range d {
		mean[i] = 1.5 - float64(i)
		for j := range i {
			if !independent {
				cov.SetSym(i, j, .5*math.Sin(float64(3*i+j)))
			}
		}
		cov.SetSym(i, i, 1+float64(i)*.8)
	}
	g, err := exact.NewGaussian(mean, cov)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func stream(purpose string) *random.Stream { return random.New(3, purpose, 0) }

// started is a network initialised on n draws of the law.
func started(t testing.TB, a Architecture, o Start, n int) (*ICNN, blas32.General) {
	t.Helper()
	a.Dim = o.Law.Dim()
	m := single(t, a)
	data := o.Law.Sample(n, stream("data"))
	if err := o.Init(m, data, stream("init")); err != nil {
		t.Fatal(err)
	}
	return m, data
}

// affine computes P·(x − c) for every row.
func affine(x blas32.General, p *mat.SymDense, c []float64) blas32.General {
	y := batch.New(x.Rows, x.Cols)
	for i := range x.Rows {
		for j := range x.Cols {
			var s float64
			for k := range x.Cols {
				s += p.At(j, k) * (float64(row(x, i)[k]) - c[k])
			}
			y.Data[i*x.Cols+j] = float32(s)
		}
	}
	return y
}

// forms are architectures for Start, each with a law that its quadratic can
// represent.
func forms(t testing.TB) map[string]struct {
	a   Architecture
	law *exact.Gaussian
} {
	const d = 4
	type form = struct {
		a   Architecture
		law *exact.Gaussian
	}
	return map[string]form{
		"diagonal":         {Architecture{Hidden: []int{9}}, law(t, d, true)},
		"rotated":          {Architecture{Hidden: []int{9}, Rotated: true}, law(t, d, false)},
		"full":             {Architecture{Hidden: []int{9}, Full: true}, law(t, d, false)},
		"knots":            {Architecture{Hidden: []int{9}, Full: true, Knots: 3}, law(t, d, false)},
		"rotated and full": {Architecture{Hidden: []int{9}, Rotated: true, Full: true}, law(t, d, false)},
		"maxima":           {Architecture{Hidden: []int{9}, Full: true, Unit: Maximum, Tau: .5}, law(t, d, false)},
		"maxima in deep":   {Architecture{Hidden: []int{9, 7}, Rotated: true, DiagonalSkips: true, Unit: Maximum}, law(t, d, false)},
		"filtered maxima":  {Architecture{Picture: [3]int{2, 2, 1}, Convolutions: []Convolution{{9, 1, 1, 0}}, Full: true, Unit: Maximum}, law(t, d, false)},
		"convolutions":     {Architecture{Picture: [3]int{2, 2, 1}, Convolutions: []Convolution{{9, 1, 1, 0}}, Full: true}, law(t, d, false)},
		"deep convolutions": {
			Architecture{Picture: [3]int{2, 2, 1}, Convolutions: []Convolution{{5, 2, 1, 1}, {6, 2, 2, 0}}, Full: true, DiagonalSkips: true}, law(t, d, false),
		},
		"filters below": {
			Architecture{Picture: [3]int{2, 2, 1}, Convolutions: []Convolution{{5, 2, 1, 1}, {6, 2, 2, 0}}, Hidden: []int{7}, Full: true, Unit: Maximum}, law(t, d, false),
		},
		"two layers": {Architecture{Hidden: []int{9, 7}, Rotated: true, DiagonalSkips: true}, law(t, d, false)},
	}
}

// With the whole share in the quadratic, ∇w(x) = Σ^{-1/3}(x − c), or Σ^{-1/2}(x − m)
// for the baseline, or Σ^{-(1−2s)/3}(x − c) with a carried noise; and w is strongly convex with the fixed part alone.
func TestStartAtTheClosedForm(t *testing.T) {
	for name, f := range forms(t) {
		for _, o := range []Start{{}, {Gaussian: true}, {Carry: .25}} {
			o.Law, o.Share = f.law, 1
			baseline := o.Gaussian
			m, data := started(t, f.a, o, 100)
			grad := batch.New(data.Rows, data.Cols)
			if err := evaluator(t, m).Eval(data, nil, grad); err != nil {
				t.Fatal(err)
			}
			exponent, center := 1./3, f.law.Center()
			switch {
			case baseline:
				exponent, center = .5, f.law.Mean
			case o.Carry > 0:
				exponent, center = (1-2*o.Carry)/3, f.law.CarriedMoment(o.Carry).Center
			}
			if e := differ(grad.Data, affine(data, f.law.Power(-exponent), center).Data); e > 2e-6 {
				t.Errorf("%s, baseline %t: ∇w has relative error %.2g; want ≤ 2e-6", name, baseline, e)
			}
			// With the trained parts at 0 the curvature is still a quarter of
			// the least one.
			for _, p := range m.Params().Trained() {
				p.Fill(func(int) float64 { return 0 })
			}
			var eig mat.EigenSym
			if !eig.Factorize(meanHessian(t, m, data), false) {
				t.Fatal("no eigenvalues")
			}
			least := math.Pow(f.law.Values[f.law.Dim()-1], -exponent)
			if got := eig.Values(nil)[0]; math.Abs(got-.25*least) > 1e-5 {
				t.Errorf("%s, baseline %t: the fixed curvature is %v at least, want %v", name, baseline, got, .25*least)
			}
		}
	}
}

// With a smaller share the network's hinges give the rest of the curvature over
// the data, tr(Σ^{1/3}·E∇²w) = d, and the mean of ∇w is c.
func TestStartBalance(t *testing.T) {
	for name, f := range forms(t) {
		for _, o := range []Start{{Law: f.law}, {Law: f.law, Share: .6, Fixed: .9, Spread: 2}, {Law: f.law, Gaussian: true}, {Law: f.law, Carry: .25}} {
			m, data := started(t, f.a, o, 600)
			exponent, center := 1./3, f.law.Center()
			if o.Gaussian {
				exponent, center = .5, make([]float64, f.law.Dim())
			}
			if o.Carry > 0 {
				exponent, center = (1-2*o.Carry)/3, f.law.CarriedMean(o.Carry)
			}
			var product mat.Dense
			product.Mul(f.law.Power(exponent), meanHessian(t, m, data))
			d := float64(f.law.Dim())
			tolerance := 1e-5
			if len(f.a.Hidden)+len(f.a.Convolutions) > 1 {
				tolerance = .15 // the mean Hessian of a deep network is an estimate
			}
			if trace := mat.Trace(&product); math.Abs(trace/d-1) > tolerance {
				t.Errorf("%s, %+v: tr(Σᵖ·E∇²w) = %v; want %v", name, o, trace, d)
			}
			grad := batch.New(data.Rows, data.Cols)
			if err := evaluator(t, m).Eval(data, nil, grad); err != nil {
				t.Fatal(err)
			}
			for j, c := range center {
				var mean float64
				for i := range grad.Rows {
					mean += float64(grad.Data[i*grad.Cols+j]) / float64(grad.Rows)
				}
				if math.Abs(mean-c) > 1e-5 {
					t.Errorf("%s, %+v: the mean of ∇w is %v along axis %d; want %v", name, o, mean, j, c)
				}
			}
			for _, p := range m.Params().All() {
				for i := range p.Len() {
					if p.NonNegative && p.At(i) < 0 || math.IsNaN(p.At(i)) {
						t.Fatalf("%s: %s[%d] starts at %v", name, p.Name, i, p.At(i))
					}
				}
			}
		}
	}
}

// Every hinge of the first layer spreads over the data by Spread and bends at a
// data point.
func TestStartPlacesHinges(t *testing.T) {
	o := Start{Law: law(t, 3, false), Spread: 2.5}
	m, data := started(t, Architecture{Hidden: []int{40, 5}, Rotated: true}, o, 500)
	layer := m.Layers[0][0]
	for k := range layer.Bias.Cols {
		var sum, squares, least float64
		least = math.Inf(1)
		for i := range data.Rows {
			a := layer.Bias.At(k)
			for j, v := range row(data, i) {
				a += float64(v) * layer.Skip.At(j*layer.Bias.Cols+k)
			}
			sum, squares, least = sum+a, squares+a*a, min(least, math.Abs(a))
		}
		n := float64(data.Rows)
		if sd := math.Sqrt(squares/n - sum*sum/n/n); math.Abs(sd-2.5) > 1e-3 {
			t.Errorf("hinge %d has deviation %v, want 2.5", k, sd)
		}
		if least > 1e-4 {
			t.Errorf("hinge %d bends %v from the nearest data point", k, least)
		}
	}
}

// The difference of the two pieces of a maximum spreads over the data by Spread,
// and both vanish at the same data point, on every layer; so does a line, where
// all directions are one.
func TestStartPlacesMaxima(t *testing.T) {
	for _, d := range []int{1, 3} {
		m, data := started(t, Architecture{Hidden: []int{30, 20, 10}, Unit: Maximum}, Start{Law: law(t, d, true), Spread: 2.5}, 500)
		s := graph.NewScope(tensor.Float32)
		x := points(s, data.Rows, d)
		f := m.forward(s, x)
		out := make(map[string]*gorgonia.Node)
		for l, u := range f.u {
			out[key("difference", l)] = u
		}
		p := compile(t, s, out)
		copy(p.In("x").F32, data.Data)
		run(t, p)
		for l, layer := range m.Layers {
			u := p.Out(key("difference", l))
			for k := range layer.width() {
				var sum, squares float64
				least := math.Inf(1)
				for i := range u.Rows {
					v := u.At(i, k)
					sum, squares, least = sum+v, squares+v*v, min(least, math.Abs(v))
				}
				n := float64(u.Rows)
				sd := math.Sqrt(squares/n - sum*sum/n/n)
				if l == 0 && math.Abs(sd-2.5) > 1e-3 || sd < .5 || sd > 6 {
					t.Errorf("d = %d, layer %d: difference %d has deviation %v, want about 2.5", d, l, k, sd)
				}
				if least > 1e-4 {
					t.Errorf("d = %d, layer %d: maximum %d bends %v from the nearest data point", d, l, k, least)
				}
			}
		}
	}
}

// A third of the hinges lie at points of a small mode far away, where hardly any would by chance.
func TestStartPlacesHingesFarAway(t *testing.T) {
	const rows, width = 400, 60
	data := exact.StandardGaussian(2).Sample(rows, stream("points"))
	for i := range 8 {
		row(data, i)[0] += 40
	}
	g, err := exact.FitGaussian(data, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := single(t, Architecture{Dim: 2, Hidden: []int{width}})
	if err := (Start{Law: g}).Init(m, data, stream("init")); err != nil {
		t.Fatal(err)
	}
	layer, far := m.Layers[0][0], 0
	for k := range width {
		nearest, at := math.Inf(1), 0
		for i := range rows {
			a := layer.Bias.At(k)
			for j, v := range row(data, i) {
				a += float64(v) * layer.Skip.At(j*width+k)
			}
			if math.Abs(a) < nearest {
				nearest, at = math.Abs(a), i
			}
		}
		if at < 8 {
			far++
		}
	}
	if far < width/3 || far > width/3+5 {
		t.Errorf("%d of %d hinges lie far away, want %d and at most a few by chance", far, width, width/3)
	}
}

// Knots divide the range of each coordinate evenly, each as wide as its part.
func TestStartPlacesKnots(t *testing.T) {
	const rows, knots = 1000, 4
	m := single(t, Architecture{Dim: 2, Hidden: []int{3}, Knots: knots})
	data := batch.New(rows, 2)
	for i := range rows {
		row(data, i)[0] = 3 + float32(i)/rows // from 3 to 4
		row(data, i)[1] = -2 + 8*float32(i*7%rows)/rows
	}
	m.placeKnots(data, 1, []float64{1, 1}, 1e-6)
	for j, c := range []struct{ low, width float64 }{{3, 1}, {-2, 8}} {
		for k := range knots {
			slope := m.Knots[k].Slope.At(j)
			if at, want := -m.Knots[k].Bias.At(j)/slope, c.low+c.width*(float64(k)+.5)/knots; math.Abs(at-want) > .01*c.width {
				t.Errorf("coordinate %d: knot %d lies at %g, want %g", j, k, at, want)
			}
			if want := 4 * knots / c.width; math.Abs(slope-want) > .05*want {
				t.Errorf("coordinate %d: knot %d has slope %g, want %g", j, k, slope, want)
			}
		}
	}
}

// A direction with almost no variation of the data gets no enormous weights,
// and the caller may choose the directions.
func TestStartMinDeviation(t *testing.T) {
	g, err := exact.NewGaussian(make([]float64, 2), mat.NewDiagDense(2, []float64{1e-8, 2}))
	if err != nil {
		t.Fatal(err)
	}
	var layers []int
	axes := func(b blas32.General, layer int, _ *random.Stream) {
		layers = append(layers, layer)
		for k := range b.Cols {
			b.Data[k%b.Rows*b.Stride+k] = 1
		}
	}
	m, _ := started(t, Architecture{Hidden: []int{2, 2}}, Start{Law: g, Directions: axes}, 200)
	if want := 4 / .3; math.Abs(m.Layers[0][0].Skip.At(0)-want) > 1e-4*want {
		t.Errorf("weight %v along a coordinate that does not vary; want Spread/MinDeviation = %v", m.Layers[0][0].Skip.At(0), want)
	}
	if len(layers) != 2 || layers[0] != 0 || layers[1] != 1 {
		t.Errorf("directions were asked for layers %v", layers)
	}
}

// The zero values of the options are those that they say, and two rows are enough.
func TestStartDefaults(t *testing.T) {
	g, a := law(t, 2, false), Architecture{Hidden: []int{6, 6}}
	short, x := started(t, a, Start{Law: g}, 2)
	var trace float64
	for _, v := range g.Values {
		trace += v
	}
	said, _ := started(t, a, Start{Law: g, Share: .2, Fixed: .25, Spread: 4, MinDeviation: .3 * math.Sqrt(trace/2), RootRate: 1}, 2)
	if x.Rows != 2 {
		t.Fatalf("%d rows", x.Rows)
	}
	for k, p := range short.Params().All() {
		if want := said.Params().All()[k]; !slices.Equal(p.Float32s(), want.Float32s()) {
			t.Errorf("%s is %g, and %g with the options that 0 means", p.Name, p.Float32s(), want.Float32s())
		}
	}
}

// Particles are draws of N(c, Σ^{1/3}), or of N(0, I) for the baseline, with
// their conjugates under the closed form.
func TestParticles(t *testing.T) {
	const n = 40000
	for _, baseline := range []bool{false, true} {
		g := law(t, 3, false)
		o := Start{Law: g, Gaussian: baseline, Share: 1}
		y, conjugates := o.Particles(n, stream("particles"))
		fit, err := exact.FitGaussian(y, 0)
		if err != nil {
			t.Fatal(err)
		}
		center, cov, back := g.Center(), g.Power(1./3), g.Power(-1./3)
		shift := center
		if baseline {
			cov, center, back, shift = exact.StandardGaussian(3).Power(1), make([]float64, 3), g.Power(-.5), g.Mean
		}
		t.Logf("baseline %t: covariance of the bank's first coordinates %.4f, want %.4f", baseline, fit.Power(1).At(0, 0), cov.At(0, 0))
		for i := range 3 {
			if e := math.Abs(fit.Mean[i] - center[i]); e > 5*math.Sqrt(cov.At(i, i)/n) {
				t.Errorf("baseline %t: mean %v along axis %d, want %v", baseline, fit.Mean[i], i, center[i])
			}
			for j := range 3 {
				sd := math.Sqrt((cov.At(i, i)*cov.At(j, j) + cov.At(i, j)*cov.At(i, j)) / n)
				if e := math.Abs(fit.Power(1).At(i, j) - cov.At(i, j)); e > 5*sd {
					t.Errorf("baseline %t: covariance (%d, %d) is %v, want %v", baseline, i, j, fit.Power(1).At(i, j), cov.At(i, j))
				}
			}
		}
		if e := differ(affine(conjugates, back, shift).Data, y.Data); e > 2e-6 {
			t.Errorf("baseline %t: ∇w of the conjugates is %.2g from the particles", baseline, e)
		}
	}
}

func TestStartErrors(t *testing.T) {
	g := law(t, 2, false)
	m := single(t, Architecture{Dim: 2, Hidden: []int{3}})
	data := g.Sample(10, stream("data"))
	for name, c := range map[string]struct {
		o    Start
		m    *ICNN
		data blas32.General
		want string
	}{
		"float64":        {Start{Law: g}, full(t, Architecture{}, 2, 3), data, "float32"},
		"no law":         {Start{}, m, data, "Gaussian"},
		"another law":    {Start{Law: law(t, 3, false)}, m, data, "ℝ^2"},
		"one point":      {Start{Law: g}, m, normals(1, 1, 2, 0), "(1, 2)"},
		"another shape":  {Start{Law: g}, m, normals(1, 10, 3, 0), "(10, 3)"},
		"carried beyond": {Start{Law: g, Carry: .6}, m, data, "the power 0.6 of the covariance; it must lie in [0, ½]"},
		"share too high": {Start{Law: g, Share: 1.5}, m, data, "1.5; it must lie in (0, 1]"},
		"share below 0":  {Start{Law: g, Share: -1}, m, data, "share is -1"},
		"share NaN":      {Start{Law: g, Share: math.NaN()}, m, data, "share is NaN"},
		"fixed too high": {Start{Law: g, Fixed: 2}, m, data, "fixed fraction of the quadratic is 2"},
		"flat hinges": {Start{Law: g, Directions: func(b blas32.General, _ int, _ *random.Stream) { clear(b.Data) }}, m, data,
			"no curvature"},
	} {
		if err := c.o.Init(c.m, c.data, stream("init")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want one that says %q", name, err, c.want)
		}
	}
}

// With Balanced, the first step of Adam changes every array of hidden and
// output weights by the same fraction of its size. Weights that start at 0 step
// as without Balanced.
func TestStartBalanced(t *testing.T) {
	g := law(t, 2, false)
	for _, unit := range []Unit{Softplus, Maximum} {
		testStartBalanced(t, g, unit)
	}
}

func testStartBalanced(t *testing.T, g *exact.Gaussian, unit Unit) {
	for _, share := range []float64{.1, 1} {
		m, _ := started(t, Architecture{Hidden: []int{16, 8}, Unit: unit}, Start{Law: g, Share: share, Spread: 12, Balanced: true}, 500)
		const rate = 1e-3
		for _, p := range m.Params().All() {
			before := append([]float32{}, p.Float32s()...)
			grad := make([]float32, len(before))
			for i := range grad {
				grad[i] = -1
			}
			adam := optim.Adam{LR: rate}
			weight := optim.Weight{Name: p.Name, Value: p.Float32s(), Grad: grad, Rate: p.Rate}
			if _, err := adam.Step(&optim.AdamState{}, []optim.Weight{weight}); err != nil {
				t.Fatal(err)
			}
			var moved, size float64
			for i, v := range before {
				moved += math.Pow(float64(p.Float32s()[i]-v), 2)
				size += float64(v) * float64(v)
			}
			want := rate * math.Sqrt(size)
			if size == 0 || p == m.Linear || p.Frozen {
				want = rate * math.Sqrt(float64(len(before)))
			}
			if got := math.Sqrt(moved); math.Abs(got-want) > .02*want {
				t.Errorf("share %g: %s moves by %g, want %g", share, p.Name, got, want)
			}
		}
	}
}

// With a Source and the whole share in the quadratic, ∇w is the Monge map from the law to
// the source, and Conjugates are the way back; with a smaller share the mean of ∇w is that
// of the source.
func TestStartAtTheMongeMap(t *testing.T) {
	for name, f := range forms(t) {
		source := law(t, f.law.Dim(), f.a.Full == false && !f.a.Rotated)
		source.Mean[0] = -4
		for k := range source.Values {
			source.Values[k] *= 1 + .3*float64(k%3)
		}
		truth, err := f.law.MongeTo(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, share := range []float64{1, .4} {
			o := Start{Law: f.law, Source: source, Share: share}
			m, data := started(t, f.a, o, 600)
			grad, want := batch.New(data.Rows, data.Cols), batch.New(data.Rows, data.Cols)
			if err := evaluator(t, m).Eval(data, nil, grad); err != nil {
				t.Fatal(err)
			}
			if share < 1 {
				for j, got := range batch.Means(grad) {
					if math.Abs(got-source.Mean[j]) > 1e-4 {
						t.Errorf("%s: the mean of ∇w is %v along axis %d; want %v", name, got, j, source.Mean[j])
					}
				}
				continue
			}
			if err := truth.Eval(data, nil, want); err != nil {
				t.Fatal(err)
			}
			if e := differ(grad.Data, want.Data); e > 3e-6 {
				t.Errorf("%s: ∇w has relative error %.2g; want ≤ 3e-6", name, e)
			}
			back, err := o.Conjugates(grad)
			if err != nil {
				t.Fatal(err)
			}
			if e := differ(back.Data, data.Data); e > 1e-5 {
				t.Errorf("%s: ∇w* of ∇w has relative error %.2g; want ≤ 1e-5", name, e)
			}
		}
	}
	o := Start{Law: law(t, 2, false), Source: law(t, 3, false)}
	if err := o.Init(single(t, Architecture{Dim: 2, Hidden: []int{3}}), o.Law.Sample(10, stream("data")), stream("init")); err == nil || !strings.Contains(err.Error(), "from a source on ℝ^3") {
		t.Errorf("a source of another dimension: %v", err)
	}
}

// A small mode far away is found; sets without one have no far rows, so that they start as
// they always did.
func TestFarRows(t *testing.T) {
	for _, name := range data.ToyNames() {
		set, err := data.Toy(name)
		if err != nil {
			t.Fatal(err)
		}
		if far := hinges.FarRows(set.Sample(random.New(1, "points", 0), 4000)); len(far) > 0 {
			t.Errorf("%s has %d far rows", name, len(far))
		}
	}
	x := exact.StandardGaussian(2).Sample(1000, random.New(1, "points", 0))
	for i := range 40 {
		x.Data[2*i] += 30
	}
	if far := hinges.FarRows(x); len(far) != 40 || far[39] != 39 {
		t.Errorf("%d far rows of 40", len(far))
	}
}
