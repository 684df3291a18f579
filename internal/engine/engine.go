// Package engine runs releases: it builds them from plans, and deploys, tests and destroys them in environments. It is
// the same engine for builds and deployment jobs on workers and for plans on a laptop.
//
// The engine does its work through interfaces: an Inventory of releases, a ScriptRunner, a StateStore and a Logger. It
// runs one step after another in one goroutine.
//
// A run may be cut off at any point and then be run again from its start, with a fresh folder. For the same request,
// decisions and state it does the same things in the same order and asks for scripts with the same keys, and it takes
// from a script nothing but its exit code and outputs, unless the script is repeatable. So a ScriptRunner that keeps the
// results of scripts can go on where the first run stopped.
package engine

import (
	"context"
	"errors"
	"io"
	"time"

	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/state"
)

var (
	// ErrNotFound is what an Inventory returns for a release that does not exist.
	ErrNotFound = plan.ErrNotFound
	// ErrExists is what Inventory.Register and Inventory.Upload return for a release that somebody else has put there.
	ErrExists = errors.New("release already exists")
)

// Inventory keeps releases and their packages.
type Inventory interface {
	plan.Inventory
	// Package opens the archive of a release. The error is ErrNotFound if there is none.
	Package(ctx context.Context, id release.ID) (io.ReadCloser, error)
	// Register adds a release. When a run that was cut off registers its release again, the answer is nil, and the new
	// metadata replaces the old as long as no package has been uploaded.
	Register(ctx context.Context, m *release.Metadata) error
	// Upload adds the package of a registered release. open may be called again for another try. When a run that was cut
	// off uploads its package again, the answer is nil.
	Upload(ctx context.Context, id release.ID, open func() (io.ReadCloser, error)) error
}

// Replacer is an Inventory that can replace a release that somebody else has put there. Without it a forced push of an
// existing release fails.
type Replacer interface {
	// Replace puts metadata and package in the place of those of an existing release. Others see the old ones or the new
	// ones, never a mixture. open may be called again for another try.
	Replace(ctx context.Context, m *release.Metadata, open func() (io.ReadCloser, error)) error
}

// Script is one process to run.
type Script struct {
	// Key names the script within its run: the same run again gives the same keys in the same order.
	Key string
	// Step is the plan field: "build", "pre_deploy", "activate_provider", or "errands.name".
	Step string
	// Release is the release that the script belongs to, with its project.
	Release release.ID
	// Deployment is the path of the deployment that the script works for.
	Deployment string
	// Repeatable says that the script may run again after a crash, since it only works in its folder: pre_build, build,
	// post_build and test. Any other one that was cut off must not be run again by itself.
	Repeatable bool
	// Dir is the absolute path of the folder that the script runs in.
	Dir string
	// Argv is the command and its arguments. A command with a slash is relative to Dir, else it is on the PATH.
	Argv []string
	// Env are the variables "NAME=value" of the script contract: INPUT_*, OUTPUT_*, ESCAPE_* and so on. The runner adds
	// PATH, HOME and the like. Values may be secret.
	Env []string
	// OutputsFile is the file in Dir that the script may write its outputs to, relative to Dir.
	OutputsFile string
}

// Result is what came of a script that has ended.
type Result struct {
	ExitCode int
	// Outputs is the outputs file after the script, as ReadOutputs gives it. It may be nil when ExitCode is not 0.
	Outputs map[string]any
}

// ScriptRunner runs scripts. It decides what a crash means: for a script whose key has finished in an earlier run it may
// return the recorded result without running it, and for one that has started and not finished it may return an error.
type ScriptRunner interface {
	// RunScript returns when the script has ended. An exit code other than 0 is a Result and not an error; errors are for
	// scripts that could not be started, were cancelled, hit a limit or were cut off: "ran longer than 10m0s". The engine
	// puts the names of the script and the release in front.
	RunScript(ctx context.Context, s Script) (Result, error)
}

// StateStore keeps the state of one environment. The engine reads of it what a run needs and no more: an environment may
// have thousands of deployments, and a run works on one.
type StateStore interface {
	// Environment returns the name and the inputs of the environment as they are now; its deployments are of no account.
	Environment(ctx context.Context) (*state.Environment, error)
	// Deployments returns root deployments with all that is nested in them, by their names; those that there are none of are
	// absent. No names ask for all there are. The engine changes what it gets.
	Deployments(ctx context.Context, roots ...string) (map[string]*state.Deployment, error)
	// SaveDeployment replaces a deployment: root is the name of the root deployment, path the names from the root down,
	// rootStage the stage of the root that the second name is in, or "". d must not be kept after the call.
	SaveDeployment(ctx context.Context, root string, path []string, rootStage string, d *state.Deployment) error
}

// Decisions records what a run has decided on grounds that may change: versions that a query was resolved to, and the
// like. Decide returns the recorded value of a key, or asks decide for it and records it.
type Decisions interface {
	Decide(ctx context.Context, key string, decide func() (string, error)) (string, error)
}

// Downloader fetches the downloads of plans.
type Downloader interface {
	// Download fetches a URL into a file with an absolute path that does not exist yet.
	Download(ctx context.Context, url, file string) error
}

// Engine runs releases. Inventory, Scripts and State are required.
type Engine struct {
	Inventory Inventory
	Scripts   ScriptRunner
	State     StateStore
	Log       Logger     // nil: nothing is logged
	Decisions Decisions  // nil: nothing is recorded
	Downloads Downloader // nil: plans with downloads fail
	// Secret is told every sensitive value before a script that could print it runs; nil if nobody masks.
	Secret func(value string)
	// Owner is told every file and folder that the engine has made in the folder of a run, by its absolute path, so that
	// it can be given to the user that scripts run as; nil if that is the engine's own.
	Owner func(path string) error
	// Now gives the time for state and timestamps; nil means time.Now.
	Now func() time.Time
	// Client stands in built_with_escape_version and in variables of type client.
	Client string
	// User stands in the state's updated_by.
	User string
	// Env is what env_lookup sees in expressions.
	Env map[string]string
	// CacheDir keeps packages between runs, in folders by project; "" keeps none. A cached package is only used if the
	// inventory has the release, and with the same metadata and checksums: what one run has put into the cache may not pass
	// for a release of somebody else.
	CacheDir string
	// KeyPrefix stands in front of the keys of scripts and decisions. It has to differ between runs that share a
	// ScriptRunner's or Decisions' record, such as the steps of one build.
	KeyPrefix string
	// Limits bound packages; the zero value means release.DefaultLimits.
	Limits release.Limits
}

// Target says where a run works.
type Target struct {
	Project     string // the project of the state, for variables of type project
	Environment string
	// Deployment is the name of the root deployment; "" means the release's "project/name".
	Deployment string
	// Variables are the inputs that the user gives. Texts are taken as they are and never evaluated.
	Variables map[string]any
	// Providers name the deployment for a consumer, by its variable or its interface.
	Providers map[string]string
}

func (e *Engine) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

func (e *Engine) secret(value string) {
	if e.Secret != nil && value != "" {
		e.Secret(value)
	}
}

func (e *Engine) limits() release.Limits {
	if e.Limits == (release.Limits{}) {
		return release.DefaultLimits
	}
	return e.Limits
}
