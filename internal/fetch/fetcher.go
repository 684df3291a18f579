package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/runner"
)

// Request names what to fetch.
type Request struct {
	// URL is the repository's address; see CheckURL for its forms.
	URL string `json:"url"`
	// Branch is a branch or tag. Empty means the repository's default branch.
	Branch string `json:"branch,omitempty"`
	// Commit is the id of a commit, at least 7 digits of it. Empty means the newest of the branch.
	Commit string `json:"commit,omitempty"`
	// PrivateKey is an ssh key in PEM or OpenSSH form, without a passphrase.
	PrivateKey string `json:"private_key,omitempty"`
	// Username and Password are for https. A token goes into Password.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// FullHistory fetches all commits and branches. Without it a branch comes with its newest commit only; an older
	// Commit always needs the history.
	FullHistory bool `json:"full_history,omitempty"`
	// Since is the full id of an earlier commit to compare with; see Result.Changed. It needs the history.
	Since string `json:"since,omitempty"`
}

// check refuses what must not even reach the child process.
func (r Request) check(policy Policy) error {
	if _, err := parseSource(r.URL, policy); err != nil {
		return err
	}
	if err := CheckBranch(r.Branch); err != nil {
		return err
	}
	if err := CheckCommit(r.Since); err != nil {
		return err
	}
	return CheckCommit(r.Commit)
}

// Commit describes what was fetched.
type Commit struct {
	// Revision is the full id of the commit.
	Revision string `json:"revision"`
	// Branch is the branch or tag it was taken from; empty for a bare commit.
	Branch string `json:"branch"`
	// Message is the commit message, 20,000 bytes of it at most. It is text from outside: it may hold anything but NUL.
	Message string `json:"message"`
	// Author is "Name <mail>", 500 bytes of it at most.
	Author string `json:"author"`
}

// Result is a fetched source.
type Result struct {
	// Dir is the folder with the files and git's own folder.
	Dir string `json:"-"`
	// Commit is what was fetched.
	Commit Commit `json:"commit"`
	// Changed are the files that differ from Request.Since, as paths from the top of the repository; a file that was moved
	// counts under both. Compared is false where there was nothing to compare with.
	Changed  []string `json:"changed,omitempty"`
	Compared bool     `json:"compared,omitempty"`
	// Warnings tell what was left out, for the log.
	Warnings []string `json:"warnings,omitempty"`
}

// Options configure a Fetcher.
type Options struct {
	// Runner runs the child processes and Workspaces gives them a place. Both are required.
	Runner     *runner.Supervisor
	Workspaces *runner.Workspaces
	// Policy says what may be fetched.
	Policy Policy
	// KnownHosts is the file of known ssh hosts (OpenSSH's format). New hosts are added to it unless the policy is
	// strict. It need not exist. Empty means that nothing is remembered.
	KnownHosts string
	// Argv starts the child process; it must end in a call of Main. The default is this program's own file with the
	// argument "fetch".
	Argv []string
}

// Fetcher fetches sources. It is safe for concurrent use.
type Fetcher struct {
	options Options
	hosts   *knownHosts
}

// New returns a Fetcher.
func New(options Options) *Fetcher {
	options.Policy = options.Policy.withDefaults()
	if len(options.Argv) == 0 {
		options.Argv = []string{"/proc/self/exe", "fetch"}
	}
	return &Fetcher{options: options, hosts: &knownHosts{path: options.KnownHosts}}
}

// Fetch puts a repository's files into space.Source, which must be empty, as the user of the workspace. Errors are
// *Error, those of ctx, and those of a machine that is out of order.
func (f *Fetcher) Fetch(ctx context.Context, space *runner.Workspace, r Request) (Result, error) {
	if err := r.check(f.options.Policy); err != nil {
		return Result{}, err
	}
	out, err := f.run(ctx, space, job{Fetch: &r, Dir: space.Source})
	if err != nil {
		return Result{}, err
	}
	if out.Result == nil {
		return Result{}, errors.New("fetch the source: the child process gave no result")
	}
	out.Result.Dir = space.Source
	return *out.Result, nil
}

// Resolve asks the repository for the newest commit of the request's branch, without fetching anything. A request with
// a commit is not asked for.
func (f *Fetcher) Resolve(ctx context.Context, r Request) (commit string, err error) {
	if err := r.check(f.options.Policy); err != nil {
		return "", err
	}
	if len(r.Commit) >= 40 {
		return strings.ToLower(r.Commit), nil
	}
	space, err := f.options.Workspaces.Make()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, space.Wipe()) }()
	out, err := f.run(ctx, space, job{Resolve: &r})
	return out.Commit, err
}

// Download names a file to fetch.
type Download struct {
	// URL is an https address, or http where the policy allows it. Parameters of go-getter are not allowed in it.
	URL string `json:"url"`
	// Checksum is "sha256:..." (or sha512, sha1, md5) in hexadecimal digits. Empty means that anything is accepted.
	Checksum string `json:"checksum,omitempty"`
	// File is where the file goes, as a path below space.Source.
	File string `json:"file"`
}

// Download fetches one file over http into the workspace.
func (f *Fetcher) Download(ctx context.Context, space *runner.Workspace, d Download) error {
	if err := d.check(f.options.Policy); err != nil {
		return err
	}
	_, err := f.run(ctx, space, job{Download: &d, Dir: space.Source})
	return err
}

// maxAnswer bounds what the child process may say; a commit message is the largest part of it.
const maxAnswer = 8 << 20

// run runs one job in a child process.
func (f *Fetcher) run(ctx context.Context, space *runner.Workspace, j job) (outcome, error) {
	j.Policy = f.options.Policy
	j.Scratch = filepath.Join(space.Temp, "fetch")
	var err error
	if j.KnownHosts, err = f.hosts.read(); err != nil {
		return outcome{}, err
	}
	input, err := json.Marshal(j)
	if err != nil {
		return outcome{}, err
	}
	command := space.Command(f.options.Argv...)
	command.Dir = space.Path
	command.Stdin = input
	command.Timeout = j.Policy.Timeout
	command.Grace = -1 // nothing in it needs to be ended gently
	command.OutputLimit = maxAnswer
	defer os.RemoveAll(j.Scratch)
	var answer, complaints bytes.Buffer
	exit, err := f.options.Runner.Run(ctx, command, runner.Output{Stdout: &answer, Stderr: &complaints})
	if err != nil {
		return outcome{}, fmt.Errorf("fetch the source: %w", err)
	}
	switch {
	case exit.Cancelled:
		return outcome{}, context.Cause(ctx)
	case exit.TimedOut:
		return outcome{}, timedOut(j.Policy.Timeout)
	}
	var out outcome
	if err := json.Unmarshal(answer.Bytes(), &out); err != nil {
		slog.ErrorContext(ctx, "the child process that fetches sources broke off", "exit", exit.Reason(), "output", clip(complaints.String()))
		return outcome{}, fmt.Errorf("fetch the source: the child process broke off: %s", exit.Reason())
	}
	if err := f.hosts.add(out.NewHosts); err != nil {
		slog.WarnContext(ctx, "a new ssh host could not be remembered", "error", err)
	}
	if out.Error != nil {
		return outcome{}, out.Error
	}
	return out, nil
}
