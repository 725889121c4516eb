//go:build unix

package mpi_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cmf/solvers/mpi"
	"cmf/solvers/mpi/mpitest"
)

// roles are what this program does as a rank.
var roles = map[string]func(w *mpi.World) error{
	"collectives": collectives,
	"nil pointer": func(w *mpi.World) error {
		defer func() { fmt.Println("recovered", recover() != nil) }()
		var p *int
		fmt.Println(*p)
		return nil
	},
	"fails": func(w *mpi.World) error {
		if w.Rank() == 1 {
			fmt.Println("rank 1 goes wrong")
			w.Abort(3)
		}
		w.Barrier() // which rank 1 never reaches
		return errors.New("the barrier let us pass")
	},
	"late": func(w *mpi.World) error {
		before := w.Waiting()
		if w.Rank() == 1 {
			time.Sleep(time.Second)
		}
		var during atomic.Int64
		go func() {
			time.Sleep(500 * time.Millisecond)
			during.Store(int64(w.Waiting()))
		}()
		w.Barrier()
		if w.Rank() == 0 {
			fmt.Println("waited", before == 0 && during.Load() > 0 && w.Waiting() == 0)
		}
		return nil
	},
	"killed": func(w *mpi.World) error {
		if w.Rank() == 1 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		w.Barrier()
		return errors.New("the barrier let us pass")
	},
	"alone": func(w *mpi.World) error {
		fmt.Println("size", w.Size(), w.Library())
		return nil
	},
}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv("ROLE")]
	if !ok {
		os.Exit(m.Run())
	}
	w, err := mpi.Join()
	if err == nil {
		err = role(w)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	w.Finalize()
}

// collectives makes every call, and says what came out wrong.
func collectives(w *mpi.World) error {
	n, rank := w.Size(), w.Rank()
	var sum32 []float32
	var sum64 []float64
	var want, sent []float64
	for k := range 3000 {
		sum32 = append(sum32, float32(k+rank))
		sum64 = append(sum64, float64(k*rank)/8)
		want = append(want, float64(n*k+n*(n-1)/2))
		sent = append(sent, float64(k*n*(n-1)/2)/8)
	}
	w.Sum32(sum32)
	w.Sum64(sum64)
	for k := range want {
		if float64(sum32[k]) != want[k] || sum64[k] != sent[k] {
			return fmt.Errorf("sums at %d: %g and %g, want %g and %g", k, sum32[k], sum64[k], want[k], sent[k])
		}
	}
	// Sums whose order shows in their bits have the same ones everywhere.
	odd := []float32{.1, 1e8, -1e8, float32(rank) * .3}
	odd = slices.Repeat(odd, 1+rank)[:4]
	odd[0] += float32(rank) * 1e7
	w.Sum32(odd)
	if differing := w.Differing(fmt.Append(nil, odd)); differing != nil {
		return fmt.Errorf("ranks %v have other sums", differing)
	}
	text, numbers := []byte("rank 0"), []float32{1.5, 2.5}
	if rank > 0 {
		text, numbers = make([]byte, len(text)), make([]float32, 2)
	}
	w.Broadcast(text)
	w.Broadcast32(numbers)
	if string(text) != "rank 0" || numbers[0] != 1.5 || numbers[1] != 2.5 {
		return fmt.Errorf("broadcast %q and %g", text, numbers)
	}
	parts := w.Gather(bytes.Repeat([]byte{byte(rank)}, 100*rank))
	if (rank == 0) != (len(parts) == n) {
		return fmt.Errorf("rank %d gathered %d parts", rank, len(parts))
	}
	for k, part := range parts {
		if !bytes.Equal(part, bytes.Repeat([]byte{byte(k)}, 100*k)) {
			return fmt.Errorf("the part of rank %d is %d", k, part)
		}
	}
	if differing := w.Differing([]byte{byte(rank % 2)}); len(differing) != n/2 || n > 1 && differing[0] != 1 {
		return fmt.Errorf("ranks %v differ", differing)
	}
	if err := apart(w); err != nil {
		return err
	}
	w.Barrier()
	if rank == 0 {
		fmt.Println("all", n)
	}
	return nil
}

// apart makes every call on one rank, which waits for no other.
func apart(w *mpi.World) (err error) {
	if w.Rank() != w.Size()-1 {
		return nil
	}
	w.Apart(func() {
		sum, part := []float64{3}, []byte("mine")
		w.Apart(func() { w.Sum64(sum) })
		w.Broadcast(part)
		w.Barrier()
		all := w.Gather(part)
		if w.Size() != 1 || sum[0] != 3 || len(all) != 1 || string(all[0]) != "mine" || w.Differing(part) != nil {
			err = fmt.Errorf("apart, rank %d of %d has the sum %g, and gathered %q", w.Rank(), w.Size(), sum, all)
		}
	})
	return err
}

func TestCollectives(t *testing.T) {
	for _, l := range mpitest.Launchers(t) {
		for _, n := range []int{2, 3} {
			out, err := l.Run(t, n, "ROLE=collectives")
			if want := fmt.Sprint("all ", n); err != nil || !strings.Contains(out, want) {
				t.Errorf("%s: %v: %s", l.Name, err, out)
			}
		}
	}
	if err := collectives(nil); err != nil {
		t.Errorf("nil: %v", err)
	}
	if err := collectives(new(mpi.World)); err != nil {
		t.Errorf("one process: %v", err)
	}
}

// Go finds nil pointers by a signal that libraries like to take.
func TestPanicsAreThoseOfGo(t *testing.T) {
	for _, l := range mpitest.Launchers(t) {
		if out, err := l.Run(t, 2, "ROLE=nil pointer"); err != nil || strings.Count(out, "recovered true") != 2 {
			t.Errorf("%s: %v: %s", l.Name, err, out)
		}
	}
}

func TestWaiting(t *testing.T) {
	for _, l := range mpitest.Launchers(t) {
		if out, err := l.Run(t, 2, "ROLE=late"); err != nil || !strings.Contains(out, "waited true") {
			t.Errorf("%s: %v: %s", l.Name, err, out)
		}
	}
}

func TestOneRankEndsAll(t *testing.T) {
	for _, l := range mpitest.Launchers(t) {
		for role, say := range map[string]string{"fails": "mpi: rank 1 of 3 ends all ranks", "killed": ""} {
			start := time.Now()
			out, err := l.Run(t, 3, "ROLE="+role)
			if err == nil || strings.Contains(out, "let us pass") || !strings.Contains(out, say) {
				t.Errorf("%s, %s: %v: %s", l.Name, role, err, out)
			}
			t.Logf("%s, %s: ended after %v", l.Name, role, time.Since(start).Round(time.Millisecond))
		}
	}
}

// A process that a launcher says it started with others, and of which MPI knows nothing, must
// not do the work of all. One rank alone does not load MPI.
func TestProcessesWithoutMPIAreRefused(t *testing.T) {
	for _, l := range mpitest.Launchers(t) {
		if out, err := l.Run(t, 1, "ROLE=alone"); err != nil || out != "size 1" {
			t.Errorf("%s: one rank: %v: %s", l.Name, err, out)
		}
	}
	for _, c := range []struct{ variables, say string }{
		{"OMPI_COMM_WORLD_SIZE=4", "started 4 processes (OMPI_COMM_WORLD_SIZE), but Open MPI v"},
		{"PMI_SIZE=2", "started 2 processes (PMI_SIZE), but MPICH"},
		{"SLURM_STEP_ID=0 SLURM_NTASKS=8", "started 8 processes (SLURM_NTASKS), but MPICH"},
	} {
		command := exec.Command(os.Args[0])
		command.Env = append(append(os.Environ(), "ROLE=alone"), strings.Fields(c.variables)...)
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.say) && !strings.Contains(string(out), "no MPI library was found") {
			t.Errorf("%s: %v: %s", c.variables, err, out)
		}
	}
}
