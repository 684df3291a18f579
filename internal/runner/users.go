package runner

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// UserRange is the range of user ids that scripts run as, one id for each workspace. The ids need no entry in
// /etc/passwd; each is used with the group of the same number. The zero value runs scripts as the worker's own user.
type UserRange struct {
	First, Last int
}

// ParseUserRange reads a range such as "20000-29999". An empty text is the zero range.
func ParseUserRange(text string) (UserRange, error) {
	if text == "" {
		return UserRange{}, nil
	}
	first, last, ok := strings.Cut(text, "-")
	a, errA := strconv.Atoi(strings.TrimSpace(first))
	b, errB := strconv.Atoi(strings.TrimSpace(last))
	if !ok || errA != nil || errB != nil || a < 1000 || b < a || b > 1<<31-2 {
		return UserRange{}, fmt.Errorf("%q is not a range of user ids such as 20000-29999 (1000 or higher)", text)
	}
	return UserRange{First: a, Last: b}, nil
}

// users hands out the ids of a range.
type users struct {
	limits UserRange

	mu   sync.Mutex
	next int
	used map[int]bool
}

func newUsers(limits UserRange) *users {
	return &users{limits: limits, next: limits.First, used: map[int]bool{}}
}

// acquire returns an id that no workspace and no process uses. A deployed service may run on for months under the id of
// the script that started it; a later script must not be able to signal it or read its files.
func (u *users) acquire() (int, error) {
	if u.limits == (UserRange{}) {
		return 0, nil
	}
	running, err := runningUsers()
	if err != nil {
		return 0, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for range u.limits.Last - u.limits.First + 1 {
		id := u.next
		if u.next++; u.next > u.limits.Last {
			u.next = u.limits.First
		}
		if !u.used[id] && !running[id] {
			u.used[id] = true
			return id, nil
		}
	}
	return 0, errors.New("every user id of the configured range is in use")
}

func (u *users) release(id int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.used, id)
}

// runningUsers are the owners of all processes.
func runningUsers() (map[int]bool, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	ids := map[int]bool{}
	for _, entry := range entries {
		if name := entry.Name(); name[0] < '0' || name[0] > '9' {
			continue
		}
		if info, err := os.Stat("/proc/" + entry.Name()); err == nil {
			ids[int(info.Sys().(*syscall.Stat_t).Uid)] = true
		}
	}
	return ids, nil
}
