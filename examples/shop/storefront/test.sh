#!/bin/sh
# The service's own tests.
set -eu
. ./go.sh
go test -count=1 main.go shop.go shop_test.go
