package sampling

import (
	"slices"
	"testing"

	"cmf/solvers/batch"
	"cmf/solvers/potential"
	"cmf/solvers/random"

	"gonum.org/v1/gonum/blas/blas32"
)

// solved evaluates ½|y|² and keeps the guesses that it is given.
type solved struct {
	potential.Normal
	guesses [][]float32
}

func (s *solved) Solves() bool { return true }

func (s *solved) EvalFrom(x, guess blas32.General, value []float32, grad blas32.General) error {
	s.guesses = append(s.guesses, slices.Clone(guess.Data))
	return s.Eval(x, value, grad)
}

// Steps give a potential that solves the gradients where they come from, and the
// same draws as one that does not.
func TestGuessesAreTheLastGradients(t *testing.T) {
	start := batch.New(4, 2)
	random.New(1, "start", 0).Normals(start.Data)
	var last []float32
	for _, w := range []potential.Potential{&solved{Normal: potential.Normal{D: 2}}, potential.Normal{D: 2}} {
		chains, err := NewChains(start)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (Langevin{Adjusted: true, Step: .1}).Run(t.Context(), w, chains, 3, random.New(1, "steps", 0)); err != nil {
			t.Fatal(err)
		}
		if s, ok := w.(*solved); ok {
			if len(s.guesses) < 4 || !slices.Equal(s.guesses[0], make([]float32, 8)) || !slices.Equal(s.guesses[1], start.Data) {
				t.Errorf("the guesses are %v; the start is %v", s.guesses, start.Data)
			}
			last = slices.Clone(chains.Y.Data)
		} else if !slices.Equal(last, chains.Y.Data) {
			t.Error("a potential that solves gives other draws")
		}
	}
}
