#!/bin/sh
# For those who come from the published THUCNews study: runs its whole grid and prints its table in its format.
#
#     cd scripts; sh auto_run_all.sh
#
# Running again resumes. Environment, all optional; without it, the embedded data set and checkpoint:
#     DATA_DIR         folder with train, dev and test files (.tsv .csv .txt .jsonl .parquet; dev, test optional)
#     PRETRAINED_PATH  checkpoint: a folder, or a hub id
#     EPOCHS           epochs of every run
#     OUT              the study folder to make; default ../auto_run_all
set -eu

# A sentence, on stderr: in English, or in Chinese where the locale says so.
tell() {
    case ${LC_ALL:-${LC_MESSAGES:-${LANG:-}}} in
    zh | zh[-_.]*) printf '%s\n' "$2" >&2 ;;
    *) printf '%s\n' "$1" >&2 ;;
    esac
}

here=$(cd "$(dirname "$0")" && pwd)
OUT=${OUT:-$here/../auto_run_all}
finegrid=$here/../.venv/bin/finegrid
[ -x "$finegrid" ] || finegrid=$(command -v finegrid) || {
    tell "finegrid is not installed. Run 'make demo' once, or 'pip install' this repository." \
        "finegrid 尚未安装。请运行一次 'make demo'，或用 'pip install' 安装本仓库。"
    exit 2
}
python=$(dirname "$finegrid")/python
[ -x "$python" ] || python=python3

# The file of a part of the data, in whichever format it is there.
file_of() {
    for ending in tsv csv txt jsonl ndjson json parquet pq; do
        if [ -f "$DATA_DIR/$1.$ending" ]; then
            printf '%s\n' "$DATA_DIR/$1.$ending"
            return
        fi
    done
}

if [ -e "$OUT/study.toml" ]; then
    tell "going on with $OUT/study.toml as it stands; for other data, checkpoint or epochs set another OUT" \
        "按现有的 $OUT/study.toml 继续；要换数据、检查点或轮数，请另设 OUT"
else
    : "${DATA_DIR:=$("$python" -c 'from finegrid.study.demo import HEADLINES; print(HEADLINES)')}"
    train=$(file_of train)
    if [ -z "$train" ]; then
        tell "no train file in $DATA_DIR. Expected train.tsv, .csv, .txt, .jsonl or .parquet" \
            "$DATA_DIR 中没有训练文件。应为 train.tsv、.csv、.txt、.jsonl 或 .parquet"
        exit 2
    fi
    set -- init --out "$OUT" --train "$train" --seeds 1 --as-published
    for part in dev test; do
        file=$(file_of "$part")
        [ -z "$file" ] || set -- "$@" "--$part" "$file"
    done
    [ -z "${PRETRAINED_PATH:-}" ] || set -- "$@" --model "$PRETRAINED_PATH"
    [ -z "${EPOCHS:-}" ] || set -- "$@" --set "training.epochs=$EPOCHS"
    "$finegrid" "$@" >&2
fi

code=0
"$finegrid" run "$OUT" >&2 || code=$?
[ "$code" -le 1 ] || exit "$code"
"$finegrid" table "$OUT" --extremes
exit "$code"
