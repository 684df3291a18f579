package state

import "fmt"

// InvalidError says what is wrong with a name, a path or a document. Its text is meant for the person who sent it, and
// some texts are those that clients know, so do not wrap them on their way out.
type InvalidError struct{ Message string }

func (e *InvalidError) Error() string { return e.Message }

func invalidf(format string, args ...any) error {
	return &InvalidError{Message: fmt.Sprintf(format, args...)}
}
