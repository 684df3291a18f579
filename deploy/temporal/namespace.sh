#!/bin/sh
# Makes Slipway's namespace and search attributes where they are missing. TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where.
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

# A new namespace is known everywhere only after some seconds.
tries=0
until temporal operator search-attribute list >/dev/null 2>&1; do
	tries=$((tries + 1))
	if [ "$tries" -gt 60 ]; then
		echo "the namespace $TEMPORAL_NAMESPACE cannot be used" >&2
		exit 1
	fi
	sleep 1
done

for name in SlipwayProject SlipwayEnvironment SlipwayKind SlipwaySubject SlipwayStatus; do
	temporal operator search-attribute list | grep -qw "$name" ||
		temporal operator search-attribute create --name "$name" --type Keyword
done
