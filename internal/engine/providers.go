package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/state"
)

// provider is a deployment that a consumer uses.
type provider struct {
	consumer   release.Consumer
	path       []string
	stage      *state.Stage
	deployment *state.Deployment
	m          *release.Metadata
	variables  map[string]any // what expressions see
}

// resolveProviders finds the provider of every consumer in the node's stage: the one that is named, else the one that
// the state has, else the only deployment in the environment that provides the interface and is ok. What is found is put
// into the state.
func (r *run) resolveProviders(ctx context.Context, n *node) error {
	n.providers = map[string]*provider{}
	stage := n.state()
	for _, consumer := range n.m.Consumes {
		if !release.InScope(consumer.Scopes, n.stage) {
			continue
		}
		name, err := r.chooseProvider(ctx, n, consumer)
		if err != nil {
			return err
		}
		p, err := r.loadProvider(ctx, consumer, name)
		if err != nil {
			return err
		}
		n.providers[consumer.Variable] = p
		if stage.Providers == nil {
			stage.Providers = map[string]string{}
		}
		stage.Providers[consumer.Variable] = name
	}
	return nil
}

func (r *run) chooseProvider(ctx context.Context, n *node, consumer release.Consumer) (string, error) {
	if n.parent == nil {
		for _, key := range []string{consumer.Variable, consumer.Name} {
			if name := r.target.Providers[key]; name != "" {
				return name, nil
			}
		}
	} else if name, err := r.mappedProvider(n, consumer); err != nil || name != "" {
		return name, err
	}
	if name := n.state().Providers[consumer.Variable]; name != "" {
		return name, nil
	}
	key := "provider " + n.stage + " " + state.FormatPath(n.path) + " " + consumer.Variable
	return r.decide(ctx, key, func() (string, error) {
		// What provides what stands in the deployments alone, so that all have to be read. It happens once for a deployment:
		// from then on it has its provider.
		if err := r.readDeployments(ctx); err != nil {
			return "", err
		}
		candidates := r.env.ReadyProviders()[consumer.Name]
		if len(candidates) == 1 {
			return candidates[0], nil
		}
		message := fmt.Sprintf("Missing provider of type '%s'. This can be configured using the -p / --extra-provider flag.", consumer.Name)
		if len(candidates) > 1 {
			message += " These deployments provide it: " + strings.Join(candidates, ", ") + "."
		}
		return "", failf(ReasonProvider, "%s", message)
	})
}

// mappedProvider is the provider that the parent gives to a consumer of a dependency.
func (r *run) mappedProvider(n *node, consumer release.Consumer) (string, error) {
	for i := range n.parent.m.Depends {
		d := &n.parent.m.Depends[i]
		if d.DeploymentName != n.path[len(n.path)-1] {
			continue
		}
		if text, ok := d.Consumes[consumer.Variable]; ok {
			name, err := expr.EvaluateString(text, r.scope(n.parent))
			if err != nil {
				return "", failf(ReasonProvider, "the provider of '%s' for the dependency '%s': %s", consumer.Variable, d.Variable, err)
			}
			return name, nil
		}
	}
	if p := n.parent.providers[consumer.Variable]; p != nil && p.consumer.Name == consumer.Name {
		return state.FormatPath(p.path), nil
	}
	return "", nil
}

// loadProvider looks up a provider by the path of its deployment, "name" or "root:sub".
func (r *run) loadProvider(ctx context.Context, consumer release.Consumer, name string) (*provider, error) {
	names, err := state.ParsePath(name)
	if err != nil {
		return nil, failf(ReasonProvider, "the provider of '%s': %s", consumer.Name, err)
	}
	if _, err := r.rootDeployment(ctx, names[0]); err != nil {
		return nil, err
	}
	deployment := r.env.Find(names, state.StageDeploy)
	if deployment == nil || deployment.ReleaseID(state.StageDeploy) == "" {
		return nil, failf(ReasonProvider, "the deployment '%s', which is to provide '%s', is not deployed in the environment '%s'", name, consumer.Name, r.env.Name)
	}
	id, err := release.ParseID(deployment.ReleaseID(state.StageDeploy))
	if err != nil {
		return nil, failf(ReasonProvider, "the deployment '%s': %s", name, err)
	}
	m, err := r.lookup(ctx, id)
	if err != nil {
		return nil, err
	}
	stage := deployment.Stages[state.StageDeploy]
	r.hideStored(m, stage)
	variables := plan.ReleaseVariables(m)
	variables["deployment"] = name
	variables["inputs"] = release.PlainValue(maps.Clone(nonNil(stage.CalculatedInputs)))
	variables["outputs"] = release.PlainValue(maps.Clone(nonNil(stage.CalculatedOutputs)))
	return &provider{consumer: consumer, path: names, stage: stage, deployment: deployment, m: m, variables: variables}, nil
}

// withProviders runs a step of a node with its providers active. What was activated is deactivated in any case, also
// after an error or a cancellation, in the opposite order.
func (r *run) withProviders(ctx context.Context, n *node, step func() error) (err error) {
	var active []*provider
	defer func() {
		for _, p := range slices.Backward(active) {
			if p.consumer.SkipDeactivate {
				continue
			}
			if deactivateErr := r.switchProvider(context.WithoutCancel(ctx), p, "deactivate_provider", nil); deactivateErr != nil {
				if err != nil {
					r.log(LevelError, "provider.deactivate", asFailure(deactivateErr).Message, n.values())
				} else {
					err = deactivateErr
				}
			}
		}
	}()
	for _, consumer := range n.m.Consumes { // the order of the release, since maps have none
		p := n.providers[consumer.Variable]
		if p == nil {
			continue
		}
		if !consumer.SkipActivate {
			if err := r.switchProvider(ctx, p, "activate_provider", nil); err != nil {
				return err
			}
		}
		active = append(active, p) // by somebody else, where this step does not do it
	}
	return step()
}

// switchProvider runs the activate or deactivate script of a provider. The provider's own providers are activated before
// it and deactivated after it.
func (r *run) switchProvider(ctx context.Context, p *provider, step string, above []string) error {
	name := state.FormatPath(p.path)
	if slices.Contains(above, name) {
		return failf(ReasonProvider, "the deployments %s are providers of each other", strings.Join(append(above, name), ", "))
	}
	above = append(slices.Clone(above), name)
	own := func() error {
		for _, consumer := range p.m.Consumes {
			deployment := p.stage.Providers[consumer.Variable]
			if deployment == "" || !release.InScope(consumer.Scopes, state.StageDeploy) {
				continue
			}
			next, err := r.loadProvider(ctx, consumer, deployment)
			if err != nil {
				return err
			}
			if err := r.switchProvider(ctx, next, step, above); err != nil {
				return err
			}
		}
		return nil
	}
	if step == "activate_provider" {
		if err := own(); err != nil {
			return err
		}
	}
	if !p.m.Stage(step).Empty() {
		if err := r.runProvider(ctx, p, step); err != nil {
			return err
		}
	}
	if step == "deactivate_provider" {
		return own()
	}
	return nil
}

func (r *run) runProvider(ctx context.Context, p *provider, step string) error {
	id := p.m.ID()
	dir := path.Join(metaDir, "providers", id.Project, id.Unqualified())
	m, err := r.unpack(ctx, id, dir)
	if err != nil {
		return err
	}
	if err := r.unpackNeeded(ctx, m, dir, []string{release.ScopeDeploy}, 0); err != nil {
		return err
	}
	n := &node{m: m, rel: dir, path: p.path, stage: state.StageDeploy, deployment: p.deployment}
	if err := r.load(ctx, n); err != nil {
		var failure *Failure
		if errors.As(err, &failure) && failure.Reason == ReasonProvider {
			n.providers = map[string]*provider{} // its scripts may not need them
		} else {
			return err
		}
	}
	_, err = r.script(ctx, n, step, scriptOptions{outputs: true})
	return err
}
