# Read by build.sh and test.sh: Go without settings of the machine's own, but with its build cache.
export GOTOOLCHAIN=local GOFLAGS=-trimpath GOWORK=off
if [ "$INPUT_go_cache" != auto ]; then
	export GOCACHE="$INPUT_go_cache"
fi
