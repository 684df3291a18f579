package models

import "github.com/google/uuid"

// NewID returns an identifier that sorts by age: a UUID of version 7. Lists page by it ("every item has an id lower
// than page_from"), so it must rise with time also within one millisecond, which the generator sees to in a process.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }
