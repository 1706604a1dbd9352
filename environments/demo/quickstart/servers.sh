# The PKI and its two servers: ceremonies, start, wait, stop. Sourced by ./quickstart.
# shellcheck shell=bash disable=SC2034,SC2153

# In the order in which they start: a newer responder reads what an older CA publishes, not the other way.
SERVERS=(sigill-ocsp sigill-ca)
STARTED=()
# Octets of a server's log that are older than this start of it.
declare -A OLD_LOG=()

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

# Whether the server NAME runs, from the program as it is now and the configuration as it is now.
is_current() {
  running "$1" && [ "/proc/$PID/exe" -ef "$BIN/$1" ] &&
    [ "$(cat "$HOME_DIR/run/$1.config" 2>/dev/null)" = "$(sha256sum <"$(configuration "$1")")" ]
}

servers_are_current() {
  is_current sigill-ca && is_current sigill-ocsp && ready "${PORT[observe-ca]}" && ready "${PORT[observe-ocsp]}"
}

# A server that is well goes on, even while the other one is gone.
stop_outdated() {
  local name
  for name in "${SERVERS[@]}"; do
    is_current "$name" || stop_server "$name"
  done
}

# Whether an earlier run made everything that the servers and the journey need.
was_made() {
  local file
  for file in config/ca.toml config/ocsp.toml ceremony/out/outputs.json env ports trust/root.pem trust/chain.pem run/imported; do
    [ -e "$HOME_DIR/$file" ] || return 1
  done
}

make_demo() {
  stop_all
  say "holding key ceremonies, making keys and certificates in SoftHSM (or finding those of an earlier run)"
  no_network
  run "${NO_NETWORK[@]}" "$BIN/sigill-ceremony" demo --home "$HOME_DIR" --module "$MODULE" \
    --hierarchy "$HERE/environments/demo/hierarchy.toml" --profiles "$HERE/profiles" \
    --api "127.0.0.1:${PORT[api]}" --public "127.0.0.1:${PORT[public]}" \
    --observe-ca "127.0.0.1:${PORT[observe-ca]}" --observe-ocsp "127.0.0.1:${PORT[observe-ocsp]}" \
    >"$HOME_DIR/log/ceremonies.out" || broken_off "making of the demo"
  judge_ceremonies
  say "registering them with the CA"
  run "$BIN/sigill-ca" import --config "$HOME_DIR/config/ca.toml" --from "$HOME_DIR/ceremony/out/outputs.json" >&2 ||
    broken_off "import"
  offer_test_certificates
  make_vantage_point
  : >"$HOME_DIR/run/imported"
}

# Ceremonies need no network: where one can be made that is empty, they are held in it.
NO_NETWORK=(env)
no_network() {
  # root may; anybody else in a user namespace, where the system allows those.
  if unshare --net true 2>/dev/null; then
    NO_NETWORK=(unshare --net)
  elif unshare --net --map-current-user true 2>/dev/null; then
    NO_NETWORK=(unshare --net --map-current-user)
  else
    return 0
  fi
  say "they are held where there is no network"
}

# As an auditor judges them: from the bundle and two hashes, which others have on paper.
judge_ceremonies() {
  local folder name
  for name in root issuing-keys issuing; do
    folder=$HOME_DIR/ceremonies/$name
    "$BIN/sigill-verify" ceremony "$folder/$name.bundle.tar" --plan "$(sed -n 's/^plan //p' "$folder/paper")" \
      --head "$(sed -n 's/^head //p' "$folder/paper")" --report "$folder/report.html" >"$folder/judged.txt" 2>&1 ||
      fail "the ceremony $name does not hold: $(cat "$folder/judged.txt")"
    say "sigill-verify accepts the ceremony $name; its report: $folder/report.html"
  done
}

# A set of certificates for relying parties to test against (docs/operations/test-certificates.md).
offer_test_certificates() {
  grep -qx '\[test-certificates\]' "$HOME_DIR/config/ca.toml" ||
    printf '\n[test-certificates]\nlife = 1209600\n' >>"$HOME_DIR/config/ca.toml"
  grep -q '^object = "test-certificates"' "$HOME_DIR/config/ocsp.toml" ||
    printf '\n[[serve]]\npath = "/test-certificates.json"\nobject = "test-certificates"\n' >>"$HOME_DIR/config/ocsp.toml"
}

# A vantage point, which calls the API as the auditor's client, and the key of receipts (docs/operations/watch.md). Broken off anywhere, it is
# made to its end the next time: nothing was signed with these keys yet.
make_vantage_point() {
  local config=$HOME_DIR/config/ca.toml folder=$HOME_DIR/demo/vantage
  mkdir -p "$folder"
  if [ ! -e "$folder/sha256" ]; then
    rm -f "$folder/vantage.key"
    "$BIN/sigill" probe make-key "$folder/vantage.key" --json | sed -n 's/.*"spki_sha256": *"\([0-9a-f]*\)".*/\1/p' >"$folder/sha256.new"
    mv "$folder/sha256.new" "$folder/sha256"
  fi
  grep -q '^vantage = ' "$config" || sed -i '/^name = "auditor"$/a vantage = "demo"' "$config"
  # Nobody looks all the time in the demo, so nobody is told of what was not seen for a week.
  grep -qx '\[receipts\]' "$config" ||
    printf '\n[receipts]\nkey = "../keys/receipt.key"\nocsp-limit = 604800\ncrl-limit = 604800\n\n[[receipts.vantage]]\nname = "demo"\nspki-sha256 = "%s"\n' \
      "$(cat "$folder/sha256")" >>"$config"
  if [ ! -e "$folder/receipt.pub" ]; then
    rm -f "$HOME_DIR/keys/receipt.key"
    "$BIN/sigill-ca" make-receipt-key --config "$config" | cut -d ' ' -f 1 >"$folder/receipt.pub.new" || broken_off "making of the receipt key"
    mv "$folder/receipt.pub.new" "$folder/receipt.pub"
  fi
}

# What was refused stands above; it is not refused less the second time.
broken_off() {
  fail "the $1 did not come to its end; why stands above" "mend that first; ./quickstart then goes on from there"
}

start_all() {
  running sigill-ocsp || start sigill-ocsp --config "$HOME_DIR/config/ocsp.toml"
  running sigill-ca || start sigill-ca serve --config "$HOME_DIR/config/ca.toml"
  await sigill-ca "${PORT[observe-ca]}" 60
  # Ready once it has read what the CA publishes.
  await sigill-ocsp "${PORT[observe-ocsp]}" 60
}

# start NAME ARGUMENTS...: in a session of its own, so that a Ctrl-C meant for this script does not reach it.
# The process writes its own pid before it becomes the server: there is no moment in which it runs unknown.
start() {
  local name=$1
  shift
  say "starting $name"
  sha256sum <"$(configuration "$name")" >"$HOME_DIR/run/$name.config"
  OLD_LOG[$name]=$(stat -c %s "$HOME_DIR/log/$name.log" 2>/dev/null || echo 0)
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

# What a server has said since it was started.
why() {
  printf -- '--- the end of %s\n' "$HOME_DIR/log/$1.log" >&2
  tail -c "+$((${OLD_LOG[$1]-0} + 1))" "$HOME_DIR/log/$1.log" | tail -n 20 >&2 || true
  printf -- '---\n' >&2
}

stop_server() {
  running "$1" || return 0
  # It runs, so what keeps a signal from it is that it is somebody else's.
  kill -0 "$PID" 2>/dev/null ||
    fail "$1 (pid $PID) runs as $(stat -c %U "/proc/$PID"), you are $(id -un); it was not stopped" \
      "run this as $(stat -c %U "/proc/$PID")"
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

# --stop: says what there was to stop.
stop_home() {
  if [ ! -e "$HOME_DIR/ports" ] && [ ! -e "$HOME_DIR/config/ca.toml" ] && [ ! -d "$HOME_DIR/run" ]; then
    fail "$HOME_SHOWN is no home of Sigill; nothing was stopped" "--home DIR, the one that it was started with"
  fi
  if ! running sigill-ca && ! running sigill-ocsp; then
    say "nothing of $HOME_SHOWN is running"
  fi
  stop_all
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

note_key() { cat "$HOME_DIR/ceremony/out/note-$1.pub"; }

# log_origin STATUS-OR-AUDIT: as the deployment that was made says, not as the files do.
log_origin() { printf 'sigill/test/demo/%s/%s/1\n' "$(cat "$HOME_DIR/ceremony/instance")" "$1"; }

# The ceremonies wrote env; the folder of the programs in it is that of the last run.
remember_programs() {
  local file=$HOME_DIR/env
  {
    printf "export SIGILL_BIN='%s'\n" "$BIN"
    grep -v '^export SIGILL_BIN=' "$file"
  } >"$file.new"
  mv "$file.new" "$file"
}

summary() {
  local home=$HOME_SHOWN script
  script=$(printf %q "$0")
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
  ceremonies          plans, approvals, bundles and reports of the key ceremonies, which nobody sat at
  pins, keys, offline secrets (0600); the root's token and PINs stay in offline, which no server opens

END
  cat <<END
Try next
  . $(printf %q "$([[ $home == /* ]] || printf ./)$home/env")
  sigill authority list
  sigill certificate list --state revoked
  sigill certificate issue --help
  curl --cacert "\$SIGILL_MANAGEMENT_CA" --cert "\$SIGILL_PORTAL_CERT" --key "\$SIGILL_PORTAL_KEY" "\$SIGILL_API_URL/openapi.json"
  sigill-verify log --checkpoint "\$SIGILL_HOME/publish/checkpoint" --tiles "\$SIGILL_HOME/publish" --key "\$SIGILL_STATUS_KEY" --origin "\$SIGILL_STATUS_ORIGIN"
  $script --stop$([ "$home" = .sigill ] || printf ' --home %q' "$home")
END
}
