#!/bin/sh
# Makes Slipway's namespace where it is missing. TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say which. The search attributes
# are added by `slipway migrate`.
set -eu

tries=0
until temporal operator cluster health; do
	tries=$((tries + 1))
	if [ "$tries" -gt 60 ]; then
		echo "Temporal is not healthy" >&2
		exit 1
	fi
	sleep 1
done

temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
	temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 168h
