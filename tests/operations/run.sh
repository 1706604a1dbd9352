#!/usr/bin/env bash
# Runs the commands of README.md, docs/operations and docs/profiles.md as they stand there.
#
# Every block that begins with ```sh run (and perhaps a name) is taken out of its page and run by bash -euo pipefail, a page in one shell, in
# a folder where ./.sigill is a demo that runs and ./quickstart is ours. Prints `N passed, M failed, 0 skipped`.
# SIGILL_BIN: a folder of programs to use instead of building them.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
pages=(README docs/operations/revoke docs/operations/recover docs/operations/backup-restore docs/profiles)
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

blocks() { awk '/^```sh run( |$)/ { on = 1; next } /^```$/ { on = 0 } on' "$1"; }

# The block of this name.
block() { awk -v name="$2" '$0 == "```sh run " name { on = 1; next } /^```$/ { on = 0 } on' "$1"; }

# judge NAME COMMAND...: one more line of the count.
judge() {
  local name=$1
  shift
  if "$@" >"$name.log" 2>&1; then
    echo "$name: ok"
    passed=$((passed + 1))
  else
    echo "$name: FAILED"
    tail -n 20 "$name.log"
    failed=$((failed + 1))
  fi
}

# The hourly block as somebody pastes it: into a shell without -e, with nothing set but the demo's env.
back_up() {
  bash -c '. "$1/.sigill/env" && cd "$1/.sigill-backup" && . "$2"' - "$folder" "$folder/backup.block"
}

# Run a second time, it makes a second copy, and the first stays as it was.
a_second_backup_is_one_of_its_own() {
  rm -rf .sigill-backup/backup
  back_up || return
  sleep 1.1
  back_up || return
  local copies=(.sigill-backup/backup/*/SHA256SUMS) sums
  printf '%s\n' "${copies[@]}"
  [ "${#copies[@]}" = 2 ] || return
  for sums in "${copies[@]}"; do
    (cd "${sums%/*}" && sha256sum -c SHA256SUMS) || return
  done
}

# tar stands before a pipe: what it says must not be lost there.
a_backup_without_all_secrets_fails() {
  local code=0
  mv .sigill/offline .sigill/offline.away
  back_up || code=$?
  mv .sigill/offline.away .sigill/offline
  echo "ended with $code"
  [ "$code" != 0 ]
}

modes() { (cd .sigill && stat -c '%a %n' publish/checkpoint audit/checkpoint log publish config state state/ca.sqlite pins/*); }

# The backup's umask is not that of the servers that are started after a restore.
restored_files_have_the_modes_that_they_had() { diff modes.before <(modes); }

cd "$folder" || exit
if ! ./quickstart >quickstart.log 2>&1; then
  cat quickstart.log
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
modes >modes.before
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
block "$root/docs/operations/backup-restore.md" backup >backup.block
judge restored-modes restored_files_have_the_modes_that_they_had
judge second-backup a_second_backup_is_one_of_its_own
judge failing-backup a_backup_without_all_secrets_fails
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
