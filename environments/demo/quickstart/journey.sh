# The journey: a test person's certificate from request to revocation, judged by OpenSSL and nginx.
# Sourced by ./quickstart.
# shellcheck shell=bash disable=SC2034,SC2153

NGINX=''

journey() {
  PERSON=$HOME_DIR/demo/tolvan
  rm -rf -- "$PERSON"
  mkdir -p "$PERSON"
  say "making a key and a request for Tolvan Tolvansson, 191212121212, HSA-id TST2321000016-1002"
  new_request "$PERSON"
  say "issuing through the API"
  ID=$(api certificate issue --profile person-hsaid-3-authentication --csr "$PERSON/request.pem" \
    --given-name Tolvan --surname Tolvansson --personal-identity-number 191212121212 \
    --hsa-id TST2321000016-1002 --organization 'Sigill Test' --out "$PERSON/bundle.pem" --json |
    tee "$PERSON/issued.json" | certificate_id)
  [ -n "$ID" ] || fail "no certificate was issued"
  split_bundle "$PERSON"
  say "issued $ID: $(openssl x509 -in "$PERSON/leaf.pem" -noout -subject -nameopt RFC2253)"

  judge_good
  if [ "$MODE" = once ]; then
    start_nginx
    nginx_says SUCCESS 200
    say "nginx (ssl_verify_client on, ssl_ocsp on) lets it in"
  fi

  say "revoking it"
  api certificate revoke "$ID" --reason keyCompromise --yes --json >"$PERSON/revoked.json" 2>"$PERSON/revoked.txt" ||
    fail "the revocation was refused: $(cat "$PERSON/revoked.txt")"
  judge_revoked
  receipt
  if [ "$MODE" = once ]; then
    nginx_says '' 400
    grep -q 'certificate revoked' "$NGINX_HOME/error.log" || fail "nginx refuses, but not because of the revocation" "$NGINX_HOME/error.log"
    say "nginx keeps it out"
    stop_nginx
  fi
  verify_logs
}

# A vantage point sees the revocation, the CA signs that it has, and the auditor's program judges that without either.
receipt() {
  local folder=$HOME_DIR/demo/vantage method
  [ -e "$folder/receipt.pub" ] || return 0
  within 60 has_receipts || fail "the revocation has no receipt: $(cat "$PERSON/probe.txt" "$PERSON/receipt.txt")"
  for method in ocsp crl; do
    "$BIN/sigill-verify" receipt "$PERSON/$method.receipt" --key "$(cat "$folder/receipt.pub")" \
      --deployment "test/demo/$(cat "$HOME_DIR/ceremony/instance")" --vantage "demo=$(cat "$folder/sha256")" \
      >"$PERSON/verified-$method.txt" 2>&1 || fail "the receipt does not hold: $(cat "$PERSON/verified-$method.txt")"
  done
  say "seen from a vantage point by OCSP and CRL; both receipts hold"
}

has_receipts() {
  local folder=$HOME_DIR/demo/vantage method
  "$BIN/sigill" probe run --once --lists-every 0 --issuers "$HOME_DIR/trust/chain.pem" --vantage demo --vantage-key "$folder/vantage.key" \
    --deployment "test/demo/$(cat "$HOME_DIR/ceremony/instance")" --spool "$folder/spool" --url "https://127.0.0.1:${PORT[api]}" \
    --ca "$HOME_DIR/tls/management-ca.pem" --cert "$HOME_DIR/tls/auditor.pem" --key "$HOME_DIR/tls/auditor.key" >"$PERSON/probe.txt" 2>&1
  for method in ocsp crl; do
    api receipt "$ID" --method "$method" --out "$PERSON/$method.receipt" >"$PERSON/receipt.txt" 2>&1 || return 1
  done
}

# An auditor's view: both logs from their files and the keys that the demo named.
verify_logs() {
  local log folder
  for log in status audit; do
    case $log in
      status) folder=publish ;;
      audit) folder=audit ;;
    esac
    # While the servers run, tiles may be newer than the copy of a checkpoint, never older.
    cp "$HOME_DIR/$folder/checkpoint" "$PERSON/checkpoint-$log"
    "$BIN/sigill-verify" log --checkpoint "$PERSON/checkpoint-$log" --tiles "$HOME_DIR/$folder" --log "$log" \
      --key "$(note_key "$log")" --origin "$(log_origin "$log")" >"$PERSON/verified-$log.txt" 2>&1 ||
      fail "the $log log does not hold: $(cat "$PERSON/verified-$log.txt")"
    say "the $log log holds: $(sed -n 's/^size *//p' "$PERSON/verified-$log.txt") entries"
  done
}

# The operator's client with the portal's credentials.
api() {
  "$BIN/sigill" --url "https://127.0.0.1:${PORT[api]}" --ca "$HOME_DIR/tls/management-ca.pem" \
    --cert "$HOME_DIR/tls/portal.pem" --key "$HOME_DIR/tls/portal.key" "$@"
}

certificate_id() { sed -n 's/.*"id": *"\(crt_[^"]*\)".*/\1/p' | head -n 1; }

# new_request FOLDER: the names in it count for nothing; the CA takes them from the order.
new_request() {
  (umask 077 && openssl req -new -newkey rsa:2048 -nodes -keyout "$1/key.pem" -out "$1/request.pem" -subj /CN=request 2>/dev/null)
}

# bundle.pem (leaf, issuing CA, root) to a file each, and cas.pem of both CAs.
split_bundle() {
  (
    cd "$1" || exit
    awk '/BEGIN CERTIFICATE/ { n++ } { print > ("part" n ".pem") }' bundle.pem
    mv part1.pem leaf.pem
    mv part2.pem issuing.pem
    mv part3.pem root.pem
    cmp -s root.pem "$HOME_DIR/trust/root.pem" || fail "the API came with another root than the ceremonies'"
    cat leaf.pem issuing.pem >chain.pem
  )
}

# --- OpenSSL --------------------------------------------------------------------------------------

judge_good() {
  openssl verify -x509_strict -purpose sslclient -CAfile "$HOME_DIR/trust/root.pem" \
    -untrusted "$PERSON/issuing.pem" "$PERSON/leaf.pem" >"$PERSON/openssl-chain.txt" 2>&1 ||
    fail "OpenSSL does not accept the chain: $(cat "$PERSON/openssl-chain.txt")"
  say "OpenSSL accepts the chain"
  within 60 ocsp_says leaf issuing good || fail "OCSP does not say good: $(cat "$PERSON/openssl-ocsp.txt")"
  within 60 ocsp_says issuing root good || fail "OCSP does not say that the CA is good: $(cat "$PERSON/openssl-ocsp.txt")"
  say "OCSP says good of the certificate and of its CA"
  within 60 crl_accepts || fail "OpenSSL does not accept certificate and CRLs: $(cat "$PERSON/openssl-crl.txt")"
  say "the CRLs accept it"
}

judge_revoked() {
  local since=$EPOCHREALTIME
  within 60 ocsp_says leaf issuing revoked || fail "OCSP does not say revoked: $(cat "$PERSON/openssl-ocsp.txt")"
  say "OCSP says revoked, $(elapsed "$since") after the answer of the API"
  within 60 crl_refuses || fail "the CRL does not refuse it: $(cat "$PERSON/openssl-crl.txt")"
  say "the new CRL says revoked, $(elapsed "$since") after the answer of the API"
}

elapsed() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }'; }

# within SECONDS COMMAND...: until it succeeds.
within() {
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 0.2
  done
}

# ocsp_says CERTIFICATE ISSUER WORD: asks the responder that the certificate names, with a nonce.
ocsp_says() {
  local url
  url=$(openssl x509 -in "$PERSON/$1.pem" -noout -ocsp_uri | head -n 1)
  openssl ocsp -issuer "$PERSON/$2.pem" -cert "$PERSON/$1.pem" -url "$url" -timeout 10 \
    -CAfile "$HOME_DIR/trust/root.pem" -verify_other "$PERSON/issuing.pem" >"$PERSON/openssl-ocsp.txt" 2>&1 || return 1
  grep -q '^Response verify OK' "$PERSON/openssl-ocsp.txt" && grep -q ": $3\$" "$PERSON/openssl-ocsp.txt"
}

# The CRLs that the chain names, fetched as a relying party does.
fetch_crls() {
  local name url
  : >"$PERSON/crls.pem"
  for name in leaf issuing; do
    url=$(openssl x509 -in "$PERSON/$name.pem" -noout -ext crlDistributionPoints | sed -n 's/.*URI://p' | head -n 1)
    curl -fsS --noproxy '*' --max-time 10 -o "$PERSON/$name.crl" "$url" 2>"$PERSON/openssl-crl.txt" || return 1
    openssl crl -inform DER -in "$PERSON/$name.crl" >>"$PERSON/crls.pem" 2>"$PERSON/openssl-crl.txt" || return 1
  done
}

verify_with_crls() {
  openssl verify -x509_strict -crl_check_all -CAfile "$HOME_DIR/trust/root.pem" -untrusted "$PERSON/issuing.pem" \
    -CRLfile "$PERSON/crls.pem" "$PERSON/leaf.pem" >"$PERSON/openssl-crl.txt" 2>&1
}

crl_accepts() { fetch_crls && verify_with_crls; }

crl_refuses() { fetch_crls && ! verify_with_crls && grep -q 'certificate revoked' "$PERSON/openssl-crl.txt"; }

# --- nginx ----------------------------------------------------------------------------------------

# A server whose own certificate is one of the demo's function certificates. It asks by OCSP about every
# certificate of the client's chain, so the root must answer too.
start_nginx() {
  NGINX_HOME=$HOME_DIR/demo/nginx NGINX_PORT=$(free_port)
  rm -rf -- "$NGINX_HOME"
  mkdir -p "$NGINX_HOME"
  new_request "$NGINX_HOME"
  api certificate issue --profile function --csr "$NGINX_HOME/request.pem" --common-name demo.example.org \
    --dns demo.example.org --hsa-id TST2321000016-B02 --organization 'Sigill Test' \
    --out "$NGINX_HOME/bundle.pem" --json >"$NGINX_HOME/issued.json"
  split_bundle "$NGINX_HOME"
  cat >"$NGINX_HOME/nginx.conf" <<END
daemon off; master_process off; pid '$NGINX_HOME/pid'; error_log '$NGINX_HOME/error.log' info;
events {}
http {
  access_log off;
  client_body_temp_path '$NGINX_HOME/1'; proxy_temp_path '$NGINX_HOME/2';
  fastcgi_temp_path '$NGINX_HOME/3'; uwsgi_temp_path '$NGINX_HOME/4'; scgi_temp_path '$NGINX_HOME/5';
  server {
    listen 127.0.0.1:$NGINX_PORT ssl;
    ssl_certificate '$NGINX_HOME/chain.pem'; ssl_certificate_key '$NGINX_HOME/key.pem';
    ssl_client_certificate '$HOME_DIR/trust/root.pem'; ssl_verify_depth 2;
    ssl_verify_client on; ssl_ocsp on;
    location / { return 200 "\$ssl_client_verify\n"; }
  }
}
END
  PATH=$PATH:/usr/sbin:/sbin nginx -c "$NGINX_HOME/nginx.conf" -p "$NGINX_HOME" </dev/null >"$NGINX_HOME/log" 2>&1 9>&- &
  NGINX=$!
  within 60 port_taken "$NGINX_PORT" || fail "nginx did not start: $(cat "$NGINX_HOME/log")"
}

# nginx_says BODY STATUS: what a client with the person's certificate and chain gets.
nginx_says() {
  local said
  said=$(curl -sS --noproxy '*' --max-time 30 --resolve "demo.example.org:$NGINX_PORT:127.0.0.1" --cacert "$HOME_DIR/trust/root.pem" \
    --cert "$PERSON/chain.pem" --key "$PERSON/key.pem" --write-out '%{http_code}' "https://demo.example.org:$NGINX_PORT/" 2>&1 | tr '\n' ' ')
  case $said in
    "$1"*"$2") return ;;
  esac
  tail -n 20 "$NGINX_HOME/error.log" >&2
  fail "nginx answered $said, expected were ${1:-a refusal} and $2"
}

stop_nginx() {
  [ -n "$NGINX" ] || return 0
  kill "$NGINX" 2>/dev/null || true
  wait "$NGINX" 2>/dev/null || true
  NGINX=''
}
