#!/bin/sh
# Starts this version beside the one before, waits until it answers, then stops the one before.
set -eu
outputs=$1
. ./process.sh

mkdir -p "$dir"
# Absolute and without links, as /proc shows it.
dir=$(cd "$dir" && pwd -P)
before=$(cat "$dir/pid" 2>/dev/null || true)

# The package's folder does not outlive this script. A file of its own for each start: a running binary cannot be
# written to.
binary=$dir/storefront-$INPUT_version-$$
cp bin/storefront "$binary"
rm -f "$dir/address"

# A session of its own, so that it outlives this script.
detached=
if command -v setsid >/dev/null; then detached=setsid; fi
$detached "$binary" serve -environment "$INPUT_environment" -greeting "$INPUT_greeting" -address-file "$dir/address" \
	</dev/null >>"$dir/log" 2>&1 &
pid=$!
# A deployment that fails or is cancelled leaves nothing of its own behind.
trap 'kill -KILL "$pid" 2>/dev/null; rm -f "$binary"' EXIT
trap 'exit 1' INT TERM

tries=0
until [ -s "$dir/address" ]; do
	if ! kill -0 "$pid" 2>/dev/null || [ "$tries" -gt 200 ]; then
		echo "the storefront did not start:" >&2
		tail -n 20 "$dir/log" >&2
		exit 1
	fi
	tries=$((tries + 1))
	sleep 0.05
done

echo "$pid" >"$dir/pid"
trap - EXIT
if [ -n "$before" ]; then stop "$before"; fi
for old in "$dir"/storefront-*; do
	[ "$old" = "$binary" ] || rm -f "$old"
done

url=http://$(cat "$dir/address")/
printf '{"url": "%s"}\n' "$url" >"$outputs"
echo "storefront $INPUT_version answers at $url"
