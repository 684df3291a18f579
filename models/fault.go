package models

import (
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// Faults make a Store fail, for tests: Before is asked in front of each statement, and its error keeps it from being
// executed; After is asked behind it, and its error hides that it was: the caller must take it that nothing happened,
// while it did. Commit is asked behind the commit of each transaction, and hides that likewise. All may be nil.
type Faults struct{ Before, After, Commit func() error }

// committed is what the caller of a transaction is told that was committed.
func (f *Faults) committed() error {
	if f == nil || f.Commit == nil {
		return nil
	}
	return f.Commit()
}

// ErrFault is what tests let a Store fail with: as a lost connection does, it says nothing about what happened.
var ErrFault = errors.New("injected fault: driver: bad connection")

// install adds the faults to a handle's callbacks.
func (f *Faults) install(g *gorm.DB) error {
	if f == nil {
		return nil
	}
	ask := func(fault func() error) func(*gorm.DB) {
		return func(db *gorm.DB) {
			if db.Error != nil || fault == nil || db.DryRun { // a part of another statement is not executed by itself
				return
			}
			if err := fault(); err != nil {
				_ = db.AddError(err)
			}
		}
	}
	c := g.Callback()
	type processor interface {
		Register(name string, fn func(*gorm.DB)) error
	}
	for name, at := range map[string][2]processor{
		"create": {c.Create().Before("*"), c.Create().After("*")}, "query": {c.Query().Before("*"), c.Query().After("*")},
		"update": {c.Update().Before("*"), c.Update().After("*")}, "delete": {c.Delete().Before("*"), c.Delete().After("*")},
		"raw": {c.Raw().Before("*"), c.Raw().After("*")}, "row": {c.Row().Before("*"), nil},
	} {
		if err := at[0].Register("fault:before_"+name, ask(f.Before)); err != nil {
			return fmt.Errorf("inject faults: %w", err)
		}
		// Rows that were opened and are then hidden would never be closed, so reading them fails in front only.
		if at[1] == nil {
			continue
		}
		if err := at[1].Register("fault:after_"+name, ask(f.After)); err != nil {
			return fmt.Errorf("inject faults: %w", err)
		}
	}
	return nil
}
