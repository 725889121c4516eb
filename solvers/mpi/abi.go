package mpi

import "strings"

// abi has the constants of an MPI library. A handle is a pointer in Open MPI, an int in MPICH
// and a small number of a pointer's size in the standard ABI; a uintptr is passed as each.
type abi struct {
	world, float, double, byte, sum uintptr
	inPlace                         uintptr
	funneled                        int32 // the level of threads where one thread makes all calls
}

var (
	mpichABI    = abi{world: 0x44000000, float: 0x4c00040a, double: 0x4c00080b, byte: 0x4c00010d, sum: 0x58000003, inPlace: ^uintptr(0), funneled: 1}
	standardABI = abi{world: 0x101, float: 0x210, double: 0x214, byte: 0x247, sum: 0x21, inPlace: 1, funneled: 1024}
)

// abiOf is the ABI of a library by the file that was opened, its symbols and its version.
func abiOf(file string, symbol func(name string) (uintptr, bool), version string) (abi, bool) {
	if strings.HasPrefix(file, "libmpi_abi.") {
		return standardABI, true
	}
	if world, ok := symbol("ompi_mpi_comm_world"); ok {
		a := abi{world: world, inPlace: 1, funneled: 1}
		for name, to := range map[string]*uintptr{
			"ompi_mpi_float": &a.float, "ompi_mpi_double": &a.double, "ompi_mpi_byte": &a.byte, "ompi_mpi_op_sum": &a.sum,
		} {
			if *to, ok = symbol(name); !ok {
				return abi{}, false
			}
		}
		return a, true
	}
	for _, name := range []string{"MPICH", "Intel(R) MPI", "MVAPICH"} {
		if strings.Contains(version, name) {
			return mpichABI, true
		}
	}
	return abi{}, false
}
