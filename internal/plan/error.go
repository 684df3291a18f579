package plan

import "fmt"

// Error says what is wrong in a plan and where, for the person who wrote it.
type Error struct {
	File    string // as the caller named it
	Line    int    // 0 if it is not known
	Field   string // plan field such as "depends"; "" if it is about the whole file
	Message string
}

func (e *Error) Error() string {
	text := e.File
	if e.Line > 0 {
		text += fmt.Sprintf(":%d", e.Line)
	}
	if e.Field != "" {
		text += fmt.Sprintf(": field '%s'", e.Field)
	}
	return text + ": " + e.Message
}
