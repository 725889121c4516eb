package figure

import (
	"fmt"
	"math"
	"sort"

	"cmf/solvers/batch"
	"cmf/solvers/order"
)

// shown is the range of finite values that a figure shows: the middle 99.8 %. Where this
// reaches more than five interquartile ranges beyond the quartiles, up to 1 % of the values
// on each side may be left out, so that a few outliers do not shrink all others to a dot.
// ok is false if no value is finite. It changes the order of values.
func shown(values []float32) (lo, hi float64, ok bool) {
	const reach = 5
	n := 0
	for _, v := range values {
		if v-v == 0 {
			values[n], n = v, n+1
		}
	}
	if n == 0 {
		return 0, 0, false
	}
	values = values[:n]
	at := func(k int) float64 { return float64(order.Select(values, k)) }
	below, above := at(n/4), at(n-1-n/4)
	margin := reach * (above - below)
	lo = max(at(n/1000), min(below-margin, at(n/100)))
	hi = min(at(n-1-n/1000), max(above+margin, at(n-1-n/100)))
	return lo, hi, true
}

// BoxOf is the box of the range of all clouds that figures show in each coordinate, with a
// margin; see Outside.
func BoxOf(scenes []Scene) Box {
	ends := func(j int) (lo, hi float64) {
		var all []float32
		for _, s := range scenes {
			for _, c := range s.Clouds {
				all = append(all, batch.Column(c.Points, j)...)
			}
		}
		lo, hi, ok := shown(all)
		if !ok {
			return -1, 1
		}
		return widened(lo, hi)
	}
	var b Box
	b.MinX, b.MaxX = ends(0)
	b.MinY, b.MaxY = ends(1)
	return b
}

// widened is a range with a margin; that of a single value has one too.
func widened(lo, hi float64) (float64, float64) {
	margin := .06 * (hi - lo)
	if margin == 0 {
		margin = 1e-3 * max(1, math.Abs(lo))
	}
	return lo - margin, hi + margin
}

// Outside says, as a sentence for a caption, how many points of the scenes' clouds lie
// outside the box and are not drawn. It is empty if there are none. The zero box stands for
// BoxOf.
func Outside(box Box, scenes ...Scene) string {
	if box == (Box{}) {
		box = BoxOf(scenes)
	}
	outside, all := 0, 0
	for _, s := range scenes {
		for _, c := range s.Clouds {
			all += c.Points.Rows
			for i := range c.Points.Rows {
				if !box.contains(batch.Row(c.Points, i)) {
					outside++
				}
			}
		}
	}
	return outsideOf(outside, all)
}

// OutsideHistogram is Outside for the samples of DrawHistogram.
func OutsideHistogram(samples []float32) string {
	lo, hi, _ := shown(append([]float32(nil), samples...))
	outside := 0
	for _, v := range samples {
		if !(float64(v) >= lo && float64(v) <= hi) {
			outside++
		}
	}
	return outsideOf(outside, len(samples))
}

func outsideOf(outside, all int) string {
	if outside == 0 {
		return ""
	}
	return fmt.Sprintf(" %d of %d points lie outside the axes.", outside, all)
}

func (b Box) contains(p []float32) bool {
	x, y := float64(p[0]), float64(p[1])
	return x >= b.MinX && x <= b.MaxX && y >= b.MinY && y <= b.MaxY
}

// levels are up to n contour levels at equally spaced quantiles of sorted values. Each lies
// strictly between two neighbouring values, because a contour at the height of a plateau is
// not a line.
func levels(sorted []float32, n int) (heights []float64) {
	const share = .618 // of the way to the next value; not a mean of corners in whole steps
	for k := 1; k <= n; k++ {
		v := sorted[k*(len(sorted)-1)/(n+1)]
		next := sort.Search(len(sorted), func(i int) bool { return sorted[i] > v })
		if next == len(sorted) {
			break
		}
		h := float64(v) + share*(float64(sorted[next])-float64(v))
		if len(heights) == 0 || h > heights[len(heights)-1] {
			heights = append(heights, h)
		}
	}
	return heights
}

// steps is v on the scale on which heights are 0, 1, 2, …: linear between them, and from −1
// to len(heights). On this scale a wall is no steeper than other slopes, so that contours
// beside it keep their distances.
func steps(heights []float64, v float64) float64 {
	if math.IsNaN(v) {
		v = math.Inf(1)
	}
	n := len(heights)
	k := sort.SearchFloat64s(heights, v)
	from, to := heights[max(0, k-1)], heights[min(k, n-1)]
	switch {
	case k == 0 || k == n:
		span := max((heights[n-1]-heights[0])/float64(max(1, n-1)), math.SmallestNonzeroFloat64)
		if n == 1 {
			span = max(math.Abs(heights[0]), 1)
		}
		if k == 0 {
			return max(-1, (v-heights[0])/span)
		}
		return float64(n-1) + min(1, (v-heights[n-1])/span)
	}
	return float64(k-1) + (v-from)/(to-from)
}
