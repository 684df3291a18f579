#!/bin/sh
# Puts the languages together: one line per language, its code and its greeting with a tab between.
set -eu

for file in languages/*.txt; do
	code=$(basename "$file" .txt)
	printf '%s\t%s\n' "$code" "$(head -n 1 "$file")"
done >greetings.tsv
echo "$(wc -l <greetings.tsv) languages"
