// Package footprint keeps small what a process that waits holds in memory.
package footprint

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Shrink gives back what only the start of the process needed: the garbage of the packages that set themselves up, and the
// program itself. The start of a large binary touches most of its code and constants, and little of it is needed again; what
// is comes back from the page cache, unread from the disk.
func Shrink() {
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	var m mapping
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// First "address-address permissions offset device inode path", then lines "Name:  number kB", of which VmFlags is
		// the last.
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) < 2:
		case !strings.HasSuffix(fields[0], ":"):
			m = mapping{}
			if len(fields) > 5 && strings.HasPrefix(fields[5], "/") && (fields[1] == "r-xp" || fields[1] == "r--p") {
				_, err := fmt.Sscanf(fields[0], "%x-%x", &m.from, &m.to)
				m.file = err == nil
			}
		case fields[0] == "Anonymous:", fields[0] == "Swap:":
			// The loader writes into some of what it then makes read-only: that exists nowhere else.
			m.changed = m.changed || fields[1] != "0"
		case fields[0] == "VmFlags:":
			if m.file && !m.changed {
				_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
			}
		}
	}
}

// mapping is a part of the address space.
type mapping struct {
	from, to uintptr
	// file says that it shows a file that it may only read; changed, that not all of it is as in the file.
	file, changed bool
}
