package temporaldev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/periodic"
)

// ErrInUse says that another server works in the data folder.
var ErrInUse = errors.New("the data folder is in use by another Temporal server")

// lockWait is how long a start waits for the lock. The child of a parent that was killed needs a moment to die.
const lockWait = 5 * time.Second

// lockFolder takes the folder for this process and its child. The open file is also given to the child: the lock belongs
// to the open file, not to a process, so it is free again only when both are gone.
func lockFolder(ctx context.Context, dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "temporal.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("temporal server: lock file: %w", err)
	}
	deadline := time.Now().Add(lockWait)
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			file.Close()
			return nil, fmt.Errorf("temporal server: lock %s: %w", file.Name(), err)
		}
		if time.Now().After(deadline) {
			file.Close()
			return nil, fmt.Errorf("temporal server: %s: %w", dir, ErrInUse)
		}
		if err := periodic.Pause(ctx, 20*time.Millisecond); err != nil {
			file.Close()
			return nil, err
		}
	}
}
