package mpi

import (
	"slices"
	"strings"
	"testing"
)

func lookup(variables string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, v := range strings.Fields(variables) {
			if key, value, _ := strings.Cut(v, "="); key == name {
				return value, true
			}
		}
		return "", false
	}
}

func TestLaunched(t *testing.T) {
	for _, c := range []struct {
		variables string
		n         int
		by        string
	}{
		{"", 1, ""},
		{"OMPI_COMM_WORLD_SIZE=4 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2", 4, "OMPI_COMM_WORLD_SIZE"},
		{"PMI_SIZE=3 PMI_RANK=1", 3, "PMI_SIZE"},
		{"PMI_SIZE=many", 1, ""},
		{"SLURM_NTASKS=8 SLURM_PROCID=0", 1, ""}, // a batch script
		{"SLURM_NTASKS=8 SLURM_STEP_ID=0", 8, "SLURM_NTASKS"},
		{"SLURM_NTASKS=8 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=1", 1, "SLURM_STEP_NUM_TASKS"},
		{"PMIX_RANK=0", 0, "PMIX_RANK"},
	} {
		if n, by := launched(lookup(c.variables)); n != c.n || by.size != c.by {
			t.Errorf("%s: %d processes by %q, want %d by %q", c.variables, n, by.size, c.n, c.by)
		}
	}
}

// A process that a rank starts is alone.
func TestPlace(t *testing.T) {
	for _, variables := range []string{
		"OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=2 PMIX_RANK=2",
		"PMI_SIZE=4 PMI_RANK=2",
		"MV2_COMM_WORLD_SIZE=4 MV2_COMM_WORLD_RANK=2",
		"FLUX_JOB_SIZE=4 FLUX_TASK_RANK=2",
		"SLURM_STEP_ID=0 SLURM_NTASKS=4 SLURM_PROCID=2",
	} {
		t.Run(variables, func(t *testing.T) {
			for _, v := range strings.Fields(variables) {
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			if rank, n := Place(); rank != 2 || n != 4 {
				t.Errorf("rank %d of %d, want 2 of 4", rank, n)
			}
			if n, by := launched(lookup(strings.Join(Unlaunched(strings.Fields(variables)), " "))); n != 1 {
				t.Errorf("a process of its own is one of %d by %v", n, by)
			}
		})
	}
	if rank, n := Place(); rank != 0 || n != 1 {
		t.Errorf("alone it is rank %d of %d", rank, n)
	}
}

func TestTheLibraryIsThatOfTheLauncher(t *testing.T) {
	for variables, want := range map[string]string{
		"OMPI_COMM_WORLD_SIZE=2 PMIX_RANK=0": "libmpi.so.40",
		"PMIX_RANK=0":                        "libmpi.so.40",
		"PMI_SIZE=2":                         "libmpi.so.12",
		"SLURM_STEP_ID=0":                    "libmpi.so.12",
	} {
		names := libraries(lookup(variables))
		if names[0] != want || !slices.Contains(names, "libmpi_abi.so.0") || len(names) != 6 {
			t.Errorf("%s: %v, want %s first", variables, names, want)
		}
	}
}

func TestABIOf(t *testing.T) {
	none := func(string) (uintptr, bool) { return 0, false }
	open := func(name string) (uintptr, bool) { return uintptr(len(name)), strings.HasPrefix(name, "ompi_mpi_") }
	part := func(name string) (uintptr, bool) { return 8, name == "ompi_mpi_comm_world" }
	for _, c := range []struct {
		file    string
		symbol  func(string) (uintptr, bool)
		version string
		want    abi
		ok      bool
	}{
		{"libmpi_abi.so.0", none, "MPICH Version: 5.0", standardABI, true},
		{"libmpi.so.12", none, "Intel(R) MPI Library 2021.9", mpichABI, true},
		{"libmpi.so.12", none, "MPI VERSION : CRAY MPICH version 8.1", mpichABI, true},
		{"libmpi.so", open, "Open MPI v5", abi{world: 19, float: 14, double: 15, byte: 13, sum: 15, inPlace: 1, funneled: 1}, true},
		{"libmpi.so.40", part, "Open MPI v5", abi{}, false},
		{"libmpi.so", none, "Other MPI", abi{}, false},
	} {
		if got, ok := abiOf(c.file, c.symbol, c.version); got != c.want || ok != c.ok {
			t.Errorf("%s, %s: %+v, %t, want %+v", c.file, c.version, got, ok, c.want)
		}
	}
}
