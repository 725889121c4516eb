// Package mpitest starts a test's own program again as several ranks.
package mpitest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Launcher starts ranks of one kind of MPI.
type Launcher struct {
	Name      string
	command   []string
	container []string // variables by which it runs as root
}

// launchers are what distributions call the commands that start ranks.
var launchers = []Launcher{
	{Name: "Open MPI", command: []string{"mpirun.openmpi", "--oversubscribe"}, container: []string{"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"}},
	{Name: "MPICH", command: []string{"mpiexec.hydra"}},
}

// Launchers are those of this machine. A test that finds none is skipped.
func Launchers(t *testing.T) (found []Launcher) {
	t.Helper()
	for _, l := range launchers {
		if path, err := exec.LookPath(l.command[0]); err == nil {
			l.command = slices.Clone(l.command)
			l.command[0] = path
			found = append(found, l)
		}
	}
	if len(found) == 0 {
		t.Skip("no MPI is installed: looked for mpirun.openmpi and mpiexec.hydra")
	}
	return found
}

// Command is a program with arguments as n ranks, with further variables. It is killed, and
// with it the ranks, when ctx ends.
func (l Launcher) Command(ctx context.Context, n int, variables []string, program ...string) *exec.Cmd {
	words := slices.Concat(l.command, []string{"-n", strconv.Itoa(n)}, program)
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Env = slices.Concat(os.Environ(), l.container, variables)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	return c
}

// Run starts the test's own program as n ranks and returns what they print.
func (l Launcher) Run(t *testing.T, n int, variables ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := l.Command(ctx, n, variables, os.Args[0])
	var text bytes.Buffer
	c.Stdout, c.Stderr = &text, &text
	err = c.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s: %d ranks did not end within a minute:\n%s", l.Name, n, text.String())
	}
	return strings.TrimSpace(text.String()), err
}
