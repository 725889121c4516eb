package data

import (
	"math"
	"slices"
	"strings"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/random"
)

func TestToySets(t *testing.T) {
	const n = 20000
	for _, name := range ToyNames() {
		set, err := Toy(name)
		if err != nil || set.Name() != name {
			t.Fatalf("Toy(%q) is %q with error %v", name, set.Name(), err)
		}
		points := set.Sample(random.Seeded(1, 2), n)
		var inside, mean, square [2]float64
		for i := range n {
			p := batch.Row(points, i)
			if set.InSupport(float64(p[0]), float64(p[1])) {
				inside[0]++
			}
			for k, v := range p {
				mean[k] += float64(v) / n
				square[k] += float64(v) * float64(v) / n
				if math.Abs(float64(v)) > 2.6 {
					t.Errorf("%s: point %v is far outside [−2, 2]²", name, p)
				}
			}
		}
		if share := inside[0] / n; share < .999 {
			t.Errorf("%s: %.4f of its points are in its support, want .999", name, share)
		}
		for k := range 2 {
			if math.Abs(mean[k]) > .03 {
				t.Errorf("%s: coordinate %d has mean %.3f, want 0", name, k, mean[k])
			}
			if sd := math.Sqrt(square[k]); sd < .5 || sd > 1.4 {
				t.Errorf("%s: coordinate %d has standard deviation %.3f, want 0.5 to 1.4", name, k, sd)
			}
		}
		again := set.Sample(random.Seeded(1, 2), 100)
		if !slices.Equal(again.Data, points.Data[:200]) {
			t.Errorf("%s: one seed gives two samples", name)
		}
	}
}

// The support has gaps where the set has them, and covers some of the square
// but not all.
func TestToySupportHasGaps(t *testing.T) {
	gaps := map[string][2]float64{
		"circles": {0, 0}, "moons": {0, 1.6}, "s-curve": {.7, .9}, "8gaussians": {0, 0}, "pinwheel": {1.9, -1.9},
		"spirals": {-1.9, 1.9}, "swissroll": {-.2, .2}, "checkerboard": {.5, -.5}, "rings": {0, 0}, "two-densities": {.8, .8},
	}
	rng := random.Seeded(3, 4)
	for _, name := range ToyNames() {
		set, err := Toy(name)
		if err != nil {
			t.Fatal(err)
		}
		gap, ok := gaps[name]
		if !ok || set.InSupport(gap[0], gap[1]) {
			t.Errorf("%s: (%v, %v) is in its support", name, gap[0], gap[1])
		}
		if set.InSupport(5, 5) || set.InSupport(math.NaN(), 0) {
			t.Errorf("%s: (5, 5) or NaN is in its support", name)
		}
		inside := 0
		for range 2000 {
			if set.InSupport(4*rng.Float64()-2, 4*rng.Float64()-2) {
				inside++
			}
		}
		if inside < 200 || inside > 1500 {
			t.Errorf("%s: its support covers %.2f of the square, want 0.1 to 0.75", name, float64(inside)/2000)
		}
	}
}

func TestToyCheckerboardIsExact(t *testing.T) {
	set, err := Toy("checkerboard")
	if err != nil {
		t.Fatal(err)
	}
	for column := -3; column < 3; column++ {
		for line := -3; line < 3; line++ {
			want := min(column, line) >= -2 && max(column, line) < 2 && (column+line)%2 == 0
			if got := set.InSupport(float64(column)+.5, float64(line)+.5); got != want {
				t.Errorf("square (%d, %d): in support %v, want %v", column, line, got, want)
			}
		}
	}
}

func TestToyUnknown(t *testing.T) {
	_, err := Toy("moon")
	if err == nil || !strings.Contains(err.Error(), strings.Join(ToyNames(), ", ")) {
		t.Errorf("got error %v, want the list of sets", err)
	}
	if set, err := Toy("moons"); err != nil || set.Sample(random.Seeded(1, 2), -1).Rows != 0 {
		t.Errorf("a sample of −1 points is not empty (%v)", err)
	}
}

func BenchmarkInSupport(b *testing.B) {
	set, err := Toy("rings")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		set.InSupport(5, 5)
	}
}
