package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. It is far more than anything takes, so that a busy machine fails no test; tests that prove
// a time measure it themselves.
const patience = 90 * time.Second

// await asks again and again until f is true. what says what was awaited; f's text says how far it is.
func await(t testing.TB, what string, f func() (bool, string)) {
	t.Helper()
	awaitWithin(t, patience, what, f)
}

func awaitWithin(t testing.TB, limit time.Duration, what string, f func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, at := f()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s (it is at: %s)", limit, what, at)
		}
		<-tick.C
	}
}

// processesOf lists the processes that scripts of an execution have left: they carry its id in their environment, whatever
// group, session or parent they are in now.
func processesOf(t testing.TB, executionID string) []int {
	t.Helper()
	mark := []byte("SLIPWAY_EXECUTION=" + executionID + "\x00")
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append(env, 0), mark) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// noProcessesOf waits until nothing of an execution's scripts runs any more.
func noProcessesOf(t testing.TB, limit time.Duration, executionID string) {
	t.Helper()
	awaitWithin(t, limit, "no process of the execution is left", func() (bool, string) {
		left := processesOf(t, executionID)
		return len(left) == 0, fmt.Sprint("processes ", left)
	})
}

// alive says whether a process runs; one that has ended and was not waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// parentOf is a process's parent, 0 where it is gone.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name stands in parentheses and may hold anything.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

func itoa(n int) string { return strconv.Itoa(n) }
