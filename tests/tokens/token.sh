#!/usr/bin/env bash
# Starts and stops the tokens that the suite `tests/tokens` judges, each in a folder of its own.
#
#   token.sh start KIND FOLDER   softhsm, p11-kit, kryoptic or tpm; running it again goes on with what is there
#   token.sh kill FOLDER         its processes end as by a crash (p11-kit: the server and every connection of it)
#   token.sh stop FOLDER         its processes end; run it before the folder is removed
#
# `start` writes FOLDER/env, lines NAME=VALUE without quotes: what the environment of a program must hold, and
#   SIGILL_MODULE   the module that programs load
#   SIGILL_MAKER    the module that tokens are made with, where that is another
# p11-kit serves the tokens of SOFTHSM2_CONF, if that is set, else SoftHSM's of the folder, and writes what it is
# asked into SIGILL_TOKEN_SPY, if that is set (OpenSC's pkcs11-spy).
# Exit codes: 0 done, 1 it did not start (why is on standard error), 2 wrong use, 3 something is not installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin

die() {
  printf 'error: %s\n' "$1" >&2
  exit "${2:-1}"
}

# The first of these files that is there.
first_file() {
  local file
  for file in "$@"; do
    [ -f "$file" ] && printf '%s\n' "$file" && return
  done
  return 1
}

softhsm_module() {
  first_file /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so || die "softhsm2 is not installed" 3
}

need() {
  command -v "$1" >/dev/null || die "$2 is not installed" 3
}

# Whether the process that FOLDER/NAME.pid names is the one that this script started.
runs() {
  local pid
  pid=$(cat "$folder/$1.pid" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ ]] && grep -qzxF "SIGILL_TOKEN_FOLDER=$folder" "/proc/$pid/environ" 2>/dev/null
}

# launch NAME COMMAND...: in a process group of its own, so that what it starts can be ended with it. The process
# writes its own id before it becomes the program.
launch() {
  local name=$1
  shift
  (
    exec </dev/null >>"$folder/$name.log" 2>&1
    export SIGILL_TOKEN_FOLDER=$folder
    # shellcheck disable=SC2016 # the inner shell's
    exec setsid bash -c 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"' "$folder/$name.pid" "$@"
  ) &
  disown
  within 60 test -e "$folder/$name.pid" || die "$name did not start: $(tail -n 5 "$folder/$name.log")"
}

# within SECONDS COMMAND...: until it succeeds.
within() {
  local limit=$((SECONDS + $1))
  shift
  until "$@" 2>/dev/null; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 0.05
  done
}

# end SIGNAL NAME: the process and all that it started, by the group that `launch` gave it.
end() {
  local pid
  if runs "$2"; then
    pid=$(cat "$folder/$2.pid")
    kill "-$1" -- "-$pid" 2>/dev/null || true
    within 10 gone "$pid" || kill -KILL -- "-$pid" 2>/dev/null || true
  fi
  rm -f "$folder/$2.pid"
}

gone() { ! kill -0 -- "-$1" 2>/dev/null; }

free_port() {
  local port
  while :; do
    # swtpm takes the next one too.
    port=$((20000 + RANDOM % 6000 * 2))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || (exec 3<>"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null || break
  done
  printf '%s\n' "$port"
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

env_file() { printf '%s\n' "$@" >"$folder/env"; }

softhsm_folder() {
  mkdir -p "$folder/tokens"
  printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n' \
    "$folder/tokens" >"$folder/softhsm2.conf"
}

start_softhsm() {
  local module
  module=$(softhsm_module)
  softhsm_folder
  env_file "SIGILL_MODULE=$module" "SIGILL_MAKER=$module" "SOFTHSM2_CONF=$folder/softhsm2.conf"
}

# The loss of a network HSM is the death of this server.
start_p11_kit() {
  local maker client provider conf=${SOFTHSM2_CONF-}
  maker=$(softhsm_module)
  need p11-kit p11-kit
  client=$(first_file /usr/lib/*/pkcs11/p11-kit-client.so /usr/lib/pkcs11/p11-kit-client.so) || die "p11-kit-modules is not installed" 3
  if [ -z "$conf" ]; then
    softhsm_folder
    conf=$folder/softhsm2.conf
  fi
  provider=$maker
  if [ -n "${SIGILL_TOKEN_SPY-}" ]; then
    provider=$(first_file /usr/lib/*/pkcs11-spy.so /usr/lib/*/pkcs11/pkcs11-spy.so) || die "opensc-pkcs11 is not installed" 3
  fi
  if ! runs server; then
    rm -f "$folder/p11.sock"
    launch server env SOFTHSM2_CONF="$conf" PKCS11SPY="$maker" PKCS11SPY_OUTPUT="${SIGILL_TOKEN_SPY-}" \
      p11-kit server --foreground --name "$folder/p11.sock" --provider "$provider" pkcs11:
    within 60 test -S "$folder/p11.sock" || die "p11-kit server did not start: $(tail -n 5 "$folder/server.log")"
  fi
  env_file "SIGILL_MODULE=$client" "SIGILL_MAKER=$maker" "SOFTHSM2_CONF=$conf" \
    "P11_KIT_SERVER_ADDRESS=unix:path=$folder/p11.sock"
}

start_kryoptic() {
  local module slot
  module=$("$here/kryoptic.sh" --cached) || die "Kryoptic was not built: tests/tokens/kryoptic.sh builds it" 3
  for slot in 1 2 3 4 5 6; do
    printf '[[slots]]\nslot = %s\ndbtype = "sqlite"\ndbargs = "%s"\n' "$slot" "$folder/token-$slot.sql"
  done >"$folder/kryoptic.conf"
  env_file "SIGILL_MODULE=$module" "SIGILL_MAKER=$module" "KRYOPTIC_CONF=$folder/kryoptic.conf"
}

# A TPM takes one connection at a time: the resource manager is what several programs connect to, over a D-Bus of
# its own.
start_tpm() {
  local module port bus
  need swtpm swtpm
  need tpm2-abrmd tpm2-abrmd
  need dbus-daemon dbus-daemon
  module=$(first_file /usr/lib/*/pkcs11/libtpm2_pkcs11.so /usr/lib/*/libtpm2_pkcs11.so.1) || die "libtpm2-pkcs11-1 is not installed" 3
  mkdir -p "$folder/tpm" "$folder/store"
  if ! runs tpm; then
    end KILL manager
    port=$(free_port)
    echo "$port" >"$folder/tpm.port"
    launch tpm swtpm socket --tpm2 --tpmstate "dir=$folder/tpm" --server "type=tcp,port=$port" \
      --ctrl "type=tcp,port=$((port + 1))" --flags not-need-init,startup-clear
    within 60 port_open "$((port + 1))" || die "swtpm did not start: $(tail -n 5 "$folder/tpm.log")"
  fi
  bus=unix:path=$folder/bus
  if ! runs bus; then
    rm -f "$folder/bus"
    launch bus dbus-daemon --session --nofork --nopidfile --address="$bus"
    within 60 test -S "$folder/bus" || die "dbus-daemon did not start: $(tail -n 5 "$folder/bus.log")"
  fi
  if ! runs manager; then
    launch manager env DBUS_SESSION_BUS_ADDRESS="$bus" tpm2-abrmd --session --allow-root \
      --tcti="swtpm:host=127.0.0.1,port=$(cat "$folder/tpm.port")"
    within 60 owns_name "$bus" || die "tpm2-abrmd did not start: $(tail -n 5 "$folder/manager.log")"
  fi
  env_file "SIGILL_MODULE=$module" "SIGILL_MAKER=$module" "TPM2_PKCS11_STORE=$folder/store" \
    "DBUS_SESSION_BUS_ADDRESS=$bus" "TPM2_PKCS11_TCTI=tabrmd:bus_type=session" "TPM2_PKCS11_BACKEND=esysdb"
}

owns_name() {
  DBUS_SESSION_BUS_ADDRESS=$1 dbus-send --session --print-reply --dest=org.freedesktop.DBus / \
    org.freedesktop.DBus.GetNameOwner string:com.intel.tss2.Tabrmd >/dev/null
}

processes=(manager bus tpm server)

[ $# -ge 2 ] || die "usage: token.sh start KIND FOLDER | kill FOLDER | stop FOLDER" 2
verb=$1
folder=$(realpath -m -- "${*: -1}")
case $verb in
  start)
    mkdir -p -m 700 "$folder"
    case $2 in
      softhsm | p11-kit | kryoptic | tpm) "start_${2//-/_}" ;;
      *) die "$2 is no kind of token: softhsm, p11-kit, kryoptic, tpm" 2 ;;
    esac
    ;;
  kill) for name in "${processes[@]}"; do end KILL "$name"; done ;;
  stop) for name in "${processes[@]}"; do end TERM "$name"; done ;;
  *) die "$verb is no verb: start, kill, stop" 2 ;;
esac
