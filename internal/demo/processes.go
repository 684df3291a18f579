package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// children are the processes that this one has.
func children() map[int]bool {
	set := map[int]bool{}
	for _, p := range processes() {
		if p.parent == os.Getpid() {
			set[p.pid] = true
		}
	}
	return set
}

// noProcessLeft fails when a process runs whose program or working folder is inside dir, or that is a child of this one and
// was not among those before. It sees only where /proc is.
func noProcessLeft(dir string, before map[int]bool) error {
	var left []string
	for _, p := range processes() {
		if p.inside(dir) || (p.parent == os.Getpid() && !before[p.pid]) {
			left = append(left, fmt.Sprintf("%d (%s)", p.pid, p.name))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("still running: %s", strings.Join(left, ", "))
	}
	return nil
}

// killDeployed kills what was deployed below dir and not destroyed, and returns how many those were. Only programs inside
// dir count: nothing but the demo puts programs there.
func killDeployed(dir string) int {
	killed := 0
	for _, p := range processes() {
		if within(p.program, dir) && syscall.Kill(p.pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}

// process is a running process as /proc shows it.
type process struct {
	pid, parent           int
	name, program, folder string
}

func (p process) inside(dir string) bool { return within(p.program, dir) || within(p.folder, dir) }

// within says whether a path is below dir. A deleted program's path ends in " (deleted)", which does not matter here.
func within(path, dir string) bool { return strings.HasPrefix(path, dir+string(filepath.Separator)) }

// processes lists the running processes of this machine that this user may look at.
func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		base := filepath.Join("/proc", entry.Name())
		stat, err := os.ReadFile(filepath.Join(base, "stat"))
		if err != nil {
			continue
		}
		// pid (name) state parent ...; the name may have spaces and parentheses.
		open, end := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
		if open < 0 || end < open {
			continue
		}
		fields := strings.Fields(string(stat[end+1:]))
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		p := process{pid: pid, name: string(stat[open+1 : end])}
		p.parent, _ = strconv.Atoi(fields[1])
		p.program, _ = os.Readlink(filepath.Join(base, "exe"))
		p.folder, _ = os.Readlink(filepath.Join(base, "cwd"))
		list = append(list, p)
	}
	return list
}
