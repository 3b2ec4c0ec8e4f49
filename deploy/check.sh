#!/usr/bin/env bash
# Checks the files of this folder against each other, against the sources and, where SOTTO_RELAY
# names a relay binary, against that. Needs no container engine and runs nothing as a service; what
# that leaves unproven stands in RUNBOOK.md, "What was not run". Tools that are missing are named.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT
same() { # WHAT, then values that must be equal
  local what=$1 first=$2 value
  shift
  for value in "$@"; do
    if [ -z "$value" ] || [ "$value" != "$first" ]; then
      printf 'FAILED: %s differs or is missing:' "$what" >&2
      printf ' [%s]' "$@" >&2
      printf '\n' >&2
      failed=1
      return
    fi
  done
  echo "ok: $what is $first everywhere"
}
more() { # WHAT, LARGE, SMALL
  if [ "${2:-0}" -gt "${3:-999999999}" ]; then
    echo "ok: $1 ($2) is more than $3"
  else
    printf 'FAILED: %s must be more: %s > %s\n' "$1" "${2:-nothing}" "${3:-nothing}" >&2
    failed=1
  fi
}
holds() { # WHAT, COMMAND...
  local what=$1
  shift
  if "$@" >"$output" 2>&1; then
    echo "ok: $what"
  else
    printf 'FAILED: %s\n' "$what" >&2
    sed 's/^/    /' "$output" >&2
    failed=1
  fi
}
# first FILE REGEX: the first group of the first match.
first() { sed -nE "s#.*$2.*#\1#p" "$1" | head -n 1; }

settings=deploy/sotto.toml unit=deploy/sotto-relay.service image=deploy/Dockerfile
compose=deploy/compose.yaml proxy=deploy/Caddyfile scrape=deploy/prometheus.yml runbook=deploy/RUNBOOK.md

# A key of a table of sotto.toml; the top level is the empty table.
setting() {
  awk -F ' *= *' -v table="$1" -v key="$2" '
    /^\[/ { now = substr($0, 2, index($0, "]") - 2) }
    now == table && $1 == key { gsub(/"/, "", $2); print $2; exit }' "$settings"
}

binary=$(first server/Cargo.toml '^name = "(sotto-relay)"')
same "the binary" "$binary" \
  "$(first $unit 'ExecStart=/usr/bin/([a-z-]+) ')" \
  "$(first $image '--bin ([a-z-]+)')" \
  "$(first $image 'ENTRYPOINT \["/usr/bin/([a-z-]+)"\]')"
same "the settings' path" /etc/sotto/sotto.toml \
  "$(first $unit 'ExecStartPre=.*--config ([^ ]+)')" \
  "$(first $unit 'ExecStart=.*--config ([^ ]+)')" \
  "$(first $image 'CMD \["run", "--config", "([^"]+)"\]')" \
  "$(first $compose '\./sotto\.toml:([^:]+):ro')"
same "the relay's folder" "$(setting '' folder)" \
  "/var/lib/$(first $unit '^StateDirectory=(.+)$')" \
  "$(first $image '^VOLUME (.+)$')" \
  "$(first $image 'install -d -o sotto -g sotto -m 0700 ([^ ]+)')" \
  "$(first $compose 'relay-data:(/[^ ]+)')"
same "where the relay listens" "$(setting '' listen)" \
  "$(first $proxy 'reverse_proxy ([^ ]+)')"
admin=$(setting admin listen)
same "where the metrics are" "$admin" "$(first $scrape 'targets: \["([^"]+)"\]')"
same "the health check's port" "${admin##*:}" "$(first $image '/dev/tcp/127\.0\.0\.1/([0-9]+)')"
same "the toolchain" "$(first rust-toolchain.toml 'channel = "([^"]+)"')" \
  "$(first $image '^FROM rust:([0-9.]+)-')"
same "the container's user" "$(first $image '^USER ([0-9]+):')" "$(first $image '--uid ([0-9]+)')"
connections=$(setting connections connections_max)
more "the unit's open files" "$(first $unit '^LimitNOFILE=([0-9]+)')" "$connections"
more "the container's open files" "$(first $compose 'nofile: ([0-9]+)')" "$connections"
shutdown_s=$(($(setting connections shutdown_timeout_ms) / 1000))
more "the unit's time to stop" "$(first $unit '^TimeoutStopSec=([0-9]+)')" "$shutdown_s"
more "the container's time to stop" "$(first $compose 'stop_grace_period: ([0-9]+)s')" "$shutdown_s"
holds "no floating tag" bash -c "! grep -nE '^FROM [^ :]+( |\$)|^ *image: [a-z/]+:latest|:latest' $image $compose"

# What the image copies is not held back by .dockerignore, and the build sees the whole workspace.
for member in $(sed -nE 's/^members = \[(.*)\]$/\1/p' Cargo.toml | tr -d '",'); do
  holds ".dockerignore lets $member through" grep -qx "!${member%%/*}" .dockerignore
done
for file in LICENSE-MIT LICENSE-APACHE Cargo.lock rust-toolchain.toml; do
  holds ".dockerignore lets $file through" grep -qx "!$file" .dockerignore
done

for metric in $(grep -oE '\bsotto_[a-z_]+' deploy/alerts.yml | sort -u); do
  holds "the relay declares $metric" grep -rqF "\"$metric\"" server/src
done
while read -r title; do
  holds "RUNBOOK.md has the section \"$title\"" grep -qxE "#+ $title" "$runbook"
done < <(grep -hoE 'RUNBOOK.md, "[^"]+"' deploy/*.yml deploy/*.yaml deploy/*.toml deploy/Dockerfile | sed -E 's/.*"(.*)"/\1/' | sort -u)

skipped=()
if command -v python3 >/dev/null && python3 -c 'import yaml' 2>/dev/null; then
  for file in deploy/*.yaml deploy/*.yml; do
    holds "$file is YAML" python3 -c 'import sys, yaml; yaml.safe_load(open(sys.argv[1]))' "$file"
  done
else
  skipped+=("YAML syntax (python3-yaml)")
fi
if docker compose version >/dev/null 2>&1; then
  holds "compose reads $compose" env SOTTO_DOMAIN=relay.example docker compose -f "$compose" config -q
else
  skipped+=("docker compose config")
fi
if command -v caddy >/dev/null; then
  holds "caddy validates $proxy" env SOTTO_DOMAIN=relay.example \
    caddy validate --adapter caddyfile --config "$proxy"
  holds "$proxy is formatted" diff <(caddy fmt "$proxy") "$proxy"
else
  skipped+=("caddy validate")
fi
if command -v systemd-analyze >/dev/null; then
  scratch=$(mktemp -d)
  # Everything but the binary's being installed: any program stands in for it.
  sed 's#/usr/bin/sotto-relay#/bin/true#' "$unit" >"$scratch/sotto-relay.service"
  holds "systemd accepts the unit" bash -c \
    "! systemd-analyze verify --man=no '$scratch/sotto-relay.service' 2>&1 | grep -F sotto-relay"
  holds "systemd calls the unit's exposure at most 2.0 of 10" \
    systemd-analyze security --no-pager --offline=true --threshold=20 "$scratch/sotto-relay.service"
  rm -rf "$scratch"
else
  skipped+=("systemd-analyze verify")
fi

if [ -n "${SOTTO_RELAY:-}" ]; then
  holds "the relay accepts $settings" "$SOTTO_RELAY" check-config --config "$settings"
  status=0
  "$SOTTO_RELAY" check-config --config /nonexistent.toml >/dev/null 2>&1 || status=$?
  holds "the relay refuses a missing file" [ "$status" -ne 0 ]
  for command in $(grep -oE 'sotto-relay [a-z-]+' "$runbook" $unit | sed 's/.* //' | sort -u); do
    holds "the relay knows $command" "$SOTTO_RELAY" "$command" --help
  done
else
  skipped+=("the relay's own check (set SOTTO_RELAY)")
fi

for what in "${skipped[@]}"; do
  echo "SKIPPED: $what"
done
exit "$failed"
