#!/bin/sh
# Publishes the greeting and puts it out for those who depend on this application.
set -eu
outputs=$1
. ./place.sh

# The language reaches awk through its environment: a value is never part of a program.
greeting=$(awk -F '\t' '$1 == ENVIRON["INPUT_language"] { print $2 }' greetings.tsv)
if [ -z "$greeting" ]; then
	echo "no greeting in the language '$INPUT_language'" >&2
	exit 1
fi

mkdir -p "$INPUT_run_dir"
printf '%s\n' "$greeting" >"$file.new"
mv "$file.new" "$file"
printf '{"greeting": "%s", "file": "%s"}\n' "$greeting" "$file" >"$outputs"
echo "published: $greeting"
