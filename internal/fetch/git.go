package fetch

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	getter "github.com/hashicorp/go-getter"
)

// repository is a source that git can be asked about: the environment of this process is set up for it.
type repository struct {
	source   source
	maxBytes int64
	proxy    *proxy
	ssh      *sshSetup
}

// open prepares this process, whose environment git inherits, for one repository.
func (j job) open(r Request, cancel context.CancelCauseFunc) (*repository, error) {
	s, err := parseSource(r.URL, j.Policy)
	if err != nil {
		return nil, err
	}
	if err := r.check(j.Policy); err != nil {
		return nil, err
	}
	repo := &repository{source: s, maxBytes: j.Policy.MaxBytes}
	config := gitConfig(s, r)
	allowed := s.Scheme
	if s.Scheme == "ssh" {
		if repo.ssh, err = newSSH(j, r, s); err != nil {
			return nil, err
		}
	}
	if s.Scheme != "file" {
		if repo.proxy, err = startProxy(j.Policy, repo.ssh, cancel); err != nil {
			return nil, err
		}
		config += "[http]\n\tproxy = " + repo.proxy.url() + "\n\tproxyAuthMethod = basic\n"
		if s.Scheme == "http" {
			allowed = "http:https"
		}
	}
	file := filepath.Join(j.Scratch, "gitconfig")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	environment := map[string]string{
		"LC_ALL":              "C",
		"HOME":                j.Scratch,
		"XDG_CONFIG_HOME":     j.Scratch,
		"TMPDIR":              j.Scratch,
		"GIT_CONFIG_NOSYSTEM": "1",
		"GIT_CONFIG_GLOBAL":   file,
		"GIT_ATTR_NOSYSTEM":   "1",
		"GIT_TERMINAL_PROMPT": "0",
		"GIT_ALLOW_PROTOCOL":  allowed,
	}
	if repo.ssh != nil {
		environment[proxyVariable] = repo.proxy.url()
		environment["GIT_SSH_COMMAND"] = repo.ssh.command()
		environment["GIT_SSH_VARIANT"] = "ssh"
	}
	for name, value := range environment {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	return repo, nil
}

// gitConfig is the only configuration that git reads here.
func gitConfig(s source, r Request) string {
	config := `[core]
	hooksPath = /dev/null
	fsmonitor = false
	askPass =
	pager = cat
[init]
	templateDir =
[credential]
	helper =
[submodule]
	recurse = false
	active = ":(exclude)*"
[fetch]
	recurseSubmodules = false
[gc]
	auto = 0
[maintenance]
	auto = false
[advice]
	detachedHead = false
[safe]
	directory = *
[http]
	followRedirects = initial
	lowSpeedLimit = 1000
	lowSpeedTime = 60
[protocol]
	version = 2
`
	// go-getter always asks for submodules; "active" above makes that request empty. It may also clone folders of other
	// owners where local paths are allowed at all, hence "safe".
	user, password := r.Username, r.Password
	if user == "" && password == "" {
		user, password = s.User, s.Password
	}
	if (s.Scheme == "https" || s.Scheme == "http") && user+password != "" {
		if user == "" {
			user = "x-access-token" // some hosts take a token with any name, none takes it without one
		}
		// For this host alone: a redirect to another one must not carry it along.
		config += fmt.Sprintf("[http \"%s://%s/\"]\n\textraHeader = Authorization: Basic %s\n", s.Scheme, s.hostPort(),
			base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	return config
}

func (r *repository) close() {
	if r.proxy != nil {
		r.proxy.close()
	}
}

// fail explains why git failed.
func (r *repository) fail(said string) error {
	if r.proxy != nil {
		if err := r.proxy.failure(); err != nil {
			return err
		}
	}
	if r.ssh != nil {
		said = r.ssh.said() + said
	}
	if sizeLimitHit(said) {
		return tooLarge(r.maxBytes)
	}
	return explain(r.source, said)
}

// sizeLimitHit reports whether git, or the program of git that stores what arrives, was stopped by the limit on the size
// of a file. Often it dies without a word, and all that its parent says is that its answer is missing.
func sizeLimitHit(said string) bool {
	silent := strings.Contains(said, "invalid index-pack output") && !strings.Contains(said, "early EOF") &&
		!strings.Contains(said, "hung up") && !strings.Contains(said, "disconnect")
	return silent || strings.Contains(said, "file size limit exceeded") || strings.Contains(said, "File too large")
}

// refs are what a repository answers about a branch.
type refs struct {
	commit string // of the branch or tag
	branch string // its name; the default branch if none was asked for
}

// ask asks the repository for a branch.
func (r *repository) ask(ctx context.Context, branch string) (refs, error) {
	arguments := []string{"ls-remote", "--symref", "--", r.source.String(), "HEAD"}
	if branch != "" {
		arguments = append(arguments, "refs/heads/"+branch, "refs/tags/"+branch, "refs/tags/"+branch+"^{}")
	}
	said, err := git(ctx, "", arguments...)
	if err != nil {
		return refs{}, r.fail(err.Error())
	}
	found := map[string]string{}
	head := ""
	for line := range strings.Lines(said) {
		value, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if !ok {
			continue
		}
		if target, isSymbolic := strings.CutPrefix(value, "ref: refs/heads/"); isSymbolic && name == "HEAD" {
			head = target
			continue
		}
		found[name] = value
	}
	if branch == "" {
		if found["HEAD"] == "" {
			return refs{}, &Error{KindBranch, fmt.Sprintf("the repository %s is empty, or its default branch does not exist", r.source)}
		}
		return refs{commit: found["HEAD"], branch: head}, nil
	}
	for _, name := range []string{"refs/heads/" + branch, "refs/tags/" + branch + "^{}", "refs/tags/" + branch} {
		if commit := found[name]; commit != "" {
			return refs{commit: commit, branch: branch}, nil
		}
	}
	return refs{}, &Error{KindBranch, fmt.Sprintf("the branch %q does not exist in %s", branch, r.source)}
}

// git runs a git command and returns what it printed. The error is what it complained about.
func git(ctx context.Context, dir string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir = dir
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("fatal: the git program is not installed on the worker")
		}
		return "", fmt.Errorf("%s (%w)", complaints.String(), err)
	}
	return out.String(), nil
}

func (j job) resolve(ctx context.Context, cancel context.CancelCauseFunc) (out outcome, err error) {
	repo, err := j.open(*j.Resolve, cancel)
	if err != nil {
		return outcome{}, err
	}
	defer repo.close()
	found, err := repo.ask(ctx, j.Resolve.Branch)
	return outcome{Commit: found.commit, NewHosts: repo.newHosts()}, err
}

func (j job) fetch(ctx context.Context, cancel context.CancelCauseFunc) (outcome, error) {
	repo, err := j.open(*j.Fetch, cancel)
	if err != nil {
		return outcome{}, err
	}
	defer repo.close()
	result, err := repo.fetch(ctx, j.Dir, *j.Fetch)
	return outcome{Result: result, NewHosts: repo.newHosts()}, err
}

func (r *repository) newHosts() []string {
	if r.ssh == nil {
		return nil
	}
	return r.ssh.newHosts()
}

func (r *repository) fetch(ctx context.Context, dir string, request Request) (*Result, error) {
	commit := strings.ToLower(request.Commit)
	found, err := r.ask(ctx, request.Branch)
	if err != nil {
		// A commit can be had from a repository whose default branch is missing.
		if commit == "" || request.Branch != "" {
			return nil, err
		}
		found = refs{}
	}
	// The newest commit of a branch is fetched alone; any other needs the history that leads to it.
	ref, depth := found.branch, 1
	if request.FullHistory || request.Since != "" {
		depth = 0
	}
	if commit != "" && !strings.HasPrefix(found.commit, commit) || ref == "" {
		ref, depth = commit, 0
	}
	if ref == "" {
		ref, depth = found.commit, 0 // HEAD points at no branch
	}
	if err := r.clone(ctx, dir, ref, depth); err != nil {
		if ref == commit && strings.Contains(err.Error(), "invalid ref") {
			return nil, &Error{KindCommit, fmt.Sprintf("the commit %s does not exist in %s", commit, r.source)}
		}
		return nil, r.fail(err.Error())
	}
	result := &Result{}
	if result.Commit, err = describe(ctx, dir); err != nil {
		return nil, err
	}
	if commit != "" && !strings.HasPrefix(result.Commit.Revision, commit) {
		// The branch moved between the question and the fetch.
		if depth == 0 {
			return nil, &Error{KindCommit, fmt.Sprintf("the commit %s does not exist in %s", commit, r.source)}
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		if err := r.clone(ctx, dir, commit, 0); err != nil {
			return nil, r.fail(err.Error())
		}
		if result.Commit, err = describe(ctx, dir); err != nil {
			return nil, err
		}
	}
	if request.Branch != "" || commit == "" {
		result.Commit.Branch = found.branch
	}
	if request.Since != "" {
		result.Changed, result.Compared = changed(ctx, dir, request.Since)
	}
	if _, err := os.Lstat(filepath.Join(dir, ".gitmodules")); err == nil {
		result.Warnings = append(result.Warnings, "the repository has submodules; they are not fetched")
	}
	return result, nil
}

// clone lets go-getter clone into dir, which may exist but must be empty.
func (r *repository) clone(ctx context.Context, dir, ref string, depth int) error {
	// go-getter takes a folder that exists for an earlier clone to be updated.
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the folder for the source is not empty: %w", err)
	}
	query := "?ref=" + url.QueryEscape(ref)
	if depth > 0 {
		query += fmt.Sprintf("&depth=%d", depth)
	}
	client := getter.Client{
		Ctx: ctx, Src: "git::" + r.source.String() + query, Dst: dir, Mode: getter.ClientModeDir,
		// Nothing is guessed: no other transports, no unpacking, no shortcuts for well-known hosts.
		Getters:       map[string]getter.Getter{"git": new(getter.GitGetter)},
		Detectors:     []getter.Detector{},
		Decompressors: map[string]getter.Decompressor{},
	}
	return client.Get()
}

func describe(ctx context.Context, dir string) (Commit, error) {
	said, err := git(ctx, dir, "log", "-1", "--no-color", "--no-show-signature", "--encoding=UTF-8", "--format=%H%x00%an <%ae>%x00%B")
	if err != nil {
		return Commit{}, err
	}
	parts := strings.SplitN(said, "\x00", 3)
	if len(parts) != 3 {
		return Commit{}, errors.New("git described the commit in an unknown way")
	}
	for i := range parts {
		parts[i] = strings.ReplaceAll(strings.ToValidUTF8(parts[i], "\ufffd"), "\x00", "")
	}
	return Commit{Revision: parts[0], Author: atMost(parts[1], maxAuthor), Message: atMost(strings.TrimRight(parts[2], "\n"), maxMessage)}, nil
}

// Limits of what is told of a commit, in bytes. Git sets none, and scripts get it in their environment.
const (
	maxAuthor  = 500
	maxMessage = 20_000
)

// atMost cuts a valid text between two characters.
func atMost(text string, bytes int) string {
	if len(text) > bytes {
		text = strings.ToValidUTF8(text[:bytes], "")
	}
	return text
}
