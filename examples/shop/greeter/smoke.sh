#!/bin/sh
# What is published is what was put out.
set -eu

published=$(cat "$OUTPUT_file")
if [ "$published" != "$OUTPUT_greeting" ]; then
	echo "published is '$published', not '$OUTPUT_greeting'" >&2
	exit 1
fi
echo "the greeting is published"
