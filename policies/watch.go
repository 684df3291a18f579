package policies

import (
	"context"
	"fmt"
	"time"
)

// Reload looks at the policy source again and uses it if it changed; it says whether it did. A source that cannot be
// used is reported and leaves the policy that was in force.
func (e *Engine) Reload(ctx context.Context) (bool, error) {
	if e.options.Path == "" {
		return false, nil
	}
	e.reload.Lock()
	defer e.reload.Unlock()
	found, err := files(e.options.Path)
	if err != nil {
		return false, e.refuse("unreadable: "+err.Error(), fmt.Errorf("read the policy: %w", err))
	}
	print := fingerprint(found)
	if print == e.current.Load().fingerprint {
		e.refused = ""
		return false, nil
	}
	if print == e.refused {
		return false, nil
	}
	c, err := compile(ctx, found)
	if err != nil {
		return false, e.refuse(print, fmt.Errorf("load the policy: %w", err))
	}
	// A folder is not replaced in one step. What parses may still be half of it, so it must look the same twice.
	again, err := files(e.options.Path)
	if err != nil || fingerprint(again) != print {
		return false, nil
	}
	e.refused = ""
	e.current.Store(c)
	e.options.Log.InfoContext(ctx, "policy replaced", "path", e.options.Path, "sha256", print)
	return true, nil
}

func (e *Engine) refuse(print string, err error) error {
	if e.refused == print {
		return nil
	}
	e.refused = print
	return err
}

// Watch reloads the policy when it changes, until ctx ends. A bad policy is logged, once, and the old one stays.
func (e *Engine) Watch(ctx context.Context) {
	if e.options.Path == "" {
		return
	}
	tick := time.NewTicker(e.options.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := e.Reload(ctx); err != nil {
				e.options.Log.ErrorContext(ctx, "the changed policy is not usable, the old one stays in force", "path", e.options.Path, "error", err)
			}
		}
	}
}
