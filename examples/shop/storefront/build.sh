#!/bin/sh
# Compiles the service. The files are named one by one, so that no module is needed.
set -eu
. ./go.sh
mkdir -p bin
go build -ldflags "-s -w -X main.version=$INPUT_version" -o bin/storefront main.go shop.go
echo "built bin/storefront $INPUT_version"
