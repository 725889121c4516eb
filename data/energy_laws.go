package data

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"cmf/solvers"
	"cmf/solvers/batch"
	"cmf/solvers/exact"
	"cmf/solvers/line"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/floats"
)

// Normal is Weight·N(Mean, SD²·I) on ℝᵈ, a component of a mixture.
type Normal struct {
	Weight float64
	Mean   []float64
	SD     float64
}

// GaussianEnergy is ½(x−m)ᵀΣ⁻¹(x−m), the energy of N(m, Σ); LogZ is ½ log det(2πΣ).
func GaussianEnergy(law *exact.Gaussian) *Energy {
	const reach = 6
	d := law.Dim()
	q := &exact.Quadratic{Center: law.Mean, Values: make([]float64, d), Vectors: law.Vectors}
	for k, v := range law.Values {
		q.Values[k] = 1 / v
	}
	scratch := sync.Pool{New: func() any { work := make([]float64, 3*d); return &work }}
	cov := law.Power(1)
	e := &Energy{
		Name: "gaussian", dim: d, LogZ: q.LogZ(),
		at: func(grad, x []float64) float64 {
			work := scratch.Get().(*[]float64)
			defer scratch.Put(work)
			if grad == nil {
				grad = (*work)[2*d:]
			}
			return q.AtTo(grad, x, (*work)[:2*d])
		},
		Draw: func(n int, rng *random.Stream) blas32.General { return law.Sample(max(0, n), rng) },
	}
	about := &exact.Gaussian{Mean: make([]float64, d), Values: law.Values, Vectors: law.Vectors}
	e.wide = func(n int, rng *random.Stream) []float64 {
		x := make([]float64, n*d)
		for i, v := range about.Sample(n, rng).Data {
			x[i] = law.Mean[i%d] + float64(v)
		}
		return x
	}
	for j, m := range law.Mean {
		sd := math.Sqrt(cov.At(j, j))
		e.Box.Lower, e.Box.Upper = append(e.Box.Lower, m-reach*sd), append(e.Box.Upper, m+reach*sd)
	}
	return e
}

// MixtureEnergy is −log Σ_k Weight_k·N(x; Mean_k, SD_k²·I), for at least one
// component. Weights are divided by their sum, so LogZ is 0. Energies and
// slopes must fit into float32: weights may be 0 to 10¹², deviations 10⁻⁶ to
// 10⁶, and coordinates of the means −10⁶ to 10⁶.
func MixtureEnergy(parts ...Normal) (*Energy, error) {
	const reach = 6
	if len(parts) == 0 || len(parts[0].Mean) == 0 {
		return nil, fmt.Errorf("a mixture needs at least one component, with at least one coordinate")
	}
	d := len(parts[0].Mean)
	box := solvers.Box{Lower: constant(d, math.Inf(1)), Upper: constant(d, math.Inf(-1))}
	upTo := make([]float64, len(parts)) // cumulated weights
	var total float64
	for k, p := range parts {
		switch {
		case len(p.Mean) != d:
			return nil, fmt.Errorf("component %d has %d coordinates, component 1 has %d; they must agree", k+1, len(p.Mean), d)
		case !(p.Weight >= 0 && p.Weight <= 1e12):
			return nil, fmt.Errorf("component %d has weight %g; allowed are 0 to 1e12", k+1, p.Weight)
		case !(p.SD >= 1e-6 && p.SD <= 1e6):
			return nil, fmt.Errorf("component %d has standard deviation %g; allowed are 1e-6 to 1e6", k+1, p.SD)
		}
		total += p.Weight
		upTo[k] = total
		for j, m := range p.Mean {
			if !(math.Abs(m) <= 1e6) {
				return nil, fmt.Errorf("component %d has the mean %v; its coordinates must be -1e6 to 1e6", k+1, p.Mean)
			}
			box.Lower[j], box.Upper[j] = min(box.Lower[j], m-reach*p.SD), max(box.Upper[j], m+reach*p.SD)
		}
	}
	if total == 0 {
		return nil, fmt.Errorf("the weights of a mixture sum to 0; at least one must be positive")
	}
	e := &Energy{
		Name: "mixture", dim: d, Box: box,
		at: func(grad, x []float64) float64 { return mixtureEnergy(parts, total, grad, x) },
		wide: func(n int, rng *random.Stream) []float64 {
			noise, x := batch.New(n, d), make([]float64, n*d)
			rng.Normals(noise.Data)
			for i := range n {
				k, level := 0, total*rng.Float64()
				for k+1 < len(parts) && level >= upTo[k] {
					k++
				}
				for j := range d {
					x[i*d+j] = parts[k].Mean[j] + parts[k].SD*float64(noise.Data[i*d+j])
				}
			}
			return x
		},
	}
	e.Draw = e.narrowed
	return e, nil
}

func mixtureEnergy(parts []Normal, total float64, grad, x []float64) float64 {
	logs := make([]float64, len(parts))
	for k, p := range parts {
		z := floats.Distance(x, p.Mean, 2) / p.SD
		logs[k] = math.Log(p.Weight/total) - z*z/2 - float64(len(x))*math.Log(math.Sqrt(2*math.Pi)*p.SD)
	}
	all := floats.LogSumExp(logs)
	if grad != nil {
		clear(grad)
		for k, p := range parts {
			pull := math.Exp(logs[k]-all) / (p.SD * p.SD)
			for j := range grad {
				grad[j] += pull * (x[j] - p.Mean[j])
			}
		}
	}
	return -all
}

// ParseMixture reads a MixtureEnergy from text. Components are separated by
// semicolons; each is a weight, d coordinates of the mean and a standard
// deviation: "0.5,-1,0,0.6;0.5,1,0,0.6".
func ParseMixture(text string) (*Energy, error) {
	var parts []Normal
	for part := range strings.SplitSeq(text, ";") {
		var numbers []float64
		for item := range strings.SplitSeq(part, ",") {
			v, err := strconv.ParseFloat(strings.TrimSpace(item), 64)
			if err != nil {
				return nil, fmt.Errorf("component %d is %q: %q is not a number", len(parts)+1, part, strings.TrimSpace(item))
			}
			numbers = append(numbers, v)
		}
		if len(numbers) < 3 {
			return nil, fmt.Errorf("component %d is %q: it has %d numbers; give weight,x,…,deviation such as 0.5,-1,0,0.6", len(parts)+1, part, len(numbers))
		}
		last := len(numbers) - 1
		parts = append(parts, Normal{Weight: numbers[0], Mean: numbers[1:last], SD: numbers[last]})
	}
	return MixtureEnergy(parts...)
}

// ProductEnergy is the energy of the law of Q·x with independent x_k ~ laws_k,
// at least one; LogZ is 0. The rotation Q is drawn from rng in the same way as
// by NewProduct, so equal streams give an energy and the problem with its true
// potential. With a nil rng the axes stay as they are.
func ProductEnergy(laws []*line.Mixture, rng *random.Stream) (*Energy, error) {
	const reach = 6
	p, err := NewProduct(make([]Line, len(laws)), rng)
	if err != nil {
		return nil, err
	}
	d, q := len(laws), p.rotation
	middle, half := make([]float64, d), make([]float64, d)
	for k, law := range laws {
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, c := range law.Components {
			lo, hi = min(lo, c.Mean-reach*c.SD), max(hi, c.Mean+reach*c.SD)
		}
		for j := range d {
			middle[j] += q.Data[j*d+k] * (lo + hi) / 2
			half[j] += math.Abs(q.Data[j*d+k]) * (hi - lo) / 2
		}
	}
	e := &Energy{Name: "product", dim: d, Box: solvers.Box{Lower: make([]float64, d), Upper: make([]float64, d)}}
	floats.SubTo(e.Box.Lower, middle, half)
	floats.AddTo(e.Box.Upper, middle, half)
	e.at = func(grad, x []float64) float64 {
		clear(grad)
		var sum float64
		for k, law := range laws {
			var t float64 // (Qᵀx)_k
			for j, v := range x {
				t += q.Data[j*d+k] * v
			}
			value, slope := lineEnergy(law, t)
			sum += value
			for j := range grad {
				grad[j] += q.Data[j*d+k] * slope
			}
		}
		return sum
	}
	e.Draw = func(n int, rng *random.Stream) blas32.General {
		x, t, rotated := batch.New(max(0, n), d), newWide(max(0, n), d), newWide(max(0, n), d)
		for k, law := range laws {
			for i, v := range law.Sample(x.Rows, rng).Data {
				t.Data[i*d+k] = float64(v)
			}
		}
		product(t, blas.Trans, q, rotated)
		narrow(x, rotated)
		return x
	}
	return e, nil
}

// lineEnergy is −log ρ(t) and its derivative.
func lineEnergy(law *line.Mixture, t float64) (value, slope float64) {
	logPDF := law.LogPDF(t)
	for _, c := range law.Components {
		z := (t - c.Mean) / c.SD
		density := math.Log(c.Weight) - z*z/2 - math.Log(math.Sqrt(2*math.Pi)*c.SD)
		slope += math.Exp(density-logPDF) * z / c.SD
	}
	return -logPDF, slope
}

func constant(n int, v float64) []float64 {
	out := make([]float64, n)
	floats.AddConst(v, out)
	return out
}
