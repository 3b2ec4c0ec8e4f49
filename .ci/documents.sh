#!/usr/bin/env bash
# Documents must not promise what is not there: every test that SECURITY.md names exists, and so
# does every file that a document links to.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
while read -r name; do
  if ! git grep -qE "fn $name\(" -- '*.rs'; then
    echo "FAILED: SECURITY.md names the test $name, which does not exist" >&2
    failed=1
  fi
done < <(awk -F'|' 'NF > 4 { print $(NF - 1) }' SECURITY.md | grep -oE '`[a-z_0-9]{12,}`' | tr -d '`' | sort -u)

while read -r document; do
  while read -r link; do
    if [ ! -e "$(dirname "$document")/$link" ]; then
      echo "FAILED: $document links to $link, which does not exist" >&2
      failed=1
    fi
  done < <(grep -oE '\]\([^)#:]+' "$document" | cut -c3- | sort -u)
done < <(git ls-files '*.md')

[ "$failed" -ne 0 ] || echo "ok: every named test and every linked file exists"
exit "$failed"
