package engine

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/state"
)

// OutlinedScript is a script that a release run would run.
type OutlinedScript struct {
	// Step is the plan field: "build", "pre_deploy", "activate_provider".
	Step string `json:"step"`
	// Release is whose script it is, "project/name-v1.0"; "" for those of a provider, which is known only when it runs.
	Release string `json:"release,omitempty"`
	// Provider is the interface whose provider is activated or deactivated, if the one that is found has a script for it.
	Provider string `json:"provider,omitempty"`
	// Deployment is the path of the deployment that it works for.
	Deployment string `json:"deployment"`
	// Runs is what is run, as the plan says it: expressions are not evaluated.
	Runs string `json:"runs,omitempty"`
}

// Outline tells which scripts a release run would run, in their order, without running any: where every step ends well and
// nothing was deployed before. inventory is asked for the releases that m depends on.
func Outline(ctx context.Context, m *release.Metadata, s ReleaseSteps, deployment string, inventory plan.Inventory) ([]OutlinedScript, error) {
	o := &outline{ctx: ctx, inventory: inventory, releases: map[string]*release.Metadata{}}
	if deployment == "" {
		deployment = m.ID().Versionless()
	}
	for _, side := range []struct {
		stage, test          string
		apply, tested, destr bool
	}{
		{state.StageBuild, "test", s.Build, s.Test, s.DestroyBuild},
		{state.StageDeploy, "smoke", s.Deploy, s.Smoke, s.DestroyDeploy},
	} {
		path := []string{deployment}
		if side.apply {
			if err := o.apply(m, side.stage, path); err != nil {
				return nil, err
			}
		}
		if side.tested {
			o.withProviders(m, side.stage, path, side.test)
		}
		if side.destr {
			if err := o.destroy(m, side.stage, path); err != nil {
				return nil, err
			}
		}
	}
	return o.scripts, nil
}

type outline struct {
	ctx       context.Context
	inventory plan.Inventory
	releases  map[string]*release.Metadata
	scripts   []OutlinedScript
}

// apply is what run.apply runs.
func (o *outline) apply(m *release.Metadata, stage string, path []string) error {
	for i := range m.Depends {
		if err := o.dependency(m, i, stage, path, func(dependency *release.Metadata, below []string) error {
			return o.apply(dependency, state.StageDeploy, below)
		}); err != nil {
			return err
		}
	}
	o.withProviders(m, stage, path, "pre_"+stage, stage, "post_"+stage)
	return nil
}

// destroy is what run.destroy runs: what was deployed below comes first, in the opposite order.
func (o *outline) destroy(m *release.Metadata, stage string, path []string) error {
	for i := range slices.Backward(m.Depends) {
		if err := o.dependency(m, i, stage, path, func(dependency *release.Metadata, below []string) error {
			return o.destroy(dependency, state.StageDeploy, below)
		}); err != nil {
			return err
		}
	}
	o.withProviders(m, stage, path, "pre_destroy", "destroy", "post_destroy")
	return nil
}

// dependency looks up a dependency that is in the stage and does something with it.
func (o *outline) dependency(m *release.Metadata, i int, stage string, path []string, do func(*release.Metadata, []string) error) error {
	d := &m.Depends[i]
	if !release.InScope(d.Scopes, stage) {
		return nil
	}
	if len(path) > maxNesting {
		return failf(ReasonPackage, "the dependencies of %s nest deeper than %d", m.ID(), maxNesting)
	}
	dependency := o.releases[d.ReleaseID]
	if dependency == nil {
		id, err := release.ParseID(d.ReleaseID)
		if err != nil {
			return err
		}
		found, err := o.inventory.Release(o.ctx, id)
		if err != nil {
			return fmt.Errorf("look up the release %s: %w", id, err)
		}
		copied := *found
		copied.Project = id.Project // releases of old clients do not always carry it
		dependency = &copied
		o.releases[d.ReleaseID] = dependency
	}
	return do(dependency, append(slices.Clone(path), d.DeploymentName))
}

// withProviders adds the scripts of a release for some steps, between those of the providers that they need.
func (o *outline) withProviders(m *release.Metadata, stage string, path []string, steps ...string) {
	name := state.FormatPath(path)
	add := func(consumer release.Consumer, step string) {
		o.scripts = append(o.scripts, OutlinedScript{Step: step, Provider: consumer.Name, Deployment: name})
	}
	var active []release.Consumer
	for _, consumer := range m.Consumes {
		if !release.InScope(consumer.Scopes, stage) {
			continue
		}
		if !consumer.SkipActivate {
			add(consumer, "activate_provider")
		}
		active = append(active, consumer)
	}
	for _, step := range steps {
		if script := m.Stage(step); !script.Empty() {
			o.scripts = append(o.scripts, OutlinedScript{Step: step, Release: m.ID().String(), Deployment: name, Runs: runs(script)})
		}
	}
	for _, consumer := range slices.Backward(active) {
		if !consumer.SkipDeactivate {
			add(consumer, "deactivate_provider")
		}
	}
}

// runs is what a script runs, in one text.
func runs(s *release.ExecStage) string {
	switch {
	case s.Inline != "":
		return s.Inline
	case s.Cmd != "":
		text := s.Cmd
		for _, arg := range s.Args {
			text += " " + arg
		}
		return text
	}
	return s.Script
}
