#!/bin/sh
# Makes Temporal's databases where they are missing and brings them to the version of this image. The address and the
# credentials come as SQL_* variables.
set -eu

for database in temporal visibility; do
	name=temporal
	if [ "$database" = visibility ]; then name=temporal_visibility; fi
	export SQL_DATABASE=$name
	# Both fail on a database that is there already, which is no fault.
	temporal-sql-tool create-database || true
	temporal-sql-tool setup-schema -v 0.0 || true
	temporal-sql-tool update-schema -d "/etc/temporal/schema/postgresql/v12/$database/versioned"
done
