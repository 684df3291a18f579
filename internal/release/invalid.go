package release

import "fmt"

// InvalidError says what is wrong with a release id, with metadata or with an archive. Its text is meant for the person
// who sent it; several texts are part of the inventory's protocol, so do not wrap them on their way out.
type InvalidError struct{ Message string }

func (e *InvalidError) Error() string { return e.Message }

func invalidf(format string, args ...any) error {
	return &InvalidError{Message: fmt.Sprintf(format, args...)}
}
