package mpi

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// launcher has the variables by which a launcher tells a process how many it has started, and
// which of them it is.
type launcher struct{ size, rank string }

var (
	launchers = []launcher{
		{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"}, // mpirun of Open MPI
		{"PMI_SIZE", "PMI_RANK"},                         // mpiexec of MPICH and its relatives, srun --mpi=pmi2
		{"MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"},   // MVAPICH
		{"FLUX_JOB_SIZE", "FLUX_TASK_RANK"},              // Flux
	}
	bySlurm = []launcher{{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}, {"SLURM_NTASKS", "SLURM_PROCID"}}
)

const (
	slurmStep = "SLURM_STEP_ID" // outside of srun, in a batch script, a process is alone
	pmixRank  = "PMIX_RANK"
)

// Launched is how many processes a launcher has started with this one, by the environment, and
// the variable that says so: 1 without a launcher, and 0 if one does not say. In a batch
// script of Slurm, outside srun, a process is alone, whatever the size of the job.
func Launched() (n int, variable string) {
	n, by := launched(os.LookupEnv)
	return n, by.size
}

// Place is Launched with the number of this process, from 0, in place of the variable. Unlike
// Join it needs no MPI.
func Place() (rank, n int) {
	n, by := launched(os.LookupEnv)
	rank, err := strconv.Atoi(os.Getenv(by.rank))
	if err != nil || rank < 0 {
		rank = 0
	}
	return rank, n
}

// Unlaunched is an environment without what a launcher told: for a process that a rank
// starts, and that is alone.
func Unlaunched(environ []string) []string {
	told := map[string]bool{slurmStep: true, pmixRank: true}
	for _, l := range launchers {
		told[l.size], told[l.rank] = true, true
	}
	return slices.DeleteFunc(environ, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return told[name]
	})
}

func launched(lookup func(string) (string, bool)) (n int, by launcher) {
	all := launchers
	if _, step := lookup(slurmStep); step {
		// The daemons of mpirun may be a step themselves, so those variables come first.
		all = slices.Concat(all, bySlurm)
	}
	for _, l := range all {
		text, _ := lookup(l.size)
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return n, l
		}
	}
	if _, ok := lookup(pmixRank); ok {
		return 0, launcher{pmixRank, pmixRank}
	}
	return 1, launcher{}
}

// libraries are the files of MPI libraries, those that suit the launcher first.
func libraries(lookup func(string) (string, bool)) []string {
	open, mpich := []string{"libmpi.so.40"}, []string{"libmpi.so.12", "libmpich.so.12"}
	rest := []string{"libmpi_abi.so.0", "libmpi_abi.so", "libmpi.so"}
	_, byOpen := lookup("OMPI_COMM_WORLD_SIZE")
	_, byMPICH := lookup("PMI_SIZE")
	_, byPMIx := lookup(pmixRank)
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
