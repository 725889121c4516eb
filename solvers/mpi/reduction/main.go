// Command reduction measures how long ranks take to sum their gradients, by size, and prints a
// line for each:
//
//	go build -o reduction ./solvers/mpi/reduction && mpirun -n 2 ./reduction
package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"cmf/solvers/mpi"
)

func main() {
	w, err := mpi.Join()
	if err != nil {
		fmt.Fprintln(os.Stderr, "reduction:", err)
		os.Exit(1)
	}
	if w.Rank() == 0 {
		fmt.Printf("%d ranks, %s\n%10s %12s %12s %10s\n", w.Size(), w.Library(), "bytes", "median ms", "slowest ms", "MB/s")
	}
	for bytes := 1000; bytes <= 100_000_000; bytes *= 10 {
		x := make([]float32, bytes/4)
		times := make([]float64, max(5, min(200, 20_000_000/bytes)))
		w.Sum32(x) // the first one makes connections
		for k := range times {
			w.Barrier()
			start := time.Now()
			w.Sum32(x)
			times[k] = time.Since(start).Seconds()
		}
		if slices.Sort(times); w.Rank() == 0 {
			median := times[len(times)/2]
			fmt.Printf("%10d %12.3f %12.3f %10.0f\n", bytes, 1e3*median, 1e3*times[len(times)-1], float64(bytes)/median/1e6)
		}
	}
	w.Finalize()
}
