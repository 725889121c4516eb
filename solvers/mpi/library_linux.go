//go:build amd64 || arm64

package mpi

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// library is an MPI library. Only one thread of the system may call it, so all calls go to one
// goroutine that stays on its thread.
type library struct {
	abi
	name  string
	calls chan call

	root  bool         // rank 0
	since atomic.Int64 // when the call began that is being made, in Unix nanoseconds; 0 for none

	address struct { // of functions
		initThread, finalize, abort, rank, size   uintptr
		reduce, broadcast, send, receive, barrier uintptr
	}
}

type call struct {
	do   func()
	done chan struct{}
}

// open opens the library, and joins the processes of which it knows.
func open(started int, by string) (*World, error) {
	// UCX, a transport, reads this when it is loaded. By default it takes the signal by which Go
	// finds nil pointers.
	if _, given := os.LookupEnv("UCX_ERROR_SIGNALS"); !given {
		if err := os.Setenv("UCX_ERROR_SIGNALS", "SIGILL,SIGBUS,SIGFPE"); err != nil {
			return nil, err
		}
	}
	l, err := load(libraries(os.LookupEnv))
	if err != nil {
		return nil, fmt.Errorf("mpi: the launcher started %s processes (%s), but %w; install the library of the launcher (Debian: libopenmpi3 or libmpich12), or name its folder in LD_LIBRARY_PATH", several(started), by, err)
	}
	go l.serve()
	return l.join()
}

// load opens the first of the named libraries that is there and whose ABI is known.
func load(names []string) (*library, error) {
	var unknown []string
	for _, name := range names {
		handle, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_GLOBAL) // its plugins look for its symbols
		if err != nil {
			continue
		}
		l, err := register(name, handle)
		if err == nil {
			return l, nil
		}
		unknown = append(unknown, err.Error())
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("no usable MPI library was found: %s", strings.Join(unknown, "; "))
	}
	return nil, fmt.Errorf("no MPI library was found; tried %s", strings.Join(names, ", "))
}

func register(file string, handle uintptr) (*library, error) {
	l := &library{calls: make(chan call)}
	var version uintptr
	for name, to := range map[string]*uintptr{
		"MPI_Init_thread": &l.address.initThread, "MPI_Finalize": &l.address.finalize, "MPI_Abort": &l.address.abort,
		"MPI_Comm_rank": &l.address.rank, "MPI_Comm_size": &l.address.size, "MPI_Get_library_version": &version,
		"MPI_Reduce": &l.address.reduce, "MPI_Bcast": &l.address.broadcast, "MPI_Barrier": &l.address.barrier,
		"MPI_Send": &l.address.send, "MPI_Recv": &l.address.receive,
	} {
		address, err := purego.Dlsym(handle, name)
		if err != nil {
			return nil, fmt.Errorf("%s lacks %s", file, name)
		}
		*to = address
	}
	text, length := make([]byte, 8192), make([]int32, 1) // MPI may be asked for its version before it begins
	purego.SyscallN(version, pointer(text), pointer(length))
	full := string(bytes.TrimRight(text, "\x00"))
	runtime.KeepAlive(length)
	symbol := func(name string) (uintptr, bool) {
		address, err := purego.Dlsym(handle, name)
		return address, err == nil
	}
	var ok bool
	if l.abi, ok = abiOf(file, symbol, full); !ok {
		return nil, fmt.Errorf("%s is an MPI library of an unknown kind, %q", file, brief(full))
	}
	l.name = brief(full)
	return l, nil
}

// brief is the version up to the first line or comma.
func brief(version string) string {
	if k := strings.IndexAny(version, "\n,"); k >= 0 {
		version = version[:k]
	}
	return strings.Join(strings.Fields(version), " ")
}

// serve makes the calls, for ever, on one thread.
func (l *library) serve() {
	runtime.LockOSThread()
	for c := range l.calls {
		l.since.Store(time.Now().UnixNano())
		c.do()
		l.since.Store(0)
		close(c.done)
	}
}

func (l *library) waiting() time.Duration {
	since := l.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

// on makes calls on the thread of MPI and waits for them.
func (l *library) on(do func()) {
	c := call{do, make(chan struct{})}
	l.calls <- c
	<-c.done
}

// call calls an MPI function. One that fails ends the program, unless MPI itself did.
func (l *library) call(function uintptr, what string, arguments ...uintptr) {
	code, _, _ := purego.SyscallN(function, arguments...)
	if int32(code) != 0 {
		fmt.Fprintf(os.Stderr, "mpi: %s failed with error %d of %s\n", what, int32(code), l.name)
		purego.SyscallN(l.address.abort, l.world, 1)
		os.Exit(1)
	}
}

func (l *library) join() (w *World, err error) {
	got := make([]int32, 3) // what C writes must not be on a stack, which may move
	provided, rank, size := &got[0], &got[1], &got[2]
	l.on(func() {
		l.call(l.address.initThread, "MPI_Init_thread", 0, 0, uintptr(l.funneled), uintptr(unsafe.Pointer(provided)))
		l.call(l.address.rank, "MPI_Comm_rank", l.world, uintptr(unsafe.Pointer(rank)))
		l.call(l.address.size, "MPI_Comm_size", l.world, uintptr(unsafe.Pointer(size)))
	})
	if *provided < l.funneled {
		return nil, fmt.Errorf("mpi: %s was built for programs of one thread, and this one has several", l.name)
	}
	runtime.KeepAlive(got)
	l.root = *rank == 0
	return &World{rank: int(*rank), size: int(*size), library: l.name, calls: l}, nil
}

const most = 1 << 28 // elements in one call, whose count is a C int

func (l *library) sum32(x []float32) { sum(l, l.float, x) }
func (l *library) sum64(x []float64) { sum(l, l.double, x) }

// sum sums on rank 0 and sends the sum to all. MPI_Allreduce would be one call, but may leave
// other bits on each rank.
func sum[T float32 | float64](l *library, dtype uintptr, x []T) {
	l.on(func() {
		for ; len(x) > 0; x = x[min(most, len(x)):] {
			n := uintptr(min(most, len(x)))
			from, to := pointer(x), uintptr(0)
			if l.root {
				from, to = l.inPlace, pointer(x)
			}
			l.call(l.address.reduce, "MPI_Reduce", from, to, n, dtype, l.sum, 0, l.world)
			l.call(l.address.broadcast, "MPI_Bcast", pointer(x), n, dtype, 0, l.world)
		}
	})
	runtime.KeepAlive(x)
}

func (l *library) broadcast(x []byte) {
	l.blocks(x, func(at, n uintptr) { l.call(l.address.broadcast, "MPI_Bcast", at, n, l.byte, 0, l.world) })
}

func (l *library) send(x []byte, to int) {
	l.blocks(x, func(at, n uintptr) { l.call(l.address.send, "MPI_Send", at, n, l.byte, uintptr(to), 0, l.world) })
}

func (l *library) receive(x []byte, from int) {
	status := make([]byte, 256) // larger than that of any library
	l.blocks(x, func(at, n uintptr) {
		l.call(l.address.receive, "MPI_Recv", at, n, l.byte, uintptr(from), 0, l.world, pointer(status))
	})
	runtime.KeepAlive(status)
}

// blocks does something with the address and length of each block of x.
func (l *library) blocks(x []byte, do func(at, n uintptr)) {
	l.on(func() {
		for rest := x; len(rest) > 0; rest = rest[min(most, len(rest)):] {
			do(pointer(rest), uintptr(min(most, len(rest))))
		}
	})
	runtime.KeepAlive(x)
}

func (l *library) barrier() { l.on(func() { l.call(l.address.barrier, "MPI_Barrier", l.world) }) }

func (l *library) finalize() { l.on(func() { l.call(l.address.finalize, "MPI_Finalize") }) }

// abort does not wait for its turn: the thread of MPI may be in a call that never returns. The
// process is about to end, so that two threads in MPI do no harm any more.
func (l *library) abort(status int) {
	time.AfterFunc(2*time.Second, func() { os.Exit(status) }) // some launchers let MPI_Abort wait
	purego.SyscallN(l.address.abort, l.world, uintptr(status))
	os.Exit(status)
}

// pointer is the address of a slice. Callers keep the slice, which is on the heap, alive.
func pointer[T any](x []T) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(x))) }
