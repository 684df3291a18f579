#!/bin/sh
# Stops the service and removes what it left.
set -eu
. ./process.sh

if [ -d "$dir" ]; then
	dir=$(cd "$dir" && pwd -P)
	if [ -s "$dir/pid" ]; then stop "$(cat "$dir/pid")"; fi
	rm -rf -- "$dir"
fi
rmdir "$INPUT_run_dir" 2>/dev/null || true # when it was the last
echo "the storefront is gone"
