package runner

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// forgetProgram takes the program's code out of this process's memory. The start of a large binary touches most of it,
// the supervisor needs little of it again; what it does need comes back from the page cache at no cost. Nothing but code
// is given back: read-only data may have been changed by the loader before it became read-only, and that would be lost.
func forgetProgram() {
	debug.FreeOSMemory()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// address-address permissions offset device inode path
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || fields[1] != "r-xp" {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err == nil {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
