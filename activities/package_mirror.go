package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"slipway/internal/fetch"
	"slipway/internal/problem"
	"slipway/internal/runner"
	"slipway/models"
	"slipway/packages"
	"slipway/workflows"
)

// PackageMirror fetches the repositories of packages and makes versions of their tags.
type PackageMirror struct {
	Service    *packages.Service
	Mirrors    *packages.Mirrors
	Fetcher    *fetch.Fetcher
	Supervisor *runner.Supervisor
	Workspaces *runner.Workspaces
}

// Register adds workflows and activities to the worker of the queue of packages. Of any other queue it knows nothing.
func (a *PackageMirror) Register(queue string, r worker.Registry) bool {
	if queue != workflows.QueuePackages {
		return false
	}
	r.RegisterWorkflowWithOptions(workflows.PackageMirror, workflow.RegisterOptions{Name: workflows.PackageMirrorWorkflow})
	r.RegisterWorkflowWithOptions(workflows.PackageMirrorSchedule, workflow.RegisterOptions{Name: workflows.PackageMirrorScheduleWorkflow})
	r.RegisterActivityWithOptions(a.Mirror, activity.RegisterOptions{Name: workflows.ActivityMirrorPackage})
	r.RegisterActivityWithOptions(a.Start, activity.RegisterOptions{Name: workflows.ActivityStartPackageMirror})
	return true
}

// Start asks for a mirroring, for schedules.
func (a *PackageMirror) Start(ctx context.Context, in workflows.PackageMirrorInput) error {
	_, err := a.Mirrors.Start(ctx, in.PackageID)
	return err
}

// Mirror makes versions of the tags that are new. It is safe to repeat: tags that were done are passed over. The result
// stands in the source's row as well, and so does what is wrong with the source.
func (a *PackageMirror) Mirror(ctx context.Context, in workflows.PackageMirrorInput) (workflows.PackageMirrorResult, error) {
	stop := beat(ctx)
	defer stop()
	store := a.Service.Store
	src, err := store.PackageSourceByID(ctx, in.PackageID)
	if errors.Is(err, models.ErrNotFound) {
		return workflows.PackageMirrorResult{}, temporal.NewNonRetryableApplicationError("the package has no source any more", "NoSource", nil)
	}
	if err != nil {
		return workflows.PackageMirrorResult{}, err
	}
	if err := store.BeginMirror(ctx, in.PackageID); err != nil {
		return workflows.PackageMirrorResult{}, err
	}
	result, err := a.mirror(ctx, src)
	message := ""
	var bad *problem.Error
	if errors.As(err, &bad) && bad.Kind == problem.Unprocessable {
		message, err = bad.Error(), temporal.NewNonRetryableApplicationError(bad.Error(), "Source", err)
	} else if err != nil {
		message = "it failed and is tried again: a fault of the server, see its log"
	}
	ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if endErr := store.EndMirror(ended, in.PackageID, result.Mirrored, result.Refused, message); endErr != nil {
		err = errors.Join(err, endErr)
	}
	return workflows.PackageMirrorResult{Mirrored: result.Mirrored, Refused: result.Refused}, err
}

func (a *PackageMirror) mirror(ctx context.Context, src *models.PackageSource) (result packages.MirrorResult, err error) {
	key, err := a.Service.Store.PackageSourceKey(src)
	if err != nil {
		return result, err
	}
	space, err := a.Workspaces.Make()
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, space.Wipe()) }()
	if _, err := a.Fetcher.Fetch(ctx, space, fetch.Request{URL: src.Repository, PrivateKey: key, FullHistory: true}); err != nil {
		return result, sourceProblem(err)
	}
	from := &clone{supervisor: a.Supervisor, space: space}
	return a.Service.Mirror(ctx, src.PackageID, from, func(tag string) { activity.RecordHeartbeat(ctx, tag) })
}

// clone is a repository in a workspace. It is untrusted, so git works on it as the workspace's user.
type clone struct {
	supervisor *runner.Supervisor
	space      *runner.Workspace
}

// Limits of what git may say and take.
const (
	tagsLimit    = 16 << 20
	gitTimeLimit = 10 * time.Minute
)

// git runs git in the clone.
func (c *clone) git(ctx context.Context, out io.Writer, limit int64, arguments ...string) error {
	command := c.space.Command(append([]string{"git", "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
		"-c", "core.attributesFile=/dev/null"}, arguments...)...)
	command.Env = []string{"LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0"}
	command.Timeout, command.OutputLimit, command.Grace = gitTimeLimit, limit, -1
	var complaints bytes.Buffer
	exit, err := c.supervisor.Run(ctx, command, runner.Output{Stdout: out, Stderr: &complaints})
	switch {
	case err != nil:
		return fmt.Errorf("run git %s: %w", arguments[0], err)
	case exit.Cancelled:
		return context.Cause(ctx)
	case exit.Code != 0 || exit.TimedOut:
		return problem.New(problem.Unprocessable, "git %s: %s: %s", arguments[0], exit.Reason(), strings.TrimSpace(complaints.String()))
	}
	return nil
}

// Tags implements packages.Checkout.
func (c *clone) Tags(ctx context.Context) ([]packages.Tag, error) {
	var out bytes.Buffer
	// An annotated tag is an object of its own; what it points at is behind the star.
	if err := c.git(ctx, &out, tagsLimit, "for-each-ref", "--format=%(refname:strip=2)%09%(objecttype)%09%(objectname)%09%(*objecttype)%09%(*objectname)", "refs/tags"); err != nil {
		return nil, err
	}
	var tags []packages.Tag
	for line := range strings.Lines(out.String()) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(parts) != 5 {
			continue
		}
		switch {
		case parts[1] == "commit":
			tags = append(tags, packages.Tag{Name: parts[0], Commit: parts[2]})
		case parts[3] == "commit":
			tags = append(tags, packages.Tag{Name: parts[0], Commit: parts[4]})
		}
	}
	return tags, nil
}

// Archive implements packages.Checkout. Files that .gitattributes marks as export-ignore are left out, as usual in archives
// of packages.
func (c *clone) Archive(ctx context.Context, commit string, w io.Writer) error {
	return c.git(ctx, w, 0, "archive", "--format=zip", "--prefix="+commit[:min(12, len(commit))]+"/", commit)
}
