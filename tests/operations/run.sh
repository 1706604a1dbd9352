#!/usr/bin/env bash
# Runs the commands of README.md and docs/operations as they stand there.
#
# Every block that begins with ```sh run is taken out of its page and run by bash -euo pipefail, a page in one shell, in
# a folder where ./.sigill is a demo that runs and ./quickstart is ours. Prints `N passed, M failed, 0 skipped`.
# SIGILL_BIN: a folder of programs to use instead of building them.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pages=(README docs/operations/revoke docs/operations/recover docs/operations/backup-restore)
folder=$(mktemp -d)
passed=0 failed=0

options=(--ports free)
[ -z "${SIGILL_BIN-}" ] || options+=(--bin "$SIGILL_BIN")

end() {
  "$folder/quickstart" --stop >/dev/null 2>&1
  if [ "$failed" = 0 ] && [ "$passed" != 0 ]; then
    rm -rf -- "$folder"
  else
    echo "kept $folder"
  fi
}
trap end EXIT
trap 'exit 143' INT TERM

# What the pages call ./quickstart: ours, with the same programs each time.
printf '#!/bin/sh\nexec %q %s "$@"\n' "$root/quickstart" "${options[*]@Q}" >"$folder/quickstart"
chmod +x "$folder/quickstart"

blocks() { awk '/^```sh run$/ { on = 1; next } /^```$/ { on = 0 } on' "$1"; }

cd "$folder" || exit
if ! ./quickstart >quickstart.log 2>&1; then
  cat quickstart.log
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
for page in "${pages[@]}"; do
  source=$root/$page.md page=${page##*/}
  blocks "$source" >"$page.sh"
  if ! grep -q . "$page.sh"; then
    echo "$page.md has no block to run"
    failed=$((failed + 1))
  elif bash -euo pipefail "$page.sh" >"$page.log" 2>&1; then
    echo "$page.md: ok"
    passed=$((passed + 1))
  else
    echo "$page.md: FAILED"
    bash -xeuo pipefail -n "$page.sh"
    tail -n 40 "$page.log"
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
