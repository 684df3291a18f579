#!/bin/sh
# Asks the running service over HTTP: it must be this version and greet as this environment wants.
set -eu
bin/storefront ask -url "$OUTPUT_url" -version "$INPUT_version" -greeting "$INPUT_greeting"
