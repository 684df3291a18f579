package release

import (
	"errors"

	"github.com/klauspost/compress/flate"
)

// isCorrupt reports whether the compressed data itself is broken.
func isCorrupt(err error) bool {
	var corrupt flate.CorruptInputError
	var internal flate.InternalError
	return errors.As(err, &corrupt) || errors.As(err, &internal)
}
