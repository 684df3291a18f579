//go:build !linux

package temporaldev

import "syscall"

// dieWithParent does nothing here: only Linux has a parent-death signal. After a kill -9 of the parent the child must be
// ended by hand; the lock on the data folder says so at the next start.
func dieWithParent(*syscall.SysProcAttr) {}
