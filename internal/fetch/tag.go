package fetch

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// tagJob names a tag to push.
type tagJob struct {
	Request
	Name string `json:"name"`
}

// Tag pushes a lightweight tag for the commit of the request to its repository, with the request's key. A tag that is
// there already and names the same commit is as good; one that names another is an error: nothing is ever moved. The tag
// is pushed from a clone in a workspace of its own: what a build's scripts have left in theirs could name other commands
// for git to run beside the key.
func (f *Fetcher) Tag(ctx context.Context, r Request, name string) (err error) {
	if err := r.check(f.options.Policy); err != nil {
		return err
	}
	if err := checkTag(r, name); err != nil {
		return err
	}
	space, err := f.options.Workspaces.Make()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, space.Wipe()) }()
	_, err = f.run(ctx, space, job{Tag: &tagJob{r, name}, Dir: space.Source})
	return err
}

func checkTag(r Request, name string) error {
	if len(r.Commit) < 40 {
		return &Error{Kind: KindCommit, Message: "a tag needs the full id of its commit"}
	}
	if name == "" || CheckBranch(name) != nil {
		return &Error{Kind: KindBranch, Message: fmt.Sprintf("%q cannot be the name of a git tag", name)}
	}
	return nil
}

func (j job) tag(ctx context.Context, cancel context.CancelCauseFunc) (outcome, error) {
	t := *j.Tag
	if err := checkTag(t.Request, t.Name); err != nil {
		return outcome{}, err
	}
	repo, err := j.open(t.Request, cancel)
	if err != nil {
		return outcome{}, err
	}
	defer repo.close()
	done, err := repo.hasTag(ctx, t)
	if err == nil && !done {
		if _, err = repo.fetch(ctx, j.Dir, t.Request); err == nil {
			err = repo.push(ctx, j.Dir, t)
		}
	}
	return outcome{NewHosts: repo.newHosts()}, err
}

// hasTag asks whether the repository has the tag already.
func (r *repository) hasTag(ctx context.Context, t tagJob) (bool, error) {
	ref := "refs/tags/" + t.Name
	said, err := git(ctx, "", "ls-remote", "--", r.source.String(), ref, ref+"^{}")
	if err != nil {
		return false, r.fail(err.Error())
	}
	commit := ""
	for line := range strings.Lines(said) {
		// The second line of an annotated tag names its commit.
		commit, _, _ = strings.Cut(strings.TrimSpace(line), "\t")
	}
	switch commit {
	case "":
		return false, nil
	case strings.ToLower(t.Commit):
		return true, nil
	}
	return false, t.taken(r.source)
}

func (t tagJob) taken(s source) error {
	return &Error{KindTag, fmt.Sprintf("%s has a tag %s already, of another commit; it is not moved", s, t.Name)}
}

// push pushes the tag, and nothing else.
func (r *repository) push(ctx context.Context, dir string, t tagJob) error {
	if r.ssh != nil {
		r.ssh.pushes.Store(true)
	}
	_, err := git(ctx, dir, "push", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--", r.source.String(),
		strings.ToLower(t.Commit)+":refs/tags/"+t.Name)
	if err == nil {
		return nil
	}
	said := err.Error()
	if r.proxy != nil {
		if known := r.proxy.failure(); known != nil {
			return known
		}
	}
	if r.ssh != nil {
		said = r.ssh.said() + said
	}
	low := strings.ToLower(said)
	has := func(texts ...string) bool {
		for _, text := range texts {
			if strings.Contains(low, text) {
				return true
			}
		}
		return false
	}
	switch {
	case has("already exists", "[rejected]"):
		return t.taken(r.source)
	case has("read only", "read-only", "denied", "not allowed", "error: 403", "authentication failed", "unpack failed", "unable to create", "insufficient permission", "not permitted"):
		return &Error{KindCredentials, fmt.Sprintf("the key may not push to %s: %s", r.source, lastWords(said))}
	case has("remote rejected", "hook declined"):
		return &Error{KindTag, fmt.Sprintf("%s refused the tag %s: %s", r.source, t.Name, rejection(said))}
	}
	return explain(r.source, said)
}

// rejection is the line in which the other side says why.
func rejection(said string) string {
	for line := range strings.Lines(said) {
		if strings.Contains(line, "[remote rejected]") {
			if _, why, ok := strings.Cut(line, "("); ok {
				return clip(strings.TrimSuffix(strings.TrimSpace(why), ")"))
			}
		}
	}
	return lastWords(said)
}
