package runner

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
)

// groupGone reports whether no process of the group runs. Processes that have ended but were not collected by their
// parent do not count: they hold nothing and cannot act, and their parent may never collect them.
func groupGone(pgid int) bool {
	if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
		return true
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		group, state, ok := processGroup(pid)
		if ok && group == pgid && state != 'Z' && state != 'X' {
			return false
		}
	}
	return true
}

// processGroup reads a process's group and state from /proc/pid/stat: "pid (name) state ppid pgrp ...". The name may
// hold spaces and brackets, so the fields are counted from the last bracket.
func processGroup(pid int) (group int, state byte, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 3 {
		return 0, 0, false
	}
	group, err = strconv.Atoi(string(fields[2]))
	return group, fields[0][0], err == nil
}
