#!/usr/bin/env bash
# Checks that the wire and the SDK without `native` compile for a browser.
#
# Where rustup can fetch the target's standard library, that is used. Where it cannot, Debian's
# rustc-web is, with the standard library compiled from rust-web-src: RUSTC_BOOTSTRAP=1 lets a
# stable compiler do so. Set SOTTO_WASM_RECIPE=debian to go straight to the second way.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
packages=(-p sotto-protocol -p sotto-client --no-default-features)
# A folder of its own below the one target folder: another compiler must not evict what the other
# steps share.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/wasm"

if [ "${SOTTO_WASM_RECIPE:-}" != debian ] && rustup target add "$target" >/dev/null 2>&1; then
  echo "wasm: the standard library for $target comes from rustup"
  RUSTFLAGS='--cfg getrandom_backend="wasm_js"' \
    cargo check --locked --target "$target" "${packages[@]}"
  exit 0
fi

echo "wasm: rustup cannot add $target here; Debian's rustc-web compiles the standard library"
lld=$(compgen -c wasm-ld- | sort -t- -k3 -n | tail -1 || true)
if [ ! -d /usr/lib/rustlib/src/rust/library ] || [ -z "$lld" ] || [ ! -x /usr/bin/rustc ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    rustc-web rust-web-src lld-19 >/dev/null
  lld=wasm-ld-19
fi
/usr/bin/rustc --version

# `dlmalloc` and the other dependencies of std resolve to std's own Cargo.lock, not to ours.
RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
  RUSTFLAGS="--cfg getrandom_backend=\"wasm_js\" -Clinker=$lld" \
  cargo check --locked -Zbuild-std=std,panic_abort --target "$target" "${packages[@]}"
