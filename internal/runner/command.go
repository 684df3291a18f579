package runner

import (
	"io"
	"time"
)

// DefaultGrace is the time between SIGTERM and SIGKILL when a command names none.
const DefaultGrace = 10 * time.Second

// Command is one script to run.
type Command struct {
	// Argv is the program and its arguments. A program without a slash is looked up in the PATH of the script's own
	// environment; a relative one is taken from Dir. Nothing is ever passed through a shell.
	Argv []string
	// Dir is the working directory. It must exist.
	Dir string
	// Env holds NAME=value pairs that are added to the base environment (see Options.Env); later ones win.
	Env []string
	// Home and Temp become HOME and TMPDIR. They default to Dir: the worker's own home never leaks into a script.
	Home, Temp string
	// Stdin is what the script reads; without it standard input is /dev/null.
	Stdin []byte
	// Timeout ends the script after this time. Zero means no limit.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL, for the whole group. Zero means DefaultGrace, a negative value
	// sends SIGKILL at once.
	Grace time.Duration
	// OutputLimit is the number of bytes both streams may carry together; the script is killed when it prints more.
	// Zero means no limit.
	OutputLimit int64
	// UID and GID are the identity of the script. Zero means the identity of the worker: scripts are never asked to
	// run as root. Any other value needs a worker that runs as root.
	UID, GID int
	// Limits are kernel limits per process.
	Limits Limits
}

// Limits are kernel resource limits for each process of a script. Zero leaves a limit as it is.
type Limits struct {
	// FileSize is the largest file a process may write, in bytes. A process that goes on gets SIGXFSZ.
	FileSize int64
	// Memory is the largest address space of a process, in bytes. Go and Java programs reserve far more than they use.
	Memory int64
	// OpenFiles is the number of descriptors of a process.
	OpenFiles int64
	// Processes is the number of processes of the script's user; it means little unless each script has its own UID.
	Processes int64
}

// Output takes what a script prints. A nil writer drops the stream. When both are the same writer, the two streams
// share one pipe, so that their order is kept. A writer that is slow slows the script; nothing is lost. Writes to one
// stream come one at a time, but the two streams write at the same time when the writers differ.
type Output struct {
	Stdout, Stderr io.Writer
}

// Combined sends both streams to one writer in the order in which they were written.
func Combined(w io.Writer) Output { return Output{Stdout: w, Stderr: w} }
