// Package runner runs scripts as process groups that cannot outlive their worker.
//
// A worker starts one supervisor: a small child process (the same binary, started as "slipway supervise") that is tied
// to it by a socket. The worker asks the supervisor to start scripts and hands it the write ends of their output pipes,
// so output flows from the script straight to the worker. When the socket closes, however the worker died, the
// supervisor kills every group that still runs and ends. When the supervisor dies, the worker kills the groups itself
// and the next Run starts a new supervisor.
//
// One supervisor serves all scripts of a worker because the binary is large: starting it costs tens of milliseconds,
// starting a script through it costs about as much as a plain fork and exec.
//
// The package needs Linux: it uses descriptor passing, child subreapers and parent-death signals.
package runner
