package engine

import (
	"fmt"
	"maps"

	"slipway/internal/expr"
	"slipway/internal/plan"
	"slipway/internal/release"
	"slipway/internal/state"
)

// scope is what expressions of a node see: the release itself, its dependencies and its providers.
func (r *run) scope(n *node) *expr.Scope {
	this := plan.ReleaseVariables(n.m)
	this["inputs"], this["outputs"] = n.inputs, n.outputs
	this["project"], this["environment"] = r.target.Project, r.env.Name
	this["deployment"] = state.FormatPath(n.path)
	variables := map[string]any{"this": this}
	for i := range n.m.Depends {
		d := &n.m.Depends[i]
		variables[d.Variable] = r.dependencyVariables(n, d)
	}
	for name, p := range n.providers {
		variables[name] = p.variables
	}
	return &expr.Scope{Variables: variables, Root: r.folder(n.rel), Env: r.Env, Now: r.now}
}

func (r *run) dependencyVariables(n *node, d *release.Dependency) map[string]any {
	id, err := release.ParseID(d.ReleaseID)
	if err != nil {
		return map[string]any{}
	}
	m := &release.Metadata{Project: id.Project, Name: id.Name, Version: id.Version, Metadata: map[string]string{}}
	if there := r.packages[r.packageDir(n.rel, id)]; there != nil {
		m = there.metadata
	}
	variables := plan.ReleaseVariables(m)
	variables["deployment"] = state.FormatPath(append(append([]string{}, n.path...), d.DeploymentName))
	later := func(what string) func() (any, error) {
		return func() (any, error) {
			if n.ready != nil && !n.ready[d.Variable] {
				return nil, fmt.Errorf("the %s of the dependency '%s' are not known before it is deployed", what, d.Variable)
			}
			deployed := n.state().Deployments[d.DeploymentName]
			if deployed == nil || deployed.Stages[state.StageDeploy] == nil {
				return nil, fmt.Errorf("the dependency '%s' is not deployed", d.Variable)
			}
			stage := deployed.Stages[state.StageDeploy]
			values := stage.CalculatedOutputs
			if what == "inputs" {
				values = stage.CalculatedInputs
			}
			return release.PlainValue(maps.Clone(nonNil(values))), nil
		}
	}
	variables["inputs"], variables["outputs"] = later("inputs"), later("outputs")
	return variables
}

func nonNil(values map[string]any) map[string]any {
	if values == nil {
		return map[string]any{}
	}
	return values
}
