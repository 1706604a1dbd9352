#!/usr/bin/env bash
# Builds Kryoptic, a software token with PKCS#11 3.2, and prints the path of its module.
#
#   kryoptic.sh            builds it where it is not in the cache; some minutes
#   kryoptic.sh --cached   prints the path if it is in the cache, else ends with 1
#
# The cache is $SIGILL_TOKEN_CACHE, or sigill/tokens under $XDG_CACHE_HOME or ~/.cache: outside the checkout, so that it
# outlives `cargo clean` and a new clone. CARGO_BUILD_JOBS limits how many compilers run at a time.
# It is linked with the OpenSSL of the crate openssl-src, since Ed25519 wants a newer one than Debian 12 has.
set -euo pipefail

version=1.5.4
openssl_src='=300.6.0'
cache=${SIGILL_TOKEN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sigill/tokens}
module=$cache/kryoptic-$version/libkryoptic_pkcs11.so
jobs=${CARGO_BUILD_JOBS:-$(nproc)}

if [ -f "$module" ]; then
  printf '%s\n' "$module"
  exit 0
fi
[ "${1-}" != --cached ] || exit 1

step='begin'
work=$cache/kryoptic-$version.building
ended() {
  local status=$?
  if [ "$status" != 0 ]; then
    printf 'error: Kryoptic was not built: step "%s" failed; its log is %s\n' "$step" "$work/log" >&2
    tail -n 20 "$work/log" >&2 || true
  fi
}
trap ended EXIT

# what STEP: for the message, and for whoever waits.
what() {
  step=$1
  printf '[%4d s] kryoptic: %s\n' "$SECONDS" "$step" >&2
}

mkdir -p "$work"
exec 9>>"$work/lock"
flock 9
if [ -f "$module" ]; then
  printf '%s\n' "$module"
  exit 0
fi
: >"$work/log"

what 'tools: cargo, cc, make, perl, pkg-config with sqlite3, libclang'
for program in cargo cc make perl pkg-config; do
  command -v "$program" >>"$work/log" || {
    echo "$program is not installed" >>"$work/log"
    false
  }
done
pkg-config --exists --print-errors sqlite3 2>>"$work/log"
# bindgen loads libclang, which has no headers of its own unless all of clang is installed.
libclang=$(find /usr/lib -name 'libclang*.so*' ! -name 'libclang-cpp*' 2>/dev/null | sort | tail -n 1)
[ -n "$libclang" ] || {
  echo 'libclang is not installed' >>"$work/log"
  false
}
LIBCLANG_PATH=$(dirname "$libclang")
BINDGEN_EXTRA_CLANG_ARGS="-I$(cc -print-file-name=include)"
export LIBCLANG_PATH BINDGEN_EXTRA_CLANG_ARGS

what "sources of kryoptic $version and openssl-src $openssl_src"
mkdir -p "$work/fetch/src"
: >"$work/fetch/src/lib.rs"
cat >"$work/fetch/Cargo.toml" <<END
[package]
name = "fetch"
version = "0.0.0"
edition = "2024"
[dependencies]
kryoptic = "=$version"
openssl-src = "$openssl_src"
[workspace]
END
cargo fetch --quiet --manifest-path "$work/fetch/Cargo.toml" >>"$work/log" 2>&1
folder_of() {
  cargo metadata --format-version 1 --offline --manifest-path "$work/fetch/Cargo.toml" 2>>"$work/log" |
    python3 -c 'import json, os, sys; print(*(os.path.dirname(p["manifest_path"]) for p in json.load(sys.stdin)["packages"] if p["name"] == sys.argv[1]))' "$1"
}
kryoptic=$(folder_of kryoptic)
openssl=$(folder_of openssl-src)/openssl
[ -f "$kryoptic/Cargo.toml" ]
[ -f "$openssl/Configure" ]

if [ ! -f "$work/openssl/libcrypto.a" ]; then
  what 'OpenSSL: configure'
  rm -rf -- "$work/openssl"
  cp -r -- "$openssl" "$work/openssl"
  cd "$work/openssl"
  perl ./Configure no-shared no-docs no-tests no-apps no-legacy no-module no-engine no-deprecated no-atexit no-aria no-argon2 no-des no-dsa no-cast no-mdc2 \
    no-ec2m no-rc2 no-rc4 no-rc5 no-rmd160 no-seed no-sm2 no-sm3 no-sm4 >>"$work/log" 2>&1
  what 'OpenSSL: libcrypto'
  make -j "$jobs" build_generated >>"$work/log" 2>&1
  make -j "$jobs" libcrypto.a >>"$work/log" 2>&1
fi

what 'Kryoptic itself'
rm -rf -- "$work/kryoptic"
cp -r -- "$kryoptic" "$work/kryoptic"
cd "$work/kryoptic"
# `standard` alone names no OpenSSL. It is tested with, not measured: optimised as little as may be.
KRYOPTIC_OPENSSL_SOURCES=$work/openssl CARGO_TARGET_DIR=$work/target CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
  cargo build --release --locked --jobs "$jobs" --no-default-features --features standard,ossl/ossl-sys >>"$work/log" 2>&1

what 'into the cache'
mkdir -p "${module%/*}"
cp -- "$work/target/release/libkryoptic_pkcs11.so" "$module.new"
mv -- "$module.new" "$module"
rm -rf -- "$work/openssl" "$work/kryoptic" "$work/target" "$work/fetch"
printf '%s\n' "$module"
