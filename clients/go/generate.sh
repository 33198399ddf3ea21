#!/usr/bin/env bash
# Writes the Go stubs of the contract; with --check says whether the committed ones are fresh. The plugins are the tools
# that go.mod names, the compiler is that of the Python stubs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
go build -o "$built" tool

generate() {
    ../../.venv/protos/bin/python -m grpc_tools.protoc --proto_path=../../protos \
        --plugin="$built/protoc-gen-go" --go_out="$1" --go_opt=module=asrgateway \
        --plugin="$built/protoc-gen-go-grpc" --go-grpc_out="$1" --go-grpc_opt=module=asrgateway \
        asrgateway/v1/recognition.proto
}

if [[ ${1:-} != --check ]]; then
    generate .
else
    generate "$built"
    diff -r asrgatewayv1 "$built/asrgatewayv1" || { echo "not fresh, run clients/go/generate.sh"; exit 1; }
fi
