package models

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
)

// What no index finds is tried on every digest, so a filter may have few of such patterns, wherever the wildcard stands.
func TestPatternsThatAreTriedAreFew(t *testing.T) {
	check := func(comparison string, n int) error {
		filter, err := rsql.Parse(strings.TrimSuffix(strings.Repeat(comparison+",", n), ","))
		require.NoError(t, err, comparison)
		return CheckAssetFilter(filter)
	}
	for _, digest := range []string{"*", "*abc", "s*abc", "sha256:*abc", "SHA256:*abc", "sha256:ab*cdef", "sha512:ab*", "sha256:xyz*", "abcdef*"} {
		for _, field := range []string{"config_digest==", "manifest_digest!=", "index_digest=="} {
			require.NoError(t, check(field+digest, maxTried), field+digest)
			require.ErrorContains(t, check(field+digest, maxTried+1), "too many patterns", field+digest)
		}
	}
	for _, digest := range []string{"sha256:abc*", "SHA256:ABC*d*", "sha512:0123456789*", "sha256:abc"} {
		require.NoError(t, check("config_digest=="+digest, 50), digest)
	}
	for _, comparison := range []string{"image_labels.a==b", "image_labels.a!=b", "image_labels.b=out=(c,d)", "image_labels==''"} {
		require.NoError(t, check(comparison, maxImageLabels), comparison)
		require.ErrorContains(t, check(comparison, maxImageLabels+1), "too many comparisons of image labels", comparison)
	}
}
