#!/usr/bin/env bash
# Does the steps of a container file in a fresh Debian 12 root, without a container engine, and runs the product in it.
#
#   sudo deploy/try_in_root.sh                                  makes what is missing: wheelhouse, bundle, images
#   sudo MODEL=models/screw IMAGES=parts/ deploy/try_in_root.sh  with your own bundle and images
#
# Needs root, mmdebstrap (apt install mmdebstrap), `make env`, and a network for Debian's packages and the wheelhouse; it says
# first which of them is missing. Steps that the container file marks --network=none, and
# the product itself, get a network namespace of their own, which has no interface that is up.
# BASE names a tar of a Debian root to start from instead of a new one. Lines `measured:` hold seconds and bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-.venv/bin/python}
PROGRAM=$(dirname "$PYTHON")/dmdd-edge
WORK=${WORK:-build/try_in_root}
FILE=${FILE:-deploy/cpu.Dockerfile}
TARGET=${TARGET:-cpu-x86}
BASE=${BASE:-$WORK/base.tar}
RUN_AS=dmdd-edge

say() { echo "== $*"; }
measured() { echo "measured: $1 $2"; }
size() { du -s --apparent-size --block-size=1 "$1" | cut -f1; }
since() { echo $(($(date +%s) - $1)); }

# In the root, with its own mounts and processes; the first argument is `network` or `offline`.
inside() {
    local net=() root=$2 user=$3
    [ "$1" = network ] || net=(--net)
    shift 3
    unshare --mount --pid --fork "${net[@]}" sh -c '
        mount -t proc proc "$1/proc" && root=$1 user=$2 && shift 2 && exec chroot --userspec="$user" "$root" "$@"
    ' sh "$root" "$user" env -i PATH=/opt/dmdd-edge/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/tmp LANG=C.UTF-8 OMP_NUM_THREADS="${OMP_NUM_THREADS:-}" DEBIAN_FRONTEND=noninteractive "$@" </dev/null
}

# What is missing is said before anything begins, with what to do.
missing=()
[ "$(id -u)" = 0 ] || missing+=("Run it as root (sudo $0): it changes the root folder of processes.")
[ -x "$PYTHON" ] && [ -x "$PROGRAM" ] ||
    missing+=("Make the environment (make env), or name a Python that has dmdd-edge: PYTHON=FILE.")
[ -e "$BASE" ] || command -v mmdebstrap >/dev/null ||
    missing+=("Install mmdebstrap (apt install mmdebstrap), or name a tar of a Debian 12 root: BASE=FILE.")
command -v unshare >/dev/null || missing+=("Install unshare (apt install util-linux).")
[ -n "${MODEL:-}" ] && [ -z "${IMAGES:-}" ] && missing+=("Name images for the bundle: IMAGES=FOLDER.")
[ -z "${MODEL:-}" ] || [ -d "$MODEL" ] || missing+=("MODEL=$MODEL is not a folder; name that of a bundle.")
[ -z "${IMAGES:-}" ] || [ -d "$IMAGES" ] || missing+=("IMAGES=$IMAGES is not a folder; name one of images.")
if [ ${#missing[@]} -gt 0 ]; then
    printf '%s\n' "$0 cannot run yet:" "${missing[@]/#/- }" >&2
    exit 1
fi

mkdir -p "$WORK"
if [ ! -e "$BASE" ]; then
    say "a Debian 12 root, as debian:bookworm-slim has it"
    began=$(date +%s)
    mmdebstrap --quiet --variant=minbase bookworm "$BASE"
    measured base_seconds "$(since "$began")"
fi
[ -e "build/wheelhouse/$TARGET/requirements.txt" ] || "$PYTHON" deploy/wheelhouse.py "$TARGET"

if [ -z "${MODEL:-}" ]; then
    say "a bundle of the drawn plates, trained for a few steps: it runs, and is not for use"
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
    "$PROGRAM" sample "$WORK/data" --train 40 --overwrite
    "$PROGRAM" train --data "$WORK/data" --category plate --steps 20 --image-size 128 \
        --runs-dir "$WORK/runs" --overwrite
    "$PROGRAM" export --category plate --runs-dir "$WORK/runs" --models-dir "$WORK/models" --target onnx
    MODEL=$WORK/models/plate IMAGES=$WORK/data/plate/test
fi

last=-1
while IFS=$'\t' read -r stage kind text <&3; do
    root=$WORK/stage$stage
    if [ "$stage" != "$last" ]; then
        rm -rf "$root" && mkdir "$root" && tar -xf "$BASE" -C "$root"
        cp /etc/resolv.conf "$root/etc/resolv.conf"
        last=$stage
    fi
    say "stage $stage, $kind: $text"
    began=$(date +%s)
    read -r source target <<<"$text"
    case $kind in
    network | offline) inside "$kind" "$root" 0:0 sh -c "$text" ;;
    copy) mkdir -p "$root$target" && cp -a "$source/." "$root$target/" ;;
    stage) mkdir -p "$(dirname "$root$target")" && cp -a "$WORK/stage0$source" "$root$target" ;;
    *) echo "unknown step: $kind" >&2 && exit 1 ;;
    esac
    measured "step_seconds[$stage:$text]" "$(since "$began")"
done 3< <("$PYTHON" deploy/steps.py "$FILE" "TARGET=$TARGET")

# The image of Debian keeps no cache of apt.
rm -rf "$root/var/cache/apt/"*
mkdir -p "$root/data/models" "$root/data/images"
cp -a "$MODEL" "$root/data/models/"
cp -a "$IMAGES/." "$root/data/images/"
chown -R "$(stat -c %u:%g "$root/data")" "$root/data"

say "no network: the interfaces inside"
inside offline "$root" $RUN_AS cat /proc/net/dev
say "no compiler, no pip, not root"
for program in gcc cc make pip; do
    ! inside offline "$root" $RUN_AS sh -c "command -v $program" || { echo "$program is in the root" >&2 && exit 1; }
done
[ "$(inside offline "$root" $RUN_AS id -u)" != 0 ]

say "dmdd-edge doctor"
inside offline "$root" $RUN_AS sh -c 'cd /data && dmdd-edge doctor'
say "dmdd-edge run"
began=$(date +%s)
inside offline "$root" $RUN_AS sh -c 'cd /data && dmdd-edge run --source images --jsonl results.jsonl --save out'
measured run_seconds "$(since "$began")"
measured results "$(grep -c '"type": *"result"' "$root/data/results.jsonl")"

rm -rf "$root/data/"*
measured base_bytes "$(tar -xOf "$BASE" | wc -c)"
measured wheelhouse_bytes "$(size "build/wheelhouse/$TARGET")"
measured install_bytes "$(size "$root/opt/dmdd-edge")"
measured root_bytes "$(size "$root")"
measured image_gzip_bytes "$(tar -C "$root" -c . | gzip -1 | wc -c)"
say "done"
