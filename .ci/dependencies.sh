#!/usr/bin/env bash
# Who may depend on whom. Two kinds of check: what stands in a crate's dependency tree, and in
# which file or folder a replaceable crate is named (so that replacing it means replacing that).
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
fail() {
  printf 'FAILED: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/    /' >&2
  failed=1
}

# Every crate in the tree of a package, all platforms, all features, tests included.
whole_tree() {
  cargo tree --locked -p "$1" --all-features --target all -e normal,build,dev \
    --prefix none --format '{p}' | cut -d' ' -f1 | sort -u
}

# absent PACKAGE REGEX: no crate of that name in the package's tree.
absent() {
  local found
  found=$(whole_tree "$1" | grep -xE "$2" || true)
  if [ -n "$found" ]; then
    fail "$1 must not depend on these" "$found"
  else
    echo "ok: $1 has no $2"
  fi
}

# only_in HOME REGEX: Rust files that match (Perl syntax) lie below HOME (extended syntax).
only_in() {
  local found
  found=$(git grep -lP "$2" -- '*.rs' | grep -vE "$1" || true)
  if [ -n "$found" ]; then
    fail "$2 may be named only in $1" "$found"
  else
    echo "ok: $2 only in $1"
  fi
}

# The relay never holds a key that opens content: it does not even have the code.
absent sotto-server '(open)?mls.*|sotto-client'
# Apps embed the SDK, not the relay and its engine.
absent sotto-client 'sled|sotto-server'

# The wire stays small: no I/O, no clock, no randomness of its own.
allowed="cbor4ii ed25519-dalek hkdf hmac serde serde_bytes sha2 subtle thiserror x25519-dalek zeroize"
actual=$(cargo tree --locked -p sotto-protocol -e normal --target all --depth 1 \
  --prefix none --format '{p}' | cut -d' ' -f1 | grep -vx sotto-protocol | sort -u | tr '\n' ' ')
if [ "${actual% }" = "$allowed" ]; then
  echo "ok: sotto-protocol depends on $allowed"
else
  fail "sotto-protocol's dependencies are not the allowed ones" "${actual% }"
fi

# A crate's path begins a path: `crate::store::sled::` is our own module, `sled::` is the engine.
only_in '^server/src/store/sled(\.rs|/)' '(?<![\w:])sled::'
only_in '^(server/src/connection|client-lib/src/transport|tests|[a-z-]+/tests)(\.rs|/)' \
  '(?<![\w:])(tokio_)?tungstenite::'
only_in '^client-lib/src/mls(\.rs|/)' '(?<![\w:])openmls(_\w+)?::'
only_in '^(server/src/connection|client-lib/src/log|tests|[a-z-]+/tests)(\.rs|/)' '(?<![\w:])snow::'
only_in '^client-lib/src/vault(\.rs|/)' '(?<![\w:])rusqlite::'
only_in '^(client-lib/src/people/words\.rs|tests/canary/words\.rs)' '(?<![\w:])bip39::'
only_in '^client-lib/src/desk/hours\.rs' '(?<![\w:])jiff::'
only_in '^client-lib/cli/src/desk/qr\.rs' '(?<![\w:])(qrcode|png|rqrr)::'

# A hub is easier to split while it is small.
large=$(git ls-files '*.rs' | xargs -r wc -l | awk '$2 != "total" && $1 > 700 { print $1, $2 }')
if [ -n "$large" ]; then
  fail "files of more than 700 lines" "$large"
else
  echo "ok: no file of more than 700 lines"
fi

# Every test runs, every time.
ignored=$(git grep -nE '#\[ignore' -- '*.rs' || true)
if [ -n "$ignored" ]; then
  fail "tests that never run" "$ignored"
else
  echo "ok: no ignored test"
fi

exit "$failed"
