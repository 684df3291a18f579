package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"slipway/internal/release"
	"slipway/internal/state"
)

// node is a release in one stage of one deployment: the root of a run, or a dependency below it.
type node struct {
	m          *release.Metadata
	rel        string   // folder of the package, below the folder of the run
	path       []string // names of the deployments from the root down
	stage      string   // build or deploy
	rootStage  string   // stage of the root that the path goes through; "" for the root itself
	parent     *node
	deployment *state.Deployment
	inputs     map[string]any // evaluated
	outputs    map[string]any
	providers  map[string]*provider
	// ready names the dependencies that have been deployed in this run, so that what they put out is fresh; nil means
	// that the step does not deploy any and takes what the state says.
	ready map[string]bool
}

func (r *run) rootNode(ctx context.Context, m *release.Metadata, stage string) (*node, error) {
	name := r.deploymentName(m)
	if _, err := r.rootDeployment(ctx, name); err != nil {
		return nil, err
	}
	n := &node{m: m, rel: ".", path: []string{name}, stage: stage, deployment: r.env.EnsureDeployment(name)}
	n.deployment.EnsureStage(stage)
	return n, nil
}

func (r *run) deploymentName(m *release.Metadata) string {
	if r.target.Deployment != "" {
		return r.target.Deployment
	}
	return m.ID().Versionless()
}

// child is the node of a dependency whose package is unpacked.
func (r *run) child(n *node, d *release.Dependency) (*node, error) {
	id, err := release.ParseID(d.ReleaseID)
	if err != nil {
		return nil, err
	}
	rel := r.packageDir(n.rel, id)
	there := r.packages[rel]
	if there == nil {
		return nil, failf(ReasonPackage, "the package of %s is not unpacked", id)
	}
	rootStage := n.rootStage
	if n.parent == nil {
		rootStage = n.stage
	}
	c := &node{m: there.metadata, rel: rel, path: append(slices.Clone(n.path), d.DeploymentName), stage: state.StageDeploy,
		rootStage: rootStage, parent: n, deployment: n.state().EnsureDeployment(d.DeploymentName)}
	c.deployment.EnsureStage(c.stage)
	return c, nil
}

// state is the stage of the deployment that the node is.
func (n *node) state() *state.Stage { return n.deployment.EnsureStage(n.stage) }

func (n *node) label() string { return n.m.ID().Unqualified() }

func (n *node) values() map[string]string {
	return map[string]string{"release": n.m.ID().String(), "deployment": state.FormatPath(n.path), "stage": n.stage}
}

func (r *run) dirOf(n *node) string { return filepath.Join(r.dir, filepath.FromSlash(n.rel)) }

// saveTimeout bounds saving the state after a run was cancelled.
const saveTimeout = 15 * time.Second

// save writes the node's deployment to the state. It also works when the run was cancelled, since then there is a status
// to write.
func (r *run) save(ctx context.Context, n *node) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if err := r.State.SaveDeployment(ctx, n.path[0], n.path, n.rootStage, n.deployment); err != nil {
		return fmt.Errorf("save the state of %s: %w", state.FormatPath(n.path), err)
	}
	return nil
}

func (r *run) status(ctx context.Context, n *node, code state.Code, data any) error {
	n.state().Status = &state.Status{Code: code, UpdatedAt: r.Engine.now().UTC(), UpdatedBy: r.User, Data: data}
	return r.save(ctx, n)
}

// failed writes the status of a step that went wrong and returns the step's error.
func (r *run) failed(ctx context.Context, n *node, code state.Code, err error) error {
	failure := asFailure(err)
	if saveErr := r.status(ctx, n, code, failure.Message); saveErr != nil {
		r.log(LevelError, "state.save", saveErr.Error(), n.values())
	}
	return failure
}
