// Package clouds links in the storage drivers for S3 (s3://), Google Cloud Storage (gs://) and Azure (azblob://). They
// are kept apart from package blob because they are large: only the command needs them.
package clouds

import (
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://
)
