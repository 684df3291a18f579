package executions

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/temporaldev"
)

// The embedded server is started with the search attributes that executions are started with.
func TestTheEmbeddedServerKnowsAllSearchAttributes(t *testing.T) {
	var names []string
	for _, a := range searchAttributes {
		names = append(names, a.GetName())
	}
	require.ElementsMatch(t, temporaldev.SearchAttributes, names)
}
