#!/bin/sh
# Every language of the plan has a greeting, and no greeting would break the JSON of the outputs.
set -eu

for code in en de fr; do
	awk -F '\t' -v code="$code" '$1 == code && $2 != "" { found = 1 } END { exit !found }' greetings.tsv || {
		echo "no greeting for $code" >&2
		exit 1
	}
done
if grep -n '["\\]' greetings.tsv; then
	echo "a greeting has a quote or a backslash" >&2
	exit 1
fi
echo "all greetings are there"
