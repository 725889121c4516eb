package run

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"cmf/solvers/mpi"
)

// Root says whether this process writes the results: rank 0 of the processes that a launcher
// started, or a process alone. The others do the same work, or share it, and then have results
// as well, but write them to a folder that goes when they end.
func (r *Run) Root() bool { return r.World.Rank() == 0 }

// Alone returns an error if a launcher started several processes of a command that has work
// for one only.
func Alone(name string) error {
	if n, by := mpi.Launched(); n != 1 {
		return fmt.Errorf("a launcher started several processes of this command (%s), and %s has work for one only: start it without mpirun or srun", by, name)
	}
	return nil
}

// join joins the ranks of the run, if there may be several. Ranks after the first say nothing.
func (r *Run) join(name string, shared bool, out io.Writer) (err error) {
	if !shared {
		r.Out = out
		return Alone(name)
	}
	if r.World, err = mpi.Join(); err != nil {
		return err
	}
	if r.Out = out; !r.Root() {
		r.Out = nil
	}
	return nil
}

// openScratch opens the folder of a rank that does not write the results.
func (r *Run) openScratch() (remove func() error, err error) {
	if r.Folder, err = os.MkdirTemp("", "cmf-rank-*"); err != nil {
		return nil, err
	}
	return func() error { return os.RemoveAll(r.Folder) }, nil
}

// cores is the number of threads of this process if no variable says it: its share of the
// cores that it may use, where others of the run may use the same ones.
func (r *Run) cores() int {
	n := runtime.NumCPU()
	if r.World.Size() == 1 {
		return n
	}
	host, _ := os.Hostname()
	status, _ := os.ReadFile("/proc/self/status") // it has the cores to which the launcher bound us
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cpus_allowed_list:") {
			host += line
		}
	}
	all, sharing := r.World.Fingerprints([]byte(host)), 0
	for _, v := range all {
		if v == all[r.World.Rank()] {
			sharing++
		}
	}
	return max(1, n/sharing)
}

// deserted says whether the run waits for a rank that no longer comes. Slurm lets the ranks
// that one has left wait for half a minute after their signal.
func (r *Run) deserted() bool { return r.World.Waiting() > 5*time.Second }

// letRootSpeak lets rank 0 say first what may be wrong on all, and write what it has: it then
// ends the other ranks.
func letRootSpeak() {
	if w, err := mpi.Join(); err == nil && w.Rank() > 0 {
		time.Sleep(3 * time.Second)
	}
}

// end ends the process after the run, with its exit status. Ranks end together: a failure or a
// signal ends all at once.
func end(status int) {
	w, err := mpi.Join()
	switch {
	case err != nil:
	case status == 0:
		w.Finalize()
	default:
		w.Abort(status)
	}
	if status != 0 {
		os.Exit(status)
	}
}
