#!/usr/bin/env bash
# ./quickstart as its users meet it: once with nginx, twice in one home, after an operator's changes, killed at five
# points, a second copy refused; and the example portal on it.
#
# Prints `N passed, M failed, 0 skipped`. SIGILL_BIN: a folder of programs to use instead of building them.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$(mktemp -d)
passed=0 failed=0
options=(--home "$folder/home")
folder_of_ceremonies=$folder/home/ceremonies
[ -z "${SIGILL_BIN-}" ] || options+=(--bin "$SIGILL_BIN")

end() {
  "$root/quickstart" "${options[@]}" --stop >/dev/null 2>&1
  "$root/quickstart" --home "$folder/killed" --stop >/dev/null 2>&1
  if [ "$failed" = 0 ]; then rm -rf -- "$folder"; else echo "kept $folder"; fi
}
trap end EXIT
trap 'exit 143' INT TERM

quickstart() { "$root/quickstart" "${options[@]}" "$@" >"$folder/out" 2>"$folder/err"; }

# check CLAIM COMMAND...
check() {
  local claim=$1
  shift
  if "$@"; then
    echo "ok      $claim"
    passed=$((passed + 1))
  else
    echo "FAILED  $claim"
    tail -n 30 "$folder/err" "$folder/out" 2>/dev/null
    failed=$((failed + 1))
  fi
}

# The SHA-256 of every CA certificate of a home.
authorities() { (cd "$1/ceremony/out" && sha256sum ./*cav1.cer management-ca.cer); }

goes_from_nothing_to_a_judged_certificate() {
  quickstart --ports free --once && cp "$folder/err" "$folder/home/first-run" && grep -q 'nginx keeps it out' "$folder/err" && grep -q 'both receipts hold' "$folder/err"
}

# What the auditor's program says of each bundle, and what stands on the first page of its report.
holds_ceremonies_that_an_auditor_accepts() {
  local name folder
  for name in root issuing-keys issuing; do
    folder=$folder_of_ceremonies/$name
    grep -q "sigill-verify accepts the ceremony $name" "$folder_of_ceremonies/../first-run" &&
      tail -n 1 "$folder/judged.txt" | grep -q '^bundle [0-9a-f]\{64\} holds$' &&
      sed '/<\/section>/q' "$folder/report.html" | grep -q 'Nobody sat at this ceremony.*terminal (R20) was waived' || return 1
  done
  grep -q '^C1, Demo: a root' "$folder_of_ceremonies/../first-run" && grep -q 'nobody sat at it; 2 approved' "$folder_of_ceremonies/../first-run"
}

# A bundle that somebody changed stops the quickstart before anything is registered.
refuses_a_ceremony_that_does_not_hold() {
  local bundle=$folder_of_ceremonies/root/root.bundle.tar
  rm -f "$folder/home/run/imported" && cp "$bundle" "$folder/bundle" || return 1
  sed -i 's/administrator/administratos/' "$bundle"
  ! quickstart || return 1
  cp "$folder/bundle" "$bundle" && [ ! -e "$folder/home/run/imported" ] && quickstart && quickstart --stop
}

stops_what_it_started() {
  local name
  for name in sigill-ca sigill-ocsp; do
    [ ! -e "$folder/home/run/$name.pid" ] || return 1
  done
  ! pgrep -f "$folder/home/config" >/dev/null
}

resumes_with_the_same_authorities() {
  authorities "$folder/home" >"$folder/before"
  quickstart && quickstart && authorities "$folder/home" | cmp - "$folder/before" &&
    grep -q 'are running' "$folder/err"
}

refuses_a_second_copy_on_the_same_ports() {
  local port
  port=$(sed -n 's/^api=//p' "$folder/home/ports")
  ! "$root/quickstart" "${options[@]}" --home "$folder/second" --ports free --api-port "$port" >"$folder/out" 2>"$folder/err" &&
    grep -q "port $port (api) is taken" "$folder/err" && [ ! -e "$folder/second" ]
}

refuses_other_ports_in_a_home_that_has_its_own() {
  ! quickstart --api-port 1 && grep -q 'was made with --api-port' "$folder/err"
}

refuses_a_folder_that_is_something_else() {
  mkdir -p "$folder/else" && touch "$folder/else/letter"
  ! "$root/quickstart" --home "$folder/else" --ports free >"$folder/out" 2>"$folder/err" &&
    [ "$(ls "$folder/else")" = letter ]
}

says_no_secret_and_keeps_it_from_the_world() {
  local home=$folder/home pin name pid
  for pin in "$home"/pins/* "$home"/offline/pins/*; do
    [ "$(stat -c %a "$pin")" = 600 ] || return 1
    grep -rqFf "$pin" "$home/log" "$home/config" "$folder/out" "$folder/err" && return 1
    for name in sigill-ca sigill-ocsp; do
      pid=$(cat "$home/run/$name.pid")
      tr '\0' '\n' <"/proc/$pid/environ" | grep -qFf "$pin" && return 1
      tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qFf "$pin" && return 1
    done
  done
  # The test person stands in no file of the database in the clear.
  ! grep -q 191212121212 "$home"/state/*
}

# The operator's changes survive the next run; the servers are started with them.
keeps_what_an_operator_has_changed() {
  local home=$folder/home
  sed -i '/^name = "auditor"$/,/^revoke = /s/^read = true$/read = false/' "$home/config/ca.toml"
  sed -i -e '1i # ours' -e 's/^version *= 1$/version = 2/' "$home/config/profiles/function-ec.toml"
  (cd "$home" && find config -type f -name "*.toml" | sort | xargs sha256sum) >"$folder/before"
  # As install.md orders: a second run needs none of it.
  mv "$home/offline" "$folder/offline"
  quickstart || return 1
  (cd "$home" && find config -type f -name "*.toml" | sort | xargs sha256sum) | cmp - "$folder/before" &&
    [ ! -e "$home/offline" ] && [ -z "$(find "$home/state" -name 'pin-*.marker')" ] &&
    mv "$folder/offline" "$home/offline"
}

# A PIN is not refused less the second time.
asks_for_the_folder_rather_than_for_another_run() {
  local home=$folder/home
  mv "$home/ceremony/out/outputs.json" "$folder/outputs.json" && mv "$home/offline" "$folder/offline" &&
    mv "$home/ceremonies/issuing" "$folder/issuing" || return 1
  ! quickstart || return 1
  mv "$folder/outputs.json" "$home/ceremony/out/outputs.json" && mv "$folder/offline" "$home/offline" &&
    mv "$folder/issuing" "$home/ceremonies/issuing" || return 1
  grep -q 'ceremony-pin-missing.*bring the folder back' "$folder/err" && ! grep -q 'quickstart again' "$folder/err" &&
    quickstart --start
}

starts_what_does_not_run_and_leaves_the_other_alone() {
  local home=$folder/home ocsp
  ocsp=$(cat "$home/run/sigill-ocsp.pid")
  kill -KILL "$(cat "$home/run/sigill-ca.pid")"
  # Without --bin and without cargo: the home knows its programs.
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/nowhere "$root/quickstart" --home "$home" --start \
    >"$folder/out" 2>"$folder/err" || return 1
  grep -qx 'both are ready' "$folder/out" && ! grep -q 'building' "$folder/err" && running_now &&
    [ "$(cat "$home/run/sigill-ocsp.pid")" = "$ocsp" ] && kill -0 "$ocsp"
}

shows_only_what_a_failing_start_said() {
  local home=$folder/home
  "$root/quickstart" --home "$home" --stop >/dev/null 2>&1
  grep -q . "$home/log/sigill-ca.log" || return 1
  sed -i.kept 's/^profiles = /profilse = /' "$home/config/ca.toml"
  ! "$root/quickstart" "${options[@]}" --start >"$folder/out" 2>"$folder/err" || return 1
  mv "$home/config/ca.toml.kept" "$home/config/ca.toml"
  grep -q 'profilse' "$folder/err" && ! grep -q 'serving' "$folder/err" && quickstart --start
}

says_when_there_is_nothing_to_stop() {
  quickstart --stop && grep -q 'nothing of .* is running' "$folder/err" || return 1
  mkdir -p "$folder/else"
  ! "$root/quickstart" --home "$folder/else" --stop >"$folder/out" 2>"$folder/err" &&
    grep -q 'is no home' "$folder/err"
}

# nobody may see that the servers run, and may not end them.
says_whose_servers_it_may_not_stop() {
  if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null; then
    echo "skipped: needs root and setpriv"
    return 0
  fi
  chmod 711 "$folder"
  # The checkout may lie where nobody else can read.
  local copy=$folder/copy since=$SECONDS
  mkdir -p "$copy/environments" && cp "$root/quickstart" "$copy" && cp -R "$root/environments/demo" "$copy/environments" &&
    chmod -R a+rX "$copy" || return 1
  ! (cd / && setpriv --reuid=65534 --regid=65534 --clear-groups bash "$copy/quickstart" --home "$folder/home" --stop) >"$folder/out" 2>"$folder/err" &&
    grep -q 'runs as root' "$folder/err" && [ $((SECONDS - since)) -lt 10 ] && running_now
}

# What it proposes works as it stands, in a home with a space too.
proposes_commands_that_can_be_pasted() {
  local home="$folder/a home"
  ln -s "$folder/home" "$home"
  "$root/quickstart" --home "$home" --start ${SIGILL_BIN:+--bin "$SIGILL_BIN"} >/dev/null 2>&1
  (
    HERE=$root HOME_DIR=$home HOME_SHOWN=$home
    declare -A PORT=([api]=1 [public]=2 [observe-ca]=3 [observe-ocsp]=4)
    # shellcheck source=/dev/null
    . "$root/environments/demo/quickstart/servers.sh"
    summary | sed -n '/^Try next/,$p' | grep -e '/env$' -e '--stop'
  ) >"$folder/out"
  grep -qF "a\\ home/env" "$folder/out" && grep -q -- '--stop --home .*a\\ home$' "$folder/out" &&
    grep -qF "$0 --stop" "$folder/out"
}

stops_on_request() { quickstart --stop && stops_what_it_started; }

# As tests and service managers use it: it stays, and SIGTERM ends it and its servers.
stays_in_the_foreground_until_it_is_ended() {
  : >"$folder/err"
  "$root/quickstart" "${options[@]}" --foreground >"$folder/out" 2>"$folder/err" &
  local process=$! tries
  for ((tries = 0; tries < 600; tries++)); do
    grep -q 'serving; Ctrl-C' "$folder/err" && break
    sleep 0.2
  done
  grep -q 'serving; Ctrl-C' "$folder/err" && running_now || return 1
  kill "$process"
  wait "$process"
  stops_what_it_started
}

running_now() { pgrep -f "$folder/home/config/ca.toml" >/dev/null; }

# Kills a quickstart, and all that it waits for, as soon as it says what matches.
killed_at() {
  : >"$folder/err"
  setsid "$root/quickstart" "${options[@]}" --home "$folder/killed" --ports free >"$folder/out" 2>"$folder/err" &
  local group=$! tries
  for ((tries = 0; tries < 30000; tries++)); do
    grep -q "$1" "$folder/err" && break
    kill -0 "$group" 2>/dev/null || break
    sleep 0.02
  done
  sleep "${2-0}"
  kill -KILL -- "-$group" 2>/dev/null
  wait "$group" 2>/dev/null
  grep -q "$1" "$folder/err"
}

stop_killed() { "$root/quickstart" --home "$folder/killed" --stop >/dev/null 2>&1; }

# Registering takes less time than the look that sees it may: the responder can run by then, and would not be started
# by the next one.
completes_after_five_kills() {
  killed_at 'making keys' 0.5 && killed_at 'registering' && stop_killed && killed_at 'starting sigill-ocsp' 0.3 &&
    stop_killed && killed_at 'starting sigill-ca' 1 && killed_at 'revoking it' || return 1
  local before
  before=$(authorities "$folder/killed")
  "$root/quickstart" "${options[@]}" --home "$folder/killed" >"$folder/out" 2>"$folder/err" &&
    [ "$(authorities "$folder/killed")" = "$before" ]
}

# As ./quickstart finds its own: a port that no connection outwards is given.
free_address() {
  (
    # shellcheck source=/dev/null
    . "$root/environments/demo/quickstart/machine.sh"
    # shellcheck disable=SC2034
    PORT=([taken]=${1-0})
    printf '127.0.0.1:%s\n' "$(free_port)"
  )
}

# Twice: what was made once is there. The programs are those that the home was made with.
prepares_a_home_for_the_portal() {
  local home=$folder/killed
  portal=$(free_address)
  reader=$(free_address "${portal##*:}")
  "$root/examples/portal/prepare" --home "$home" --portal "$portal" --reader "$reader" >"$folder/out" 2>"$folder/err" || return 1
  sha256sum "$home/portal/"*.pem "$home/config/ca.toml" >"$folder/before"
  "$root/examples/portal/prepare" --home "$home" --portal "$portal" --reader "$reader" >"$folder/out" 2>"$folder/err" || return 1
  sha256sum "$home/portal/"*.pem "$home/config/ca.toml" | cmp - "$folder/before" && ! grep -q '^direct' "$home/config/ca.toml"
}

orders_and_revokes_through_a_portal_that_is_killed_at_each_step() {
  local programs
  programs=$(sed -n "s/^export SIGILL_BIN='\(.*\)'\$/\1/p" "$folder/killed/env")
  python3 -B "$root/tests/quickstart/portal.py" "$folder/killed" "$programs" "$portal" "$reader" >"$folder/out" 2>"$folder/err"
}

check "goes from nothing to a certificate that OpenSSL and nginx judge" goes_from_nothing_to_a_judged_certificate
check "holds ceremonies that an auditor accepts" holds_ceremonies_that_an_auditor_accepts
check "refuses a ceremony that does not hold" refuses_a_ceremony_that_does_not_hold
check "stops what it started" stops_what_it_started
check "resumes with the same authorities" resumes_with_the_same_authorities
check "refuses a second copy on the same ports, before anything is changed" refuses_a_second_copy_on_the_same_ports
check "refuses other ports in a home that has its own" refuses_other_ports_in_a_home_that_has_its_own
check "refuses a folder that is something else" refuses_a_folder_that_is_something_else
check "says no secret and keeps it from the world" says_no_secret_and_keeps_it_from_the_world
check "keeps what an operator has changed" keeps_what_an_operator_has_changed
check "asks for the folder rather than for another run" asks_for_the_folder_rather_than_for_another_run
check "starts what does not run and leaves the other alone" starts_what_does_not_run_and_leaves_the_other_alone
check "shows only what a failing start said" shows_only_what_a_failing_start_said
check "says whose servers it may not stop" says_whose_servers_it_may_not_stop
check "proposes commands that can be pasted" proposes_commands_that_can_be_pasted
check "stops on request" stops_on_request
check "says when there is nothing to stop" says_when_there_is_nothing_to_stop
check "stays in the foreground until it is ended" stays_in_the_foreground_until_it_is_ended
check "completes after five kills" completes_after_five_kills
check "prepares a home for the example portal" prepares_a_home_for_the_portal
check "orders and revokes through a portal that is killed at each step" orders_and_revokes_through_a_portal_that_is_killed_at_each_step
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
