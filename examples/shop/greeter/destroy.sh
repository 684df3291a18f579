#!/bin/sh
# Takes the greeting back.
set -eu
. ./place.sh
rm -f "$file"
rmdir "$INPUT_run_dir" 2>/dev/null || true # when it was the last
