#!/bin/sh
# Trains one model on several processes, from the folder of the module:
#
#     RANKS=8 experiments/ranks/examples/mpirun.sh toy2d
#     RANKS=8 HOSTS=hosts CMF_OUT=/shared/run experiments/ranks/examples/mpirun.sh toy2d
#
# A line of the file HOSTS is a machine with its cores, such as "node1 slots=4", for Open MPI,
# and "node1:4" for MPICH. Then bin, CMF_OUT and the data must be in a folder of all machines.
# It goes on from the checkpoint in CMF_OUT if there is one.
set -eu
experiment="${1:-toy2d}"
go build -o bin/ "./experiments/$experiment"
export CMF_OUT="${CMF_OUT:-runs/$experiment/ranks}" CMF_THREADS="${CMF_THREADS:-1}"
if [ -f "$CMF_OUT/checkpoint.safetensors" ]; then
  export CMF_RESUME="$CMF_OUT/checkpoint.safetensors"
fi
set -- -n "${RANKS:-2}"
if mpirun --version | grep -q 'Open MPI'; then
  # Other machines get only the variables that are named.
  for name in $(env | sed -n 's/^\(CMF_[A-Z0-9_]*\)=.*/\1/p'); do set -- "$@" -x "$name"; done
  if [ -n "${HOSTS:-}" ]; then set -- "$@" --hostfile "$HOSTS"; fi
elif [ -n "${HOSTS:-}" ]; then
  set -- "$@" -f "$HOSTS"
fi
exec mpirun "$@" "$PWD/bin/$experiment"
