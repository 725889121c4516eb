package experiments

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cmf/data"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// Without the Cartoon Set the stand-in is used, and said so; every output is there.
func TestCartoonOnStandIn(t *testing.T) {
	out := seconds(t, "CMF_SIDE", "12", "CMF_COMPONENTS", "24", "CMF_PICTURES", "1000", "CMF_STEPS", "60", "CMF_SAMPLES", "64", "CMF_MIXING", "20")
	var log bytes.Buffer
	r, err := Execute(t.Context(), Cartoon, nil, &log)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"report.json", "metrics.jsonl", "grid.png", "noise.png", "curves.png", "samples.npy", "gibbs.npy", "checkpoint.safetensors", "index.html"} {
		if info, err := os.Stat(filepath.Join(out, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if strings.Count(log.String(), "stand-in") < 2 || !strings.Contains(r.Report.Data, "stand-in") {
		t.Errorf("data %q; the log does not say stand-in twice:\n%s", r.Report.Data, log.String())
	}
	for _, name := range []string{"energy_distance", "sliced_w2", "nn_accuracy", "noise_energy_distance", "nearest_training_distance"} {
		for part, numbers := range map[string]Numbers{"metrics": r.Report.Metrics, "baseline": r.Report.Baseline, "floor": r.Report.Floor} {
			if v, ok := numbers[name]; !ok || math.IsNaN(v) {
				t.Errorf("%s.%s is %v", part, name, v)
			}
		}
	}
	if gibbs, white := r.Report.Metrics["noise_energy_distance"], r.Report.Baseline["noise_energy_distance"]; !(gibbs < white) {
		t.Errorf("the Gibbs factor is at %g from the data, N(0, I) at %g", gibbs, white)
	}
	for _, name := range []string{"samples.npy", "gibbs.npy"} {
		x, err := data.ReadNPY(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if x.Rows != 64 || x.Cols != 3*12*12 {
			t.Errorf("%s has shape (%d, %d)", name, x.Rows, x.Cols)
		}
	}
	checkSavedCartoons(t, out)
}

// checkSavedCartoons holds a checkpoint to what the run left: its own draw gives the
// same pictures, and they have densities.
func checkSavedCartoons(t *testing.T, folder string) {
	t.Helper()
	m, err := LoadModel(filepath.Join(folder, "checkpoint.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	draw, err := m.Draw(64, 20, random.New(1, "generation", 0))
	if err != nil {
		t.Fatal(err)
	}
	pictures, err := m.Units().Sample(draw.Points, random.New(1, "remainder", 0))
	if err != nil {
		t.Fatal(err)
	}
	saved, err := data.ReadNPY(filepath.Join(folder, "samples.npy"))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range pictures.Data {
		if math.Abs(float64(v-saved.Data[k])) > 1e-4 {
			t.Fatalf("value %d of the pictures is %g, in the run it was %g", k, v, saved.Data[k])
		}
	}
	near := batch.New(8, draw.Points.Cols) // about the mean no pixel is cut to [0, 1]
	for k := range near.Data {
		near.Data[k] = draw.Points.Data[k] / 20
	}
	mean, err := m.Units().Data(near)
	if err != nil {
		t.Fatal(err)
	}
	back, err := m.Units().Learning(mean)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range near.Data {
		if math.Abs(float64(v-back.Data[k])) > 1e-3 {
			t.Errorf("coordinate %d is %g, from its picture %g", k, v, back.Data[k])
		}
	}
	logPDF, info, err := m.LogPDF(batch.Rows(pictures, 0, 4), random.New(1, "log Z", 0))
	if err != nil || !batch.AllFinite(logPDF) || !batch.AllFinite([]float64{info.LogZ}) {
		t.Errorf("log densities %v with log Z %g, error %v", logPDF, info.LogZ, err)
	}
	if _, err := m.Units().Data(batch.New(2, 3)); err == nil {
		t.Error("points of another dimension are not refused")
	}
}

func TestCartoonBadInput(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"CMF_SIDE", "4", "CMF_SIDE=4"},
		{"CMF_COMPONENTS", "2000", "CMF_COMPONENTS=2000"},
		{"CMF_PICTURES", "10", "CMF_PICTURES=10"},
		{"CMF_SAMPLES", "500", "CMF_SAMPLES=500"},
	} {
		seconds(t, "CMF_PICTURES", "3000", "CMF_SAMPLES", "64", c.name, c.value)
		_, err := Execute(t.Context(), Cartoon, nil, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one that says %q", err, c.want)
		}
		os.Unsetenv("CMF_SIDE")
		os.Unsetenv("CMF_COMPONENTS")
	}
}

// skewed is a sample of a Gaussian on ℝ¹² with variances 9·.6^k along random
// directions.
func skewed(t *testing.T, n int) (x blas32.General, law *exact.Gaussian) {
	t.Helper()
	const d = 12
	var qr mat.QR
	wide := mat.NewDense(d, d, nil)
	rng := random.New(1, "directions", 0)
	wide.Apply(func(int, int, float64) float64 { return rng.NormFloat64() }, wide)
	qr.Factorize(wide)
	law = &exact.Gaussian{Mean: make([]float64, d), Values: make([]float64, d), Vectors: new(mat.Dense)}
	qr.QTo(law.Vectors)
	for k := range d {
		law.Values[k], law.Mean[k] = 9*math.Pow(.6, float64(k)), float64(k)
	}
	return law.Sample(n, random.New(1, "sample", 0)), law
}

// The leading directions are those of the exact eigendecomposition of the sample.
func TestPrincipalDirections(t *testing.T) {
	x, _ := skewed(t, 3000)
	const k = 4
	p, err := newPrincipal(x, k, random.New(1, "start", 0))
	if err != nil {
		t.Fatal(err)
	}
	exact, err := exact.FitGaussian(x, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rest float64
	for j := range 12 {
		want := exact.Values[11-j]
		if j >= k {
			rest += want / 8
			continue
		}
		var along float64
		for i := range 12 {
			along += float64(batch.Row(p.vectors, i)[j]) * exact.Vectors.At(i, 11-j)
		}
		if math.Abs(p.values[j]-want) > 2e-3*want || math.Abs(math.Abs(along)-1) > 1e-2 {
			t.Errorf("direction %d: variance %g, want %g; cosine %g", j, p.values[j], want, along)
		}
	}
	if math.Abs(p.rest-rest) > 1e-2*rest {
		t.Errorf("mean variance of the rest %g, want %g", p.rest, rest)
	}
	if _, err := newPrincipal(x, 12, random.New(1, "start", 0)); err == nil {
		t.Error("as many directions as dimensions are not refused")
	}
}

// Lifted from exact coordinates, points have the covariance of the data but for the
// remainder's, which is isotropic; and ∇w*(y) = Σ^{1/3}y holds between a lifted
// noise and its picture.
func TestPrincipalLift(t *testing.T) {
	const n, k, all = 20_000, 3, 6
	x, _ := skewed(t, n)
	p, err := newPrincipal(x, all, random.New(1, "start", 0))
	if err != nil {
		t.Fatal(err)
	}
	z := p.coordinates(batch.Shifted(x, p.mean), k)
	stream := func() *random.Stream { return random.New(1, "remainder", 0) }
	picture, noise := p.lift(z, 1./2, stream()), p.lift(z, 1./6, stream())
	_, cov := batch.Moments(picture)
	v := mat.NewDense(12, all, nil)
	for i := range 12 {
		for j := range all {
			v.Set(i, j, float64(batch.Row(p.vectors, i)[j]))
		}
	}
	var inner mat.Dense
	inner.Product(v.T(), cov, v)
	for j := range all {
		if got := inner.At(j, j); math.Abs(got-p.values[j]) > .05*p.values[j] {
			t.Errorf("variance along direction %d is %g, want %g", j, got, p.values[j])
		}
	}
	if got, want := mat.Trace(cov)-mat.Trace(&inner), 6*p.rest; math.Abs(got-want) > .05*want {
		t.Errorf("variance of the remainder %g, want %g", got, want)
	}
	// Along the directions beyond k the map is λ^{1/3}, beyond all of them rest^{1/3}.
	for _, b := range []blas32.General{picture, noise} {
		if got := p.coordinates(b, k); math.Abs(float64(batch.Row(got, 5)[1]-batch.Row(z, 5)[1])) > 1e-3 {
			t.Errorf("a coordinate of the network is %g, want %g", batch.Row(got, 5)[1], batch.Row(z, 5)[1])
		}
	}
	a, b := p.coordinates(picture, all), p.coordinates(noise, all)
	for j := k; j < all; j++ {
		if ratio := float64(batch.Row(a, 7)[j] / batch.Row(b, 7)[j]); math.Abs(ratio-math.Cbrt(p.values[j])) > 1e-2 {
			t.Errorf("direction %d: the map stretches by %g, want %g", j, ratio, math.Cbrt(p.values[j]))
		}
	}
	across := func(x, z blas32.General) []float32 { // row 7 less what lies along V
		out := batch.New(1, 12)
		copy(out.Data, batch.Row(x, 7))
		blas32.Gemm(blas.NoTrans, blas.Trans, -1, batch.Rows(z, 7, 8), p.vectors, 1, out)
		return out.Data
	}
	u, w := across(picture, a), across(noise, b)
	for i := range u {
		if math.Abs(float64(u[i])-math.Cbrt(p.rest)*float64(w[i])) > 1e-3 {
			t.Errorf("coordinate %d of the remainder: %g from %g, want a factor of %g", i, u[i], w[i], math.Cbrt(p.rest))
		}
	}
}

// The density of all coordinates is that of the learned ones times that of the
// rest: for a Gaussian, in closed form, Σ = V·diag(λ)·Vᵀ + rest·(I − V·Vᵀ).
func TestPrincipalDensity(t *testing.T) {
	x, _ := skewed(t, 2000)
	p, err := newPrincipal(x, 6, random.New(1, "start", 0))
	if err != nil {
		t.Fatal(err)
	}
	p.learned = 3
	v := mat.NewDense(12, 6, nil)
	spread := mat.NewDense(6, 6, nil)
	for j := range 6 {
		for i := range 12 {
			v.Set(i, j, float64(batch.Row(p.vectors, i)[j]))
		}
		spread.Set(j, j, p.values[j]-p.rest)
	}
	var sum mat.Dense
	sum.Product(v, spread, v.T())
	cov := mat.NewSymDense(12, nil)
	for i := range 12 {
		for j := range 12 {
			cov.SetSym(i, j, (sum.At(i, j)+sum.At(j, i))/2)
		}
		cov.SetSym(i, i, cov.At(i, i)+p.rest)
	}
	whole, err := exact.NewGaussian(p.mean, cov)
	if err != nil {
		t.Fatal(err)
	}
	want, err := whole.LogPDF(batch.Rows(x, 0, 20))
	if err != nil {
		t.Fatal(err)
	}
	centred := batch.Shifted(batch.Rows(x, 0, 20), p.mean)
	z := p.coordinates(centred, p.learned)
	for i, got := range p.logRest(centred) {
		for j, c := range batch.Row(z, i) {
			got -= (float64(c)*float64(c)/p.values[j] + math.Log(2*math.Pi*p.values[j])) / 2
		}
		if math.Abs(got-want[i]) > 1e-3*math.Abs(want[i]) {
			t.Errorf("point %d: log density %g, want %g", i, got, want[i])
		}
	}
}

// Normal combinations of the pictures have their covariance.
func TestGaussianOfPictures(t *testing.T) {
	x, _ := skewed(t, 500)
	u := &cartoonUnits{train: batch.Shifted(x, batch.Means(x))}
	_, want := batch.Moments(u.train)
	_, got := batch.Moments(u.gaussian(20_000, random.New(1, "draws", 0)))
	for i := range 12 {
		for j := range 12 {
			if scale := math.Sqrt(want.At(i, i) * want.At(j, j)); math.Abs(got.At(i, j)-want.At(i, j)) > .06*scale {
				t.Errorf("covariance (%d, %d) is %g, want %g", i, j, got.At(i, j), want.At(i, j))
			}
		}
	}
}

func TestMatchedNoise(t *testing.T) {
	x, _ := skewed(t, 400)
	y := batch.New(300, 12)
	random.New(1, "noise", 0).Normals(y.Data)
	z := matched(y, x)
	if got, want := batch.TotalVariance(z, batch.Means(z)), batch.TotalVariance(x, batch.Means(x)); math.Abs(got-want) > 1e-3*want {
		t.Errorf("total variance %g, want %g", got, want)
	}
	for j, want := range batch.Means(x) {
		if got := batch.Means(z)[j]; math.Abs(got-want) > 1e-4 {
			t.Errorf("mean of column %d is %g, want %g", j, got, want)
		}
	}
}
