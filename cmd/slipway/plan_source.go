package main

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"slipway/internal/plan"
)

// sourceOf says which revision of a git repository a folder is at. What git does not know, or where there is no git, stays
// empty: a plan needs no repository.
func sourceOf(ctx context.Context, dir string) plan.Source {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	git := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	commit := git("log", "-1", "--no-show-signature", "--format=%H%x00%an <%ae>%x00%B")
	revision, rest, ok := strings.Cut(commit, "\x00")
	if !ok {
		return plan.Source{}
	}
	author, message, _ := strings.Cut(rest, "\x00")
	branch := git("rev-parse", "--abbrev-ref", "HEAD")
	if branch == "HEAD" { // no branch is checked out
		branch = ""
	}
	return plan.Source{Repository: withoutCredential(git("remote", "get-url", "origin")), Branch: branch, Revision: revision, Author: author, Message: message}
}

// withoutCredential takes the user and the password out of a repository's address: it goes into the release's metadata.
func withoutCredential(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return address
	}
	host, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host = host[at+1:]
	}
	if path != "" {
		path = "/" + path
	}
	return scheme + "://" + host + path
}
