// Package childprocess lets one binary play the parts of the children that workers start: the supervisor of scripts, the
// fetching of sources, and the ssh connection of a fetch. The slipway command and the tests that run workers call Run
// first of all.
package childprocess

import (
	"os"

	"slipway/internal/fetch"
	"slipway/internal/runner"
)

// Run plays the part that the first argument names and ends the process. Where it names none, Run returns: this process
// is no child.
func Run() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case "supervise":
		os.Exit(runner.SuperviseMain())
	case "fetch":
		os.Exit(fetch.Main())
	case "fetch-dial":
		os.Exit(fetch.DialMain(os.Args[2:]))
	}
}
