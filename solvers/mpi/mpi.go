// Package mpi joins the processes of one training, its ranks, that a launcher such as
// mpirun, mpiexec or srun has started. It loads the MPI library of the launcher at run
// time, without cgo: Open MPI, one of the MPICH ABI (MPICH, Intel, Cray, MVAPICH), or one of
// the standard ABI of MPI 5. A process that no launcher has started never looks for one.
//
// Message Passing Interface Forum, "MPI: A Message-Passing Interface Standard", version 5.0,
// 2025; chapter 20 has the standard ABI.
package mpi

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"
)

// World is all processes of a run. Its calls are collective: every rank makes the same ones in
// the same order, with slices of the same length, or all wait for each other for ever. They
// return no errors, since MPI ends all processes when a call fails. One goroutine at a time
// may use it. The zero value, and nil, are one process alone, for which every call returns at
// once.
type World struct {
	rank, size int
	library    string
	calls      transport // nil for one process
	apart      bool      // see Apart
}

// transport is what the calls are made of.
type transport interface {
	sum32(x []float32)
	sum64(x []float64)
	broadcast(x []byte)
	send(x []byte, to int)
	receive(x []byte, from int)
	barrier()
	finalize()
	abort(status int)
	waiting() time.Duration
}

// Join joins the processes that a launcher has started with this one; it does so once, and
// returns the same World ever after. A launcher that started several processes, of which
// MPI knows nothing, is an error that says what to do: otherwise each of them would do the
// whole work, and all would write into one folder.
func Join() (*World, error) { return joined() }

var joined = sync.OnceValues(func() (*World, error) {
	started, by := Launched()
	if started == 1 {
		return &World{size: 1}, nil
	}
	w, err := open(started, by)
	if err != nil {
		return nil, err
	}
	if started > 1 && w.size == 1 {
		return nil, fmt.Errorf("mpi: the launcher started %d processes (%s), but %s knows of one only, because it is not the library of that launcher, or the launcher was not told to serve it. "+
			"Start by the mpirun or mpiexec of the library; under Slurm by srun --mpi=pmix or --mpi=pmi2, whichever it supports (srun --mpi=list). LD_LIBRARY_PATH chooses among libraries", started, by, w.library)
	}
	return w, nil
})

// Rank is the number of this process, from 0.
func (w *World) Rank() int {
	if w == nil {
		return 0
	}
	return w.rank
}

// Size is the number of processes: 1 within Apart.
func (w *World) Size() int {
	if w == nil || w.apart {
		return 1
	}
	return max(1, w.size)
}

// Apart runs do as if this process were alone: what do calls of this World returns at once,
// and waits for no other rank. It is for work that other ranks do not do, or not with it.
func (w *World) Apart(do func()) {
	if w.Size() == 1 {
		do()
		return
	}
	w.apart = true
	defer func() { w.apart = false }()
	do()
}

// Library is the name and version of the MPI library, empty for one process.
func (w *World) Library() string {
	if w == nil {
		return ""
	}
	return w.library
}

// Sum32 replaces x by its sum over all ranks, the same bits on each of them: it is summed on
// rank 0 and sent to the others.
func (w *World) Sum32(x []float32) {
	if w.Size() > 1 && len(x) > 0 {
		w.calls.sum32(x)
	}
}

// Sum64 is Sum32 for float64.
func (w *World) Sum64(x []float64) {
	if w.Size() > 1 && len(x) > 0 {
		w.calls.sum64(x)
	}
}

// Broadcast replaces x by that of rank 0.
func (w *World) Broadcast(x []byte) {
	if w.Size() > 1 && len(x) > 0 {
		w.calls.broadcast(x)
	}
}

// Broadcast32 is Broadcast for float32.
func (w *World) Broadcast32(x []float32) { w.Broadcast(bytesOf(x)) }

// Gather returns on rank 0 the parts of all ranks, in their order, and nil on the others.
// Parts may differ in length.
func (w *World) Gather(part []byte) (parts [][]byte) {
	if w.Size() == 1 {
		return [][]byte{part}
	}
	sizes := w.Each(float64(len(part)))
	if w.rank > 0 {
		w.calls.send(part, 0)
		return nil
	}
	parts = [][]byte{part}
	for rank := 1; rank < w.size; rank++ {
		parts = append(parts, make([]byte, int(sizes[rank])))
		w.calls.receive(parts[rank], rank)
	}
	return parts
}

// Barrier returns when all ranks have called it.
func (w *World) Barrier() {
	if w.Size() > 1 {
		w.calls.barrier()
	}
}

// Fingerprints are hashes, by rank, of what each rank gives: equal for equal contents.
func (w *World) Fingerprints(of []byte) []float64 {
	sum := sha256.Sum256(of)
	const exact = 1<<53 - 1 // float64 holds whole numbers up to here
	return w.Each(float64(binary.LittleEndian.Uint64(sum[:]) & exact))
}

// Differing lists the ranks that give something else than rank 0.
func (w *World) Differing(content []byte) (ranks []int) {
	all := w.Fingerprints(content)
	for rank, v := range all {
		if v != all[0] {
			ranks = append(ranks, rank)
		}
	}
	return ranks
}

// Each returns on all ranks the numbers v of each.
func (w *World) Each(v float64) []float64 {
	if w.Size() == 1 {
		return []float64{v}
	}
	all := make([]float64, w.Size())
	all[w.Rank()] = v
	w.Sum64(all)
	return all
}

// Waiting is how long this process has been in the call that it is in, 0 outside. A call
// that does not return waits for a rank that does not come. Any goroutine may ask.
func (w *World) Waiting() time.Duration {
	if w == nil || w.calls == nil {
		return 0
	}
	return w.calls.waiting()
}

// Finalize ends the part of MPI in this process, once all ranks have come so far.
func (w *World) Finalize() {
	if w.Size() > 1 {
		w.calls.barrier()
		w.calls.finalize()
	}
}

// Abort ends all processes at once, also from within Apart; status becomes the exit status of
// the job. For one process it only returns. Any goroutine may call it.
func (w *World) Abort(status int) {
	if w == nil || w.calls == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "mpi: rank %d of %d ends all ranks\n", w.rank, w.size)
	time.Sleep(300 * time.Millisecond) // launchers forward what ranks write, until they hear of the end
	w.calls.abort(status)
}

// bytesOf is the memory of x.
func bytesOf(x []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
}
