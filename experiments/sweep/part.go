package sweep

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"cmf/solvers/mpi"
)

// part is which of several processes of a sweep this one is, from 1, and of how many, 0 if
// that is unknown; the zero value is one process alone. It says only with which cell a
// process begins: cells belong to whoever claims them.
type part struct{ is, of int }

// mostParts is more than a sweep has cells.
const mostParts = 1 << 20

// Decode reads a part such as 2/4, for envconfig.
func (p *part) Decode(text string) error {
	if strings.TrimSpace(text) == "" {
		*p = part{}
		return nil
	}
	is, of, ok := strings.Cut(text, "/")
	var first, second error
	p.is, first = strconv.Atoi(is)
	p.of, second = strconv.Atoi(of)
	if !ok || first != nil || second != nil || p.is < 1 || p.of < p.is || p.of > mostParts {
		return fmt.Errorf("give the number of this process and of all, such as 2/4; allowed are 1/n to n/n, with n up to %d", mostParts)
	}
	return nil
}

// String writes a part as Decode reads it.
func (p part) String() string {
	switch {
	case p.is == 0:
		return ""
	case p.of == 0:
		return fmt.Sprintf("%d of an unknown number", p.is)
	}
	return fmt.Sprintf("%d/%d", p.is, p.of)
}

// alone says whether this process runs the whole sweep.
func (p part) alone() bool { return p.is == 0 }

// from is the cell of n with which the part begins.
func (p part) from(n int) int {
	switch {
	case p.alone() || n == 0:
		return 0
	case p.of == 0:
		return (p.is - 1) % n
	}
	return (p.is - 1) * n / p.of
}

// partHere is the part of this process by what started it: a job array of Slurm, an Indexed
// Job of Kubernetes, a launcher of ranks, or one of the former whose every task is such ranks.
func partHere() (p part) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n >= 0 {
			return n
		}
		return otherwise
	}
	if task := number("SLURM_ARRAY_TASK_ID", -1); task >= 0 {
		// A list such as 1,5,7 has no step, and then two tasks may begin with the same cell.
		p.of = max(1, number("SLURM_ARRAY_TASK_COUNT", 1))
		p.is = 1 + max(0, task-number("SLURM_ARRAY_TASK_MIN", 0))/max(1, number("SLURM_ARRAY_TASK_STEP", 1))%p.of
	} else if index := number("JOB_COMPLETION_INDEX", -1); index >= 0 {
		p.is, p.of = index+1, number("JOB_COMPLETIONS", 0)
		if p.of < p.is {
			p.of = 0
		}
	}
	rank, n := mpi.Place()
	if n == 1 {
		return p
	}
	if p.alone() {
		return part{rank + 1, n}
	}
	return part{(p.is-1)*max(1, n) + rank + 1, p.of * n}
}
