package clouds_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	_ "slipway/internal/blob" // file and mem
	_ "slipway/internal/blob/clouds"
)

func TestSchemesAreKnown(t *testing.T) {
	for _, scheme := range []string{"file", "mem", "s3", "gs", "azblob"} {
		require.True(t, blob.DefaultURLMux().ValidBucketScheme(scheme), scheme)
	}
}
