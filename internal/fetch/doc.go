// Package fetch gets the sources of builds and the downloads of plans.
//
// go-getter and git do the work in a child process ("slipway fetch") that runs under the script runner: with a clean
// environment, as the user of the workspace, with limits on time and size. Everything that comes from a user (URL,
// branch, commit, key) is checked first and is then only ever data: it reaches git after "--" or in a file, never a
// shell. Keys travel through a pipe and live in memory. All connections go through a proxy in the child that checks the
// address it dials, so names, redirects and changing answers of a name server lead nowhere they should not.
//
// What a repository contains is untrusted: submodules, hooks and filters are not run, but its symbolic links are kept.
// Whoever reads fetched files in a process with more rights than the script's user must do so through os.Root.
package fetch
