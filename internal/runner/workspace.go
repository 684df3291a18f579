package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Workspaces makes the folders that scripts run in, below one root. Each process has a folder of its own there that it
// holds locked, so several workers can share a root and the next start removes what a killed worker left behind.
type Workspaces struct {
	folder string
	lock   *os.File
	users  *users
}

// OpenWorkspaces makes root if it is missing, removes the workspaces of processes that are gone, and returns a place
// for new ones. With a range of users each workspace gets a user of its own, which needs root rights.
func OpenWorkspaces(root string, scripts UserRange) (*Workspaces, error) {
	if scripts != (UserRange{}) && os.Geteuid() != 0 {
		return nil, errors.New("a range of user ids for scripts needs a worker that runs as root")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	// Scripts of other users must get through to their own folder, but may not list their neighbours.
	if err := os.MkdirAll(root, 0o711); err != nil {
		return nil, fmt.Errorf("make the folder for workspaces: %w", err)
	}
	if err := sweep(root); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(root, "worker-")
	if err != nil {
		return nil, fmt.Errorf("make the folder for workspaces: %w", err)
	}
	if err := os.Chmod(folder, 0o711); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(folder+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock the folder for workspaces: %w", err)
	}
	return &Workspaces{folder: folder, lock: lock, users: newUsers(scripts)}, nil
}

// sweep removes the folders whose lock nobody holds.
func sweep(root string) error {
	locks, err := filepath.Glob(filepath.Join(root, "worker-*.lock"))
	if err != nil {
		return err
	}
	for _, name := range locks {
		file, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue // swept by another worker meanwhile
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = errors.Join(wipe(strings.TrimSuffix(name, ".lock")), os.Remove(name))
		}
		file.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old workspaces: %w", err)
		}
	}
	return nil
}

// Close removes all workspaces of this process.
func (w *Workspaces) Close() error {
	err := errors.Join(wipe(w.folder), os.Remove(w.lock.Name()))
	return errors.Join(err, w.lock.Close())
}

// Workspace is the folder of one script or of several that run one after another. Only its user can enter it.
type Workspace struct {
	// Path is the folder itself; the others lie in it.
	Path string
	// Source is for the files that scripts work on, Home is their HOME, Temp their TMPDIR.
	Source, Home, Temp string
	// UID and GID are the user that scripts run as here; 0 is the worker's own. They go into Command as they are.
	UID, GID int

	users *users
}

// Make makes an empty workspace.
func (w *Workspaces) Make() (*Workspace, error) {
	id, err := w.users.acquire()
	if err != nil {
		return nil, fmt.Errorf("make a workspace: %w", err)
	}
	path, err := os.MkdirTemp(w.folder, "w")
	if err != nil {
		w.users.release(id)
		return nil, fmt.Errorf("make a workspace: %w", err)
	}
	space := &Workspace{
		Path: path, Source: filepath.Join(path, "src"), Home: filepath.Join(path, "home"), Temp: filepath.Join(path, "tmp"),
		UID: id, GID: id, users: w.users,
	}
	for _, folder := range []string{space.Source, space.Home, space.Temp} {
		err = errors.Join(err, os.Mkdir(folder, 0o700))
	}
	if err = errors.Join(err, space.Own()); err != nil {
		return nil, errors.Join(fmt.Errorf("make a workspace: %w", err), space.Wipe())
	}
	return space, nil
}

// Command fills in what a script needs to run here: folder, home, temporary folder and user.
func (w *Workspace) Command(argv ...string) Command {
	return Command{Argv: argv, Dir: w.Source, Home: w.Home, Temp: w.Temp, UID: w.UID, GID: w.GID}
}

// Own gives everything in the workspace to its user. Call it after the worker itself has put files there. Symbolic
// links are changed themselves, not what they point at.
func (w *Workspace) Own() error {
	if w.UID == 0 {
		return nil
	}
	// Through os.Root a script that runs meanwhile cannot lead the walk out of the folder.
	root, err := os.OpenRoot(w.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, w.UID, w.GID)
	})
}

// Wipe removes the workspace with everything in it, also folders made read-only (as Go's module cache is), and frees
// its user. A service that a deployment left running must not have its files here.
func (w *Workspace) Wipe() error {
	err := wipe(w.Path)
	if w.UID != 0 {
		w.users.release(w.UID)
	}
	if err != nil {
		return fmt.Errorf("wipe the workspace: %w", err)
	}
	return nil
}

// wipe is os.RemoveAll that opens closed folders.
func wipe(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	root, openErr := os.OpenRoot(path)
	if openErr != nil {
		return err
	}
	defer root.Close()
	unlock(root, ".")
	return os.RemoveAll(path)
}

// unlock makes every folder below dir writable, as far as this user may. It follows no symbolic links.
func unlock(root *os.Root, dir string) {
	_ = root.Chmod(dir, 0o700)
	folder, err := root.Open(dir)
	if err != nil {
		return
	}
	entries, _ := folder.ReadDir(-1)
	folder.Close()
	for _, entry := range entries {
		if entry.IsDir() {
			unlock(root, filepath.Join(dir, entry.Name()))
		}
	}
}
