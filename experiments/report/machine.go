package report

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine describes the computer of a run.
type Machine struct {
	Go      string `json:"go"`
	OS      string `json:"os"`
	CPU     string `json:"cpu"`
	Threads int    `json:"threads"`         // of each process
	Ranks   int    `json:"ranks,omitempty"` // processes that trained together
	MPI     string `json:"mpi,omitempty"`   // the library by which they did
	BLAS    string `json:"blas"`
	Kernels string `json:"kernels"`

	Processors     int `json:"processors,omitempty"`       // logical
	ThreadsPerCore int `json:"threads_per_core,omitempty"` // 0 if unknown
}

// ThisMachine describes this computer; the caller sets BLAS and Kernels.
func ThisMachine() Machine {
	m := Machine{Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: "unknown", Threads: runtime.GOMAXPROCS(0), Ranks: 1, Processors: runtime.NumCPU()}
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer f.Close()
		m.readProcessor(f)
	}
	return m
}

// readProcessor reads the name of the first processor of a /proc/cpuinfo and the threads
// of a core. If family and model are given, they follow the name, because a name may
// stand for a whole line of products.
func (m *Machine) readProcessor(cpuinfo io.Reader) {
	facts := map[string]string{}
	for lines := bufio.NewScanner(cpuinfo); lines.Scan() && (lines.Text() != "" || len(facts) == 0); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		facts[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	if facts["model name"] == "" {
		return
	}
	m.CPU = facts["model name"]
	if facts["cpu family"] != "" && facts["model"] != "" {
		m.CPU += fmt.Sprintf(" (family %s, model %s)", facts["cpu family"], facts["model"])
	}
	siblings, _ := strconv.Atoi(facts["siblings"])
	if cores, _ := strconv.Atoi(facts["cpu cores"]); cores > 0 {
		m.ThreadsPerCore = siblings / cores
	}
}
