#!/usr/bin/env bash
# Images a second of training in several processes: `bash benches/processes.sh TRAIN [ROUNDS] [ARGUMENTS ...]`.
#
# TRAIN is the program, built with the feature `mpi`; the arguments go to each run, `--data-dir` for one. In each round
# every row is measured once: the median over the logged steps of a run of 30, the first 10 left out.
set -euo pipefail

train=$(realpath "$1")
rounds=${2:-3}
shift $(($# < 2 ? $# : 2))
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Open MPI refuses to run as root, and on fewer cores than processes, unless it is told twice.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1

measure() {
    local processes=$1 threads=$2
    shift 2
    rm -rf "$scratch/run"
    mpirun --bind-to none -n "$processes" "$train" --threads "$threads" --run-dir "$scratch/run" \
        --set length.steps=30 --set log.every=5 --set eval.every.steps=1000000 "$@" > "$scratch/said" 2>&1 ||
        { cat "$scratch/said" >&2; exit 1; }
    grep '"event":"step"' "$scratch/run/journal.jsonl" | tail -n +3 |
        sed 's/.*"images_per_second":\([0-9.]*\).*/\1/' | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

rows=("1 1" "1 2" "2 1" "2 1 --set sync_bn=true" "4 1" "4 1 --set sync_bn=true")
for ((round = 1; round <= rounds; round++)); do
    for row in "${rows[@]}"; do
        # shellcheck disable=SC2086
        printf '%s\t%s\n' "$row" "$(measure $row "$@")"
    done
done | awk -F'\t' '{ print; fflush() }'
