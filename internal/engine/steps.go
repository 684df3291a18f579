package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"slipway/internal/expr"
	"slipway/internal/release"
	"slipway/internal/state"
)

// apply builds or deploys a node: dependencies, then the pre, main and post scripts of its stage. The node's packages
// have to be unpacked.
func (r *run) apply(ctx context.Context, n *node, given map[string]any) (err error) {
	title := map[string]string{state.StageBuild: "Build", state.StageDeploy: "Deploy"}[n.stage]
	end := r.section(title+" "+n.label(), n.stage+".start", fmt.Sprintf("%s %s.", title, n.label()), n.values())
	defer func() { end(err) }()

	stage := n.state()
	previous, previousOutputs := stage.CalculatedInputs, stage.CalculatedOutputs
	if stage.Version == "" {
		previous, previousOutputs = nil, nil
	}
	r.hideStored(n.m, stage)
	n.deployment.Release = n.m.ID().Versionless()
	n.inputs, n.outputs, n.ready = map[string]any{}, map[string]any{}, map[string]bool{}
	if err := r.takeInputs(n, given); err != nil {
		return r.failed(ctx, n, state.Failure, err)
	}
	if err := r.resolveProviders(ctx, n); err != nil {
		return r.failed(ctx, n, state.Failure, err)
	}
	if err := r.save(ctx, n); err != nil {
		return err
	}
	if stage.Version == "" {
		// The first time, the version is told before the dependencies are deployed: should one of them fail, those that were
		// deployed can only be destroyed if it is known of which release they are part.
		stage.Version = n.m.Version
	}
	if err := r.status(ctx, n, state.RunningPreStep, nil); err != nil {
		return err
	}
	if err := r.applyStage(ctx, n, previous, previousOutputs); err != nil {
		return r.failed(ctx, n, state.Failure, err)
	}
	return r.status(ctx, n, state.OK, nil)
}

// applyStage applies the dependencies and runs the scripts. previous and previousOutputs are what was calculated the last
// time, for the scripts to compare with.
func (r *run) applyStage(ctx context.Context, n *node, previous, previousOutputs map[string]any) error {
	pre, main, post := "pre_"+n.stage, n.stage, "post_"+n.stage
	stage := n.state()
	if err := r.evaluateInputs(n, true); err != nil {
		return err
	}
	if err := r.applyDependencies(ctx, n); err != nil {
		return err
	}
	if err := r.evaluateInputs(n, false); err != nil {
		return err
	}
	stage.Version, stage.Provides, stage.CalculatedInputs = n.m.Version, nil, calculatedInputs(n)
	for _, p := range n.m.Provides {
		stage.Provides = append(stage.Provides, p.Name)
	}
	if err := r.save(ctx, n); err != nil {
		return err
	}
	return r.withProviders(ctx, n, func() error {
		if err := r.download(ctx, n); err != nil {
			return err
		}
		options := scriptOptions{previous: previous, previousOf: previousOutputs, repeatable: n.stage == state.StageBuild}
		if _, err := r.script(ctx, n, pre, options); err != nil {
			return err
		}
		if err := r.renderTemplates(n); err != nil {
			return err
		}
		if err := r.status(ctx, n, state.RunningMainStep, nil); err != nil {
			return err
		}
		options.file = map[string]any{}
		if err := r.scriptWithOutputs(ctx, n, main, options); err != nil {
			return err
		}
		stage.CalculatedOutputs = maps.Clone(n.outputs)
		if err := r.save(ctx, n); err != nil {
			return err
		}
		if err := r.status(ctx, n, state.RunningPostStep, nil); err != nil {
			return err
		}
		options.file, options.outputs = n.outputs, true
		if err := r.scriptWithOutputs(ctx, n, post, options); err != nil {
			return err
		}
		if err := r.finishOutputs(n); err != nil {
			return err
		}
		stage.CalculatedOutputs = maps.Clone(n.outputs)
		return r.save(ctx, n)
	})
}

// takeInputs puts what the user or the parent gives into the stage.
func (r *run) takeInputs(n *node, given map[string]any) error {
	if len(given) == 0 {
		return nil
	}
	stage := n.state()
	inputs := maps.Clone(stage.Inputs)
	if inputs == nil {
		inputs = map[string]any{}
	}
	for _, id := range slices.Sorted(maps.Keys(given)) {
		at := slices.IndexFunc(n.m.Inputs, func(v *release.Variable) bool { return v.ID == id })
		if at < 0 {
			r.log(LevelWarn, "inputs.unknown", fmt.Sprintf("%s has no input '%s'; the value is ignored.", n.label(), id), n.values())
			continue
		}
		if release.IsMagicType(n.m.Inputs[at].Type) {
			return failf(ReasonInput, "the input '%s' of %s is set by the platform and cannot be given", id, n.label())
		}
		inputs[id] = release.PlainValue(given[id])
		r.hide(n.m.Inputs[at], inputs[id])
	}
	stage.Inputs = inputs
	return nil
}

// scriptWithOutputs runs a script that may change the node's outputs.
func (r *run) scriptWithOutputs(ctx context.Context, n *node, step string, o scriptOptions) error {
	before := maps.Clone(o.file)
	after, err := r.script(ctx, n, step, o)
	if err != nil {
		return err
	}
	return r.takeOutputs(n, step, before, after)
}

// applyDependencies deploys the node's dependencies in their order.
func (r *run) applyDependencies(ctx context.Context, n *node) error {
	for i := range n.m.Depends {
		d := &n.m.Depends[i]
		if !release.InScope(d.Scopes, n.stage) {
			continue
		}
		child, err := r.child(n, d)
		if err != nil {
			return err
		}
		mapping := d.DeployMapping
		if n.stage == state.StageBuild {
			mapping = d.BuildMapping
		}
		child.state().Inputs = nil     // only what is mapped now counts
		given := maps.Clone(d.Mapping) // documents of old clients
		if given == nil {
			given = map[string]any{}
		}
		maps.Copy(given, mapping)
		for id, text := range given {
			value, err := expr.EvaluateAny(text, r.scope(n))
			if err != nil {
				return failf(ReasonInput, "the input '%s' for the dependency '%s' of %s: %s", id, d.Variable, n.label(), err)
			}
			given[id] = value
		}
		if err := r.apply(ctx, child, given); err != nil {
			return err
		}
		n.ready[d.Variable] = true
	}
	return nil
}

// test runs the tests of what is built, or the smoke tests of what is deployed.
func (r *run) test(ctx context.Context, n *node) (err error) {
	step, title := "test", "Test"
	if n.stage == state.StageDeploy {
		step, title = "smoke", "Smoke test"
	}
	end := r.section(title+" "+n.label(), step+".start", fmt.Sprintf("%s %s.", title, n.label()), n.values())
	defer func() { end(err) }()
	if err := r.load(ctx, n); err != nil {
		return r.failed(ctx, n, state.TestFailure, err)
	}
	if err := r.status(ctx, n, state.RunningTestStep, nil); err != nil {
		return err
	}
	err = r.withProviders(ctx, n, func() error {
		_, err := r.script(ctx, n, step, scriptOptions{outputs: true, repeatable: n.stage == state.StageBuild})
		return err
	})
	if err != nil {
		return r.failed(ctx, n, state.TestFailure, err)
	}
	return r.status(ctx, n, state.OK, nil)
}

// destroy takes down what a node has put up, nested deployments first. The version, the providers and the inputs that
// people gave stay in the state.
func (r *run) destroy(ctx context.Context, n *node) (err error) {
	end := r.section("Destroy "+n.label(), "destroy.start", fmt.Sprintf("Destroy %s.", n.label()), n.values())
	defer func() { end(err) }()
	if err := r.load(ctx, n); err != nil {
		return r.failed(ctx, n, state.DestroyFailure, err)
	}
	work := func() error {
		for i := range slices.Backward(n.m.Depends) {
			d := &n.m.Depends[i]
			nested := n.state().Deployments[d.DeploymentName]
			if nested == nil || nested.ReleaseID(state.StageDeploy) == "" || nested.Stages[state.StageDeploy].CodeOf() == state.Empty {
				continue
			}
			child, err := r.child(n, d)
			if err != nil {
				return err
			}
			if err := r.destroy(ctx, child); err != nil {
				return err
			}
		}
		if err := r.status(ctx, n, state.RunningPreDestroyStep, nil); err != nil {
			return err
		}
		if n.neverRan() {
			return nil
		}
		return r.withProviders(ctx, n, func() error {
			options := scriptOptions{outputs: true}
			if _, err := r.script(ctx, n, "pre_destroy", options); err != nil {
				return err
			}
			if err := r.status(ctx, n, state.RunningMainDestroyStep, nil); err != nil {
				return err
			}
			options.file = n.outputs
			if err := r.scriptWithOutputs(ctx, n, "destroy", options); err != nil {
				return err
			}
			if err := r.status(ctx, n, state.RunningPostDestroyStep, nil); err != nil {
				return err
			}
			_, err := r.script(ctx, n, "post_destroy", options)
			return err
		})
	}
	if err := work(); err != nil {
		return r.failed(ctx, n, state.DestroyFailure, err)
	}
	n.state().CalculatedInputs = nil
	if err := r.save(ctx, n); err != nil {
		return err
	}
	n.state().CalculatedOutputs = nil
	if err := r.save(ctx, n); err != nil {
		return err
	}
	return r.status(ctx, n, state.Empty, nil)
}

// neverRan reports whether none of the node's own scripts has run since it was last destroyed, because a dependency or an
// input failed before: then there is nothing of its own to destroy, and no inputs that a script could use.
func (n *node) neverRan() bool {
	if len(n.state().CalculatedInputs) > 0 {
		return false
	}
	return len(n.m.Metadata) > 0 || slices.ContainsFunc(n.m.Inputs, func(v *release.Variable) bool { return release.InScope(v.Scopes, n.stage) })
}

// errand runs an errand on what is deployed.
func (r *run) errand(ctx context.Context, n *node, name string, given map[string]any) (outputs map[string]any, err error) {
	errand := n.m.Errands[name]
	if errand == nil {
		return nil, failf(ReasonMissing, "%s has no errand '%s'", n.label(), name)
	}
	end := r.section("Errand "+name, "errand.start", fmt.Sprintf("Run the errand %s of %s.", name, n.label()), n.values())
	defer func() { end(err) }()
	if err := r.load(ctx, n); err != nil {
		return nil, err
	}
	inputs := map[string]any{}
	for _, v := range errand.Inputs {
		value, err := r.evaluateInput(n, v, given)
		if err != nil {
			return nil, err
		}
		inputs[v.ID] = value
		r.hide(v, value)
	}
	err = r.withProviders(ctx, n, func() error {
		outputs, err = r.script(ctx, n, "errands."+name, scriptOptions{outputs: true, errand: inputs, file: map[string]any{}, stage: errand.ExecStage})
		return err
	})
	return outputs, err
}
