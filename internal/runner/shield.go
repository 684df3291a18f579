package runner

import "golang.org/x/sys/unix"

// Shield keeps processes of the same user from reading this process's memory and environment (/proc/pid/environ, mem,
// ptrace), and keeps it from leaving core dumps. A worker that holds credentials calls it at start: where scripts run as
// the worker's own user it is the only thing between them and those credentials. It cannot protect from root.
func Shield() error {
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
