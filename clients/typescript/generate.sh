#!/usr/bin/env bash
# Writes the TypeScript stubs of the contract and of gRPC's error details; with --check says whether the committed ones
# are fresh. The plugin is the one that package-lock.json names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

buf=../../.venv/bin/buf

generate() {
    local template
    template=$(printf '{"version": "v2", "plugins": [{"local": "node_modules/.bin/protoc-gen-es", "out": "%s", "opt": ["target=ts", "import_extension=js"]}]}' "$1")
    "$buf" generate ../../protos --template "$template"
    "$buf" generate protos --template "$template"
}

if [[ ${1:-} != --check ]]; then
    generate src/gen
else
    built=$(mktemp -d)
    trap 'rm -rf "$built"' EXIT
    generate "$built/gen"
    diff -r src/gen "$built/gen" || { echo "not fresh, run clients/typescript/generate.sh"; exit 1; }
fi
