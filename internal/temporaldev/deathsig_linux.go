package temporaldev

import "syscall"

// dieWithParent has the kernel kill the child when its parent is gone, kill -9 included.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
