package engine

import (
	"context"

	"slipway/internal/release"
	"slipway/internal/state"
)

// DeployRequest asks for a release of the inventory to be deployed.
type DeployRequest struct {
	Target
	// Dir is an empty folder that the package is unpacked into.
	Dir string
	// Release may be a version query or a tag.
	Release release.ID
}

// DeployedRequest asks for something to be done with what is deployed.
type DeployedRequest struct {
	Target // Deployment is required
	// Dir is an empty folder that the package is unpacked into.
	Dir string
	// Errand names the errand, whose inputs are the variables; it is only used by Engine.Errand.
	Errand string
}

// DeployResult is what a deployment run ends with.
type DeployResult struct {
	ID      release.ID
	Outputs map[string]any // the outputs of the deployment, or what an errand wrote; secret values are in here
	// Skipped says that nothing had to be done: a destroy of what is not deployed any more.
	Skipped bool
}

// Deploy deploys a release: its dependencies, then itself. The error is a *Failure.
func (e *Engine) Deploy(ctx context.Context, q DeployRequest) (*DeployResult, error) {
	result, err := e.deploy(ctx, q)
	if err != nil {
		return result, asFailure(err)
	}
	return result, nil
}

func (e *Engine) deploy(ctx context.Context, q DeployRequest) (*DeployResult, error) {
	r, err := e.start(ctx, q.Dir, q.Target)
	if err != nil {
		return nil, err
	}
	defer r.close()
	found, err := r.lookup(ctx, q.Release)
	if err != nil {
		return nil, err
	}
	n, err := r.fetchRoot(ctx, found.ID())
	if err != nil {
		return &DeployResult{ID: found.ID()}, err
	}
	err = r.apply(ctx, n, q.Variables)
	return &DeployResult{ID: found.ID(), Outputs: n.outputs}, err
}

// fetchRoot unpacks a release with all that it needs into the folder of the run.
func (r *run) fetchRoot(ctx context.Context, id release.ID) (*node, error) {
	m, err := r.unpack(ctx, id, ".")
	if err != nil {
		return nil, err
	}
	if err := r.unpackNeeded(ctx, m, ".", []string{release.ScopeDeploy}, 0); err != nil {
		return nil, err
	}
	return r.rootNode(ctx, m, state.StageDeploy)
}

// Smoke runs the smoke tests of a deployment. The error is a *Failure.
func (e *Engine) Smoke(ctx context.Context, q DeployedRequest) (*DeployResult, error) {
	return e.withDeployed(ctx, q, func(r *run, n *node, result *DeployResult) error {
		if n.state().CodeOf() == state.Empty {
			return r.notDeployed(q.Deployment)
		}
		err := r.test(ctx, n)
		result.Outputs = n.outputs
		return err
	})
}

// Destroy takes a deployment down. One that is down already is left alone. The error is a *Failure.
func (e *Engine) Destroy(ctx context.Context, q DeployedRequest) (*DeployResult, error) {
	return e.withDeployed(ctx, q, func(r *run, n *node, result *DeployResult) error {
		answer, err := r.decide(ctx, "destroy "+state.FormatPath(n.path), func() (string, error) {
			if n.state().CodeOf() == state.Empty {
				return "no", nil
			}
			return "yes", nil
		})
		if err != nil {
			return err
		}
		if answer == "no" {
			r.log(LevelInfo, "destroy.empty", "There is nothing to destroy.", n.values())
			result.Skipped = true
			return nil
		}
		return r.destroy(ctx, n)
	})
}

// Errand runs an errand of a deployment; the request's variables are its inputs. The error is a *Failure.
func (e *Engine) Errand(ctx context.Context, q DeployedRequest) (*DeployResult, error) {
	return e.withDeployed(ctx, q, func(r *run, n *node, result *DeployResult) error {
		if n.state().CodeOf() == state.Empty {
			return r.notDeployed(q.Deployment)
		}
		outputs, err := r.errand(ctx, n, q.Errand, q.Variables)
		result.Outputs = outputs
		return err
	})
}

func (e *Engine) withDeployed(ctx context.Context, q DeployedRequest, do func(*run, *node, *DeployResult) error) (*DeployResult, error) {
	r, err := e.start(ctx, q.Dir, q.Target)
	if err != nil {
		return nil, asFailure(err)
	}
	defer r.close()
	deployment, err := r.rootDeployment(ctx, q.Deployment)
	if err != nil {
		return nil, asFailure(err)
	}
	if deployment == nil || deployment.ReleaseID(state.StageDeploy) == "" {
		return nil, r.notDeployed(q.Deployment)
	}
	id, err := release.ParseID(deployment.ReleaseID(state.StageDeploy))
	if err != nil {
		return nil, asFailure(err)
	}
	result := &DeployResult{ID: id}
	n, err := r.fetchRoot(ctx, id)
	if err != nil {
		return result, asFailure(err)
	}
	if err := do(r, n, result); err != nil {
		return result, asFailure(err)
	}
	return result, nil
}

func (r *run) notDeployed(deployment string) error {
	return failf(ReasonMissing, "the deployment '%s' is not deployed in the environment '%s'", deployment, r.env.Name)
}
