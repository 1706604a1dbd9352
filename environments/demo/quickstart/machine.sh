# The machine: messages, packages, ports, the home folder, the build. Sourced by ./quickstart.
# shellcheck shell=bash disable=SC2034,SC2153

FREE_PORTS=no
declare -A DEFAULT_PORT=([api]=18443 [public]=18080 [observe-ca]=18444 [observe-ocsp]=18081)
declare -A PORT=()
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# made by the quickstart of sigill, which takes it away again'
CHILD=''

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }

# fail MESSAGE [HINT...]: ends with 1.
fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# = 0 ] || printf 'hint: %s\n' "$@" >&2
  exit 1
}

misused() {
  printf 'error: %s\nhint: ./quickstart --help\n' "$1" >&2
  exit 2
}

# Runs a long command so that a signal ends it at once, not after it.
run() {
  "$@" 9>&- &
  CHILD=$!
  local status=0
  wait "$CHILD" || status=$?
  CHILD=''
  return "$status"
}

end_child() {
  [ -z "$CHILD" ] || kill "$CHILD" 2>/dev/null || true
  CHILD=''
}

# --- ports ----------------------------------------------------------------------------------------

is_port() { [[ $1 =~ ^[0-9]{1,5}$ ]] && [ "$1" -ge 1 ] && [ "$1" -le 65535 ]; }

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    [[ " ${PORT[*]-} " == *" $port "* ]] || port_taken "$port" || break
  done
  printf '%s\n' "$port"
}

# Ports stand in certificates: a home keeps those that it was made with.
choose_ports() {
  local place kept
  for place in api public observe-ca observe-ocsp; do
    kept=$(sed -n "s/^$place=//p" "$HOME_DIR/ports" 2>/dev/null || true)
    if [ -n "$kept" ] && [ -n "${ASKED[$place]-}" ] && [ "$kept" != "${ASKED[$place]}" ]; then
      fail "$HOME_DIR was made with --$place-port $kept, not ${ASKED[$place]}; its certificates name its ports" \
        "leave the option out, or make another PKI with --home DIR"
    fi
    if [ -n "$kept" ]; then
      PORT[$place]=$kept
    elif [ -n "${ASKED[$place]-}" ]; then
      PORT[$place]=${ASKED[$place]}
    elif [ "$FREE_PORTS" = yes ]; then
      PORT[$place]=$(free_port)
    else
      PORT[$place]=${DEFAULT_PORT[$place]}
    fi
    is_port "${PORT[$place]}" || misused "--$place-port ${PORT[$place]} is no port"
  done
  [ "$(printf '%s\n' "${PORT[@]}" | sort -u | wc -l)" = 4 ] || misused "the four ports must differ"
}

refuse_taken_ports() {
  local place owner
  for place in api observe-ca public observe-ocsp; do
    case $place in
      api | observe-ca) owner=sigill-ca ;;
      *) owner=sigill-ocsp ;;
    esac
    if ! running "$owner" && port_taken "${PORT[$place]}"; then
      fail "port ${PORT[$place]} ($place) is taken, and not by a server of $HOME_DIR; nothing was changed" \
        "if another copy runs there: ./quickstart --stop --home ITS_HOME" \
        "or choose other ports and a home of its own: ./quickstart --home DIR --base-port 28443"
    fi
  done
}

# --- the home -------------------------------------------------------------------------------------

refuse_strange_home() {
  if [ -e "$HOME_DIR" ] && [ ! -d "$HOME_DIR" ]; then
    fail "$HOME_DIR is no folder"
  fi
  if [ -d "$HOME_DIR" ] && [ ! -e "$HOME_DIR/ports" ] &&
    [ -n "$(find "$HOME_DIR" -mindepth 1 -maxdepth 1 ! -name quickstart.lock ! -name ports.new ! -name log ! -name run)" ]; then
    fail "$HOME_DIR holds something else than a demo of Sigill; nothing was changed" "--home DIR, a new folder"
  fi
}

open_home() {
  mkdir -p -- "$HOME_DIR"
  exec 9>>"$HOME_DIR/quickstart.lock"
  flock -n 9 || fail "another ./quickstart is at work in $HOME_DIR"
  mkdir -p "$HOME_DIR/log" "$HOME_DIR/run"
  local place
  for place in api public observe-ca observe-ocsp; do
    printf '%s=%s\n' "$place" "${PORT[$place]}"
  done >"$HOME_DIR/ports.new"
  mv "$HOME_DIR/ports.new" "$HOME_DIR/ports"
  export SOFTHSM2_CONF=$HOME_DIR/softhsm2.conf
}

# --- packages -------------------------------------------------------------------------------------

install_packages() {
  local missing=() pair
  local needs=(cc:build-essential openssl:openssl curl:curl softhsm2-util:softhsm2 flock:util-linux)
  [ "$MODE" != once ] || needs+=(nginx:nginx)
  for pair in "${needs[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || missing+=(ca-certificates)
  if [ ${#missing[@]} != 0 ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
      printf 'error: not installed: %s\nhint: sudo apt-get install %s\n' "${missing[*]}" "${missing[*]}" >&2
      exit 2
    fi
    say "installing ${missing[*]}"
    add_policy
    run apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive run apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
    remove_policy
  fi
  find_module
}

# Debian starts a server as soon as it is installed; a policy that says no keeps nginx from it.
add_policy() {
  [ -e "$POLICY" ] && return
  printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
  chmod 755 "$POLICY"
}

remove_policy() {
  if [ -w "$POLICY" ] && grep -qxF "$POLICY_MARK" "$POLICY"; then
    rm -f "$POLICY"
  fi
}

find_module() {
  local path
  for path in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so \
    /usr/lib64/pkcs11/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so; do
    if [ -r "$path" ]; then
      MODULE=$path # used by make_demo
      return
    fi
  done
  fail "softhsm2 is installed, but libsofthsm2.so is not where it is looked for" "/usr/lib/softhsm/libsofthsm2.so"
}

# --- the build ------------------------------------------------------------------------------------

PROGRAMS=(sigill-ceremony sigill-ca sigill-ocsp sigill sigill-verify)

# The folder of programs that this home used last, if they are all still there.
remembered_programs() {
  local folder program
  folder=$(sed -n "s/^export SIGILL_BIN='\(.*\)'\$/\1/p" "$HOME_DIR/env" 2>/dev/null | head -n 1)
  for program in "${PROGRAMS[@]}"; do
    [ -x "$folder/$program" ] || return 1
  done
  printf '%s\n' "$folder"
}

build() {
  if [ "$MODE" = start ] && [ -z "$BIN" ]; then
    BIN=$(remembered_programs) || BIN=''
  fi
  if [ -n "$BIN" ]; then
    say "using the programs in $BIN"
  else
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    if ! command -v cargo >/dev/null; then
      printf 'error: not installed: cargo, the build tool of Rust\n' >&2
      printf "hint: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal\n" >&2
      exit 2
    fi
    say "building (the first time takes minutes)"
    # The development profile shares everything with ./check and builds in half the time.
    run cargo build --locked --workspace --bins ${CARGO_PROFILE_FLAG:+"$CARGO_PROFILE_FLAG"} >&2 ||
      fail "the build failed; its own message stands above"
    local target
    target=$(cargo metadata --format-version 1 --no-deps --locked | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    BIN=$target/debug
    [ -z "$CARGO_PROFILE_FLAG" ] || BIN=$target/release
  fi
  local program
  for program in "${PROGRAMS[@]}"; do
    [ -x "$BIN/$program" ] || fail "$BIN has no program $program"
  done
}
