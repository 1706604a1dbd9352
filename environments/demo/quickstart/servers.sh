# The PKI and its two servers: bootstrap, start, wait, stop. Sourced by ./quickstart.
# shellcheck shell=bash disable=SC2034,SC2153

ROOT_CA=sigilltesteidrootcav1
SERVERS=(sigill-ca sigill-ocsp)
STARTED=()

configuration() {
  case $1 in
    sigill-ca) printf '%s\n' "$HOME_DIR/config/ca.toml" ;;
    sigill-ocsp) printf '%s\n' "$HOME_DIR/config/ocsp.toml" ;;
  esac
}

# Whether the server NAME of this home runs; its pid is then in PID. A pid file alone proves nothing: the
# process must have been started with this home's configuration.
running() {
  PID=$(cat "$HOME_DIR/run/$1.pid" 2>/dev/null) || return 1
  [[ $PID =~ ^[0-9]+$ ]] || return 1
  { tr "\0" "\n" <"/proc/$PID/cmdline"; } 2>/dev/null | grep -qxF -- "$(configuration "$1")"
}

# Whether both run, from the programs as they are now and the configuration as it is now.
servers_are_current() {
  local name
  for name in "${SERVERS[@]}"; do
    running "$name" || return 1
    [ "/proc/$PID/exe" -ef "$BIN/$name" ] || return 1
    [ "$(cat "$HOME_DIR/run/$name.config" 2>/dev/null)" = "$(sha256sum <"$(configuration "$name")")" ] || return 1
  done
  ready "${PORT[observe-ca]}" && ready "${PORT[observe-ocsp]}"
}

bootstrap() {
  say "making keys and certificates in SoftHSM (or finding those of an earlier run)"
  run "$BIN/sigill-ceremony" bootstrap --home "$HOME_DIR" --module "$MODULE" \
    --hierarchy "$HERE/environments/demo/hierarchy.toml" --profiles "$HERE/profiles" \
    --api "127.0.0.1:${PORT[api]}" --public "127.0.0.1:${PORT[public]}" \
    --observe-ca "127.0.0.1:${PORT[observe-ca]}" --observe-ocsp "127.0.0.1:${PORT[observe-ocsp]}" \
    >"$HOME_DIR/log/bootstrap.out" || fail "the bootstrap failed; run ./quickstart again to go on from there"
  say "registering them with the CA"
  run "$BIN/sigill-ca" import --config "$HOME_DIR/config/ca.toml" --from "$HOME_DIR/ceremony/out/outputs.json" >&2 ||
    fail "the import failed; run ./quickstart again to go on from there"
}

start_all() {
  running sigill-ca || start sigill-ca serve --config "$HOME_DIR/config/ca.toml"
  await sigill-ca "${PORT[observe-ca]}" 60
  running sigill-ocsp || start sigill-ocsp serve --config "$HOME_DIR/config/ocsp.toml"
  await sigill-ocsp "${PORT[observe-ocsp]}" 60
}

# start NAME ARGUMENTS...: in a session of its own, so that a Ctrl-C meant for this script does not reach it.
# The process writes its own pid before it becomes the server: there is no moment in which it runs unknown.
start() {
  local name=$1
  shift
  say "starting $name"
  sha256sum <"$(configuration "$name")" >"$HOME_DIR/run/$name.config"
  (
    exec 9>&- </dev/null >>"$HOME_DIR/log/$name.log" 2>&1
    printf '%s\n' "$BASHPID" >"$HOME_DIR/run/$name.pid"
    exec setsid "$BIN/$name" "$@"
  ) &
  STARTED+=("$name")
}

ready() { curl -fsS --noproxy '*' --max-time 2 "http://127.0.0.1:$1/readyz" >/dev/null 2>&1; }

# await NAME PORT SECONDS
await() {
  local name=$1 port=$2 limit=$((SECONDS + $3)) pause=0
  until ready "$port"; do
    # The first moments it is still the shell that becomes the server.
    pause=$((pause + 1))
    if [ "$pause" -gt 10 ] && ! running "$name"; then
      why "$name"
      fail "$name ended while it was starting" "the whole log: $HOME_DIR/log/$name.log"
    fi
    if [ "$SECONDS" -ge "$limit" ]; then
      why "$name"
      printf 'it says: %s\n' "$(curl -sS --noproxy '*' --max-time 2 "http://127.0.0.1:$port/readyz" 2>&1)" >&2
      fail "$name was not ready after $3 s" "the whole log: $HOME_DIR/log/$name.log"
    fi
    sleep 0.2
  done
}

why() {
  printf -- '--- the end of %s\n' "$HOME_DIR/log/$1.log" >&2
  tail -n 20 "$HOME_DIR/log/$1.log" >&2 || true
  printf -- '---\n' >&2
}

stop_server() {
  running "$1" || return 0
  say "stopping $1 (pid $PID)"
  kill "$PID" 2>/dev/null || true
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    running "$1" || break
    sleep 0.2
  done
  if running "$1"; then
    say "$1 does not stop; ending it"
    kill -KILL "$PID" 2>/dev/null || true
    sleep 0.5
  fi
  rm -f "$HOME_DIR/run/$1.pid"
}

stop_all() {
  stop_server sigill-ocsp
  stop_server sigill-ca
}

stop_started() {
  local index
  for ((index = ${#STARTED[@]} - 1; index >= 0; index--)); do
    stop_server "${STARTED[index]}"
  done
}

# Waits for the end; a server that ends by itself is a failure.
stay() {
  say "serving; Ctrl-C stops it"
  local name
  while :; do
    for name in "${SERVERS[@]}"; do
      if ! running "$name"; then
        why "$name"
        fail "$name has ended"
      fi
    done
    sleep 1 &
    wait $! || true
  done
}

# CA certificates in PEM, for OpenSSL and the like.
write_trust() {
  local trust=$HOME_DIR/trust name
  mkdir -p "$trust"
  openssl x509 -inform DER -in "$HOME_DIR/ceremony/out/$ROOT_CA.cer" -out "$trust/root.pem"
  sed -n 's/.*"certificate": *"\([a-z0-9]*\)\.cer".*/\1/p' "$HOME_DIR/ceremony/out/outputs.json" |
    while read -r name; do
      [ "$name" = "$ROOT_CA" ] || openssl x509 -inform DER -in "$HOME_DIR/ceremony/out/$name.cer"
    done >"$trust/chain.pem"
  cat "$trust/root.pem" >>"$trust/chain.pem"
}

note_key() { cat "$HOME_DIR/ceremony/out/note-$1.pub"; }

# log_origin STATUS-OR-AUDIT: as the deployment that was bootstrapped says, not as the files do.
log_origin() { printf 'sigill/test/demo/%s/%s/1\n' "$(cat "$HOME_DIR/ceremony/instance")" "$1"; }

write_env() {
  local file=$HOME_DIR/env
  cat >"$file.new" <<END
# The demo PKI of ./quickstart: source this file. Written anew by each run.
export SIGILL_HOME='$HOME_DIR'
export SIGILL_API_URL='https://127.0.0.1:${PORT[api]}'
export SIGILL_OCSP_URL='http://127.0.0.1:${PORT[public]}'
export SIGILL_PUBLIC_URL='http://127.0.0.1:${PORT[public]}'
export SIGILL_OBSERVE_CA_URL='http://127.0.0.1:${PORT[observe-ca]}'
export SIGILL_OBSERVE_OCSP_URL='http://127.0.0.1:${PORT[observe-ocsp]}'
export SIGILL_ROOT='$HOME_DIR/trust/root.pem'
export SIGILL_CHAIN='$HOME_DIR/trust/chain.pem'
export SIGILL_MANAGEMENT_CA='$HOME_DIR/tls/management-ca.pem'
export SIGILL_PORTAL_CERT='$HOME_DIR/tls/portal.pem'
export SIGILL_PORTAL_KEY='$HOME_DIR/tls/portal.key'
export SIGILL_STATUS_ORIGIN='$(log_origin status)'
export SIGILL_STATUS_KEY='$(note_key status)'
export SIGILL_AUDIT_ORIGIN='$(log_origin audit)'
export SIGILL_AUDIT_KEY='$(note_key audit)'
export SIGILL_MANIFEST_KEY='$(note_key manifest)'
export SIGILL_BIN='$BIN'
export SOFTHSM2_CONF='$HOME_DIR/softhsm2.conf'
case ":\$PATH:" in *":\$SIGILL_BIN:"*) ;; *) export PATH="\$SIGILL_BIN:\$PATH" ;; esac
END
  mv "$file.new" "$file"
}

summary() {
  local home=$HOME_SHOWN
  local ca=ended ocsp=ended
  running sigill-ca && ca=$PID
  running sigill-ocsp && ocsp=$PID
  cat <<END

What runs                                             where
  sigill-ca    API, mutual TLS                        https://127.0.0.1:${PORT[api]}
               health and metrics                     http://127.0.0.1:${PORT[observe-ca]}/readyz, /metrics
               pid $ca, log                          $home/log/sigill-ca.log
  sigill-ocsp  OCSP, CRLs, CA certificates            http://127.0.0.1:${PORT[public]}
               health and metrics                     http://127.0.0.1:${PORT[observe-ocsp]}/readyz, /metrics
               pid $ocsp, log                          $home/log/sigill-ocsp.log

What lies in $home
  env                 the addresses and files, to source
  trust/root.pem      the root, trust/chain.pem all CAs
  tls/portal.pem,.key credentials of the API's client "portal"
  demo/tolvan         the certificate that was issued and revoked just now
  publish             what the responder reads: status log, CRLs, CA certificates
  pins, keys, offline secrets (0600); the root's stay in offline, which no server opens

END
  cat <<END
Try next
  . $home/env
  sigill authority list
  sigill certificate list --state revoked
  sigill certificate issue --help
  curl --cacert "\$SIGILL_MANAGEMENT_CA" --cert "\$SIGILL_PORTAL_CERT" --key "\$SIGILL_PORTAL_KEY" "\$SIGILL_API_URL/openapi.json"
  sigill-verify log --checkpoint "\$SIGILL_HOME/publish/checkpoint" --tiles "\$SIGILL_HOME/publish" --key "\$SIGILL_STATUS_KEY" --origin "\$SIGILL_STATUS_ORIGIN"
  ./quickstart --stop$([ "$home" = .sigill ] || printf ' --home %s' "$home")
END
}
