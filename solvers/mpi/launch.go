package mpi

import (
	"fmt"
	"os"
	"strconv"
)

// sizes are the variables by which launchers tell a process how many they have started.
var sizes = []string{
	"OMPI_COMM_WORLD_SIZE", // mpirun of Open MPI
	"PMI_SIZE",             // mpiexec of MPICH and its relatives, srun --mpi=pmi2
	"MV2_COMM_WORLD_SIZE",  // MVAPICH
	"FLUX_JOB_SIZE",        // Flux
}

// Launched is how many processes a launcher has started with this one, by the environment, and
// the variable that says so: 1 without a launcher, and 0 if one does not say. In a batch
// script of Slurm, outside srun, a process is alone, whatever the size of the job.
func Launched() (n int, variable string) { return launched(os.LookupEnv) }

func launched(lookup func(string) (string, bool)) (n int, variable string) {
	named := sizes
	if _, step := lookup("SLURM_STEP_ID"); step {
		// The daemons of mpirun may be a step themselves, so those variables come first.
		named = append(named[:len(named):len(named)], "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
	}
	for _, variable := range named {
		text, _ := lookup(variable)
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return n, variable
		}
	}
	if _, ok := lookup("PMIX_RANK"); ok {
		return 0, "PMIX_RANK"
	}
	return 1, ""
}

// libraries are the files of MPI libraries, those that suit the launcher first.
func libraries(lookup func(string) (string, bool)) []string {
	open, mpich := []string{"libmpi.so.40"}, []string{"libmpi.so.12", "libmpich.so.12"}
	rest := []string{"libmpi_abi.so.0", "libmpi_abi.so", "libmpi.so"}
	_, byOpen := lookup("OMPI_COMM_WORLD_SIZE")
	_, byMPICH := lookup("PMI_SIZE")
	_, byPMIx := lookup("PMIX_RANK")
	if !byOpen && (byMPICH || !byPMIx) {
		open, mpich = mpich, open
	}
	return append(append(open, mpich...), rest...)
}

// several is a number of processes in words, where 0 stands for an unknown one.
func several(n int) string {
	if n == 0 {
		return "several"
	}
	return fmt.Sprint(n)
}
