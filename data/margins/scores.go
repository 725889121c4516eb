package margins

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"cmf/solvers/batch"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/stat/distuv"
)

// Scores maps a column to normal scores, s = Φ⁻¹(F(x)), where F is the column's
// distribution function. It cuts the shares (0, 1) into pieces. On a stretch
// x = f(s) with an increasing f. An atom is a single value, or that of a
// missing one, and every s within the piece stands for it: encoding draws one.
type Scores struct {
	Pieces []Piece
	Labels bool `json:",omitempty"` // atoms are labels, in any order; otherwise all pieces ascend

	// Model, where set, has the normal score of a coordinate z: s = Model(z). It
	// corrects what the law of a model's coordinate lacks of being normal.
	Model *Spline `json:",omitempty"`
}

// Piece is an interval of cumulative shares, from the end of the piece before
// to To.
type Piece struct {
	To     float64
	Atom   *float64 `json:",omitempty"` // the value of an atom
	Null   bool     `json:",omitempty"` // the atom of missing values
	Spline *Spline  `json:",omitempty"` // of a stretch, from scores to values
	Step   float64  `json:",omitempty"` // values of a stretch are its multiples; 0 where it has no gaps

	from, to float64 // scores of the ends
	begins   float64 // the least value
}

func normalScore(share float64) float64 { return distuv.UnitNormal.Quantile(share) }

func normalShare(score float64) float64 { return distuv.UnitNormal.CDF(score) }

// prepare checks the pieces and finds the scores of their ends.
func (c *Scores) prepare() error {
	var share float64
	for k := range c.Pieces {
		p := &c.Pieces[k]
		kinds := 0
		for _, is := range []bool{p.Atom != nil, p.Null, p.Spline != nil} {
			if is {
				kinds++
			}
		}
		last := k == len(c.Pieces)-1
		if kinds != 1 || !(p.To > share) || !(p.To < 1) && !(last && p.To == 1) || p.Step < 0 {
			return fmt.Errorf("piece %d of its scores ends at the share %g after %g", k+1, p.To, share)
		}
		if p.Spline != nil {
			if err := p.Spline.check(); err != nil {
				return err
			}
		}
		p.from, p.to = normalScore(share), normalScore(p.To)
		share = p.To
		switch {
		case p.Null:
			p.begins = math.Inf(-1)
		case p.Atom != nil:
			p.begins = *p.Atom
		default:
			p.begins = p.before()
		}
	}
	if share != 1 {
		return errors.New("its scores lack pieces")
	}
	if c.Model != nil {
		return c.Model.check()
	}
	return nil
}

func (c *Scores) dim() int { return 1 }

// encode implements coordinates.
func (c *Scores) encode(v float64, z []float32, rng *random.Stream, _ bool) (logWeight float64, err error) {
	p := c.pieceOf(v)
	if p == nil {
		return 0, errUnseen
	}
	var s float64
	if p.Spline == nil {
		low, high := normalShare(p.from), normalShare(p.to)
		s = normalScore(low + (high-low)*inner(rng))
		// The mass of the atom is ∫ q(s)ds = E[q(s)/r(s)] for s ~ r, the normal law within the piece.
		logWeight = math.Log(high-low) - distuv.UnitNormal.LogProb(s)
	} else {
		if p.Step > 0 {
			v += p.Step * (inner(rng) - .5)
		}
		var slope float64
		s, slope = p.Spline.inverse(v)
		s = p.inside(s)
		logWeight = -math.Log(slope)
		if p.Step > 0 {
			logWeight += math.Log(p.Step) // the mass of all that is rounded to v
		}
	}
	if c.Model != nil {
		at, slope := c.Model.inverse(s)
		z[0] = float32(at)
		return logWeight - math.Log(slope), nil
	}
	z[0] = float32(s)
	return logWeight, nil
}

// inner is uniform on (0, 1), or ½ without a stream.
func inner(rng *random.Stream) float64 {
	if rng == nil {
		return .5
	}
	return min(max(rng.Float64(), 1e-12), 1-1e-12)
}

// pieceOf is the piece with the value v, nil if there is none.
func (c *Scores) pieceOf(v float64) *Piece {
	if math.IsNaN(v) || c.Labels {
		for k := range c.Pieces {
			if p := &c.Pieces[k]; p.Null == math.IsNaN(v) && (p.Null || *p.Atom == v) {
				return p
			}
		}
		return nil
	}
	first := 0
	if c.Pieces[0].Null {
		first = 1
	}
	// Pieces ascend: the last one that begins at or below v.
	k := sort.Search(len(c.Pieces)-first, func(k int) bool { return c.Pieces[first+k].begins > v }) - 1
	if k >= 0 {
		if p := &c.Pieces[first+k]; p.Spline != nil || *p.Atom == v {
			return p
		}
	}
	// A number between atoms is taken for the nearer one.
	return c.nearest(first, first+k, v)
}

// nearest is the nearer one of piece k and the next one.
func (c *Scores) nearest(first, k int, v float64) *Piece {
	if k < first {
		return &c.Pieces[first]
	}
	if k+1 == len(c.Pieces) || c.Pieces[k+1].begins-v > v-*c.Pieces[k].Atom {
		return &c.Pieces[k]
	}
	return &c.Pieces[k+1]
}

// before is the value at which a stretch begins.
func (p *Piece) before() float64 {
	if math.IsInf(p.from, -1) {
		return math.Inf(-1)
	}
	x, _ := p.Spline.at(p.from)
	return x
}

// inside moves a score into the piece.
func (p *Piece) inside(s float64) float64 {
	const edge = 1e-9
	return max(min(s, p.to-edge), p.from+edge)
}

// decode implements coordinates.
func (c *Scores) decode(z []float32) float64 {
	s := float64(z[0])
	if c.Model != nil {
		s, _ = c.Model.at(s)
	}
	k := 0
	for k < len(c.Pieces)-1 && s >= c.Pieces[k].to {
		k++
	}
	p := &c.Pieces[k]
	switch {
	case p.Null:
		return math.NaN()
	case p.Atom != nil:
		return *p.Atom
	}
	x, _ := p.Spline.at(s)
	if p.Step > 0 {
		x = math.Round(x/p.Step) * p.Step
	}
	return x
}

// corrected has a Model by which draws z of a model have normal scores.
func (c *Scores) corrected(z blas32.General) (*Scores, error) {
	values := make([]weighted, z.Rows)
	for i := range values {
		values[i] = weighted{float64(batch.Row(z, i)[0]), 1}
	}
	slices.SortFunc(values, func(a, b weighted) int { return cmp.Compare(a.v, b.v) })
	scores, at := knots(values, 0, 1, true)
	at, scores = increasing(at, scores)
	out := *c
	var err error
	out.Model, err = newSpline(at, scores, nil, nil)
	return &out, err
}
