#!/bin/bash
# A cluster of two or more machines that have finegrid[ray], by hand:
#
#     ./by-hand.sh head            on the machine that has the study
#     ./by-hand.sh join HOST       on every other machine; HOST is the first one's name or address
#     finegrid run DIR --on ray    on the first machine
#     ./by-hand.sh stop            on every machine, when all is done
#
# Ray has no passwords: let nobody else reach its ports.
set -euo pipefail
export RAY_USAGE_STATS_ENABLED=0
port=${RAY_PORT:-6379}

case ${1:-} in
head) exec ray start --head --port="$port" --include-dashboard=false ;;
join) exec ray start --address="${2:?usage: by-hand.sh join HOST}:$port" ;;
stop) exec ray stop ;;
*)
    echo "usage: by-hand.sh head | join HOST | stop" >&2
    exit 2
    ;;
esac
