#!/usr/bin/env bash
# Lay out .venv from requirements.lock (every file checked against its hash) with this package installed
# in place. Called by make, which calls it again only when the lock or pyproject.toml has changed.
#     PYTHON=/path/to/python tools/install.sh [VENV]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}
say() { printf 'cxlib set-up: %s\n' "$*"; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

if [ -n "${PYTHON:-}" ]; then
  candidates=("$PYTHON")
else
  candidates=(python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3 python)
fi
python='' without_venv=''
for candidate in "${candidates[@]}"; do
  new_enough "$candidate" || continue
  if can_make_venv "$candidate"; then python=$candidate; break; fi
  without_venv=$candidate
done
if [ -z "$python" ] && [ -n "$without_venv" ]; then
  say "$without_venv cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 1
elif [ -z "$python" ]; then
  found=$("${candidates[0]}" --version 2>/dev/null || echo 'not a Python')
  say "Python 3.11 or newer is needed, and ${candidates[0]} is $found;" \
    "name another one: make PYTHON=/path/to/python3.12 ..." >&2
  exit 1
fi

if ! new_enough "$venv/bin/python"; then
  say "1/3 a virtual environment in $venv, from $("$python" --version) ($python)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi

# pip fetches the lock's own setuptools (what is built here is built with it, so that nothing unhashed is
# ever run) and uv; uv installs the rest in seconds. Where uv finds no way out (a mirror that only pip knows
# of), pip does the same work in minutes.
quiet=(); [ -t 1 ] || quiet=(--quiet)
by_pip() {
  "$venv/bin/python" -m pip install "${quiet[@]}" "${quiet[@]}" --disable-pip-version-check \
    --no-deps --no-build-isolation "$@"
}
by_uv() { "$venv/bin/uv" pip install "${quiet[@]}" --python "$venv/bin/python" --no-deps --no-build-isolation "$@"; }

packages=$(grep -c '^[a-z].*==' requirements.lock)
say "2/3 $packages packages of requirements.lock (300 MB to fetch the first time: about a minute)"
first=$(mktemp)
trap 'rm -f "$first"' EXIT
awk '/^[^ ]/ {keep = /^(setuptools|uv)==/} keep' requirements.lock >"$first"
by_pip --require-hashes -r "$first"
if ! by_uv --require-hashes -r requirements.lock; then
  say 'uv could not fetch them (its reason stands above); pip tries now, and takes some minutes'
  by_pip --require-hashes -r requirements.lock
fi
say "3/3 cxlib itself, in place"
by_pip --editable .
touch "$venv/.installed"
say "ready: $("$venv/bin/python" --version) in $venv"
