package plan

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/release"
)

// PackageDir is where the package of a dependency or an extension is unpacked, below the folder of the release that
// needs it.
func PackageDir(id release.ID) string { return "deps/" + id.Project + "/" + id.Name }

// extends takes over the definitions of other releases. Later extensions win over earlier ones, and the plan, whose
// definitions are added afterwards, wins over all.
func (c *compiler) extends(ctx context.Context) error {
	for _, text := range c.plan.Extends {
		id, m, err := c.lookup(ctx, "extends", text)
		if err != nil {
			if err := c.report(err); err != nil {
				return err
			}
			continue
		}
		c.m.Extends = append(c.m.Extends, release.Extension{ReleaseID: id.String()})
		if err := c.inheritDepends(ctx, m); err != nil {
			return err
		}
		dir := PackageDir(id)
		c.m.Generates = union(c.m.Generates, m.Generates)
		for _, p := range m.Provides {
			if !c.m.Provide(p.Name) {
				c.m.Provides = append(c.m.Provides, p)
			}
		}
		for _, consumer := range m.Consumes {
			c.m.Consumes = slices.DeleteFunc(c.m.Consumes, func(o release.Consumer) bool { return o.Variable == consumer.Variable })
			c.m.Consumes = append(c.m.Consumes, consumer)
		}
		c.m.Inputs = replaceVariables(c.m.Inputs, cloneVariables(m.Inputs))
		c.m.Outputs = replaceVariables(c.m.Outputs, cloneVariables(m.Outputs))
		maps.Copy(c.m.Metadata, m.Metadata)
		for field, stage := range m.Stages {
			if !stage.Empty() {
				c.m.Stages[field] = movedStage(stage, dir)
			}
		}
		for name, errand := range m.Errands {
			moved := *errand
			moved.ExecStage, moved.Script, moved.Inputs = movedStage(errand.ExecStage, dir), "", cloneVariables(errand.Inputs)
			c.m.Errands[name] = &moved
		}
		for _, template := range m.Templates {
			template.File = path.Join(dir, template.File)
			template.Mapping = maps.Clone(template.Mapping)
			c.addTemplate(template)
		}
		c.m.Downloads = append(c.m.Downloads, m.Downloads...)
	}
	return nil
}

// inheritDepends takes over dependencies that the plan does not name itself.
func (c *compiler) inheritDepends(ctx context.Context, m *release.Metadata) error {
	for _, d := range m.Depends {
		known := slices.ContainsFunc(c.m.Depends, func(o release.Dependency) bool {
			return o.Variable == d.Variable || o.DeploymentName == d.DeploymentName
		})
		if known {
			continue
		}
		pinned, dependency, err := c.lookup(ctx, "extends", d.ReleaseID)
		if err != nil {
			c.faults.missing(Dependency{ReleaseID: d.ReleaseID, Variable: d.Variable})
			if err := c.report(err); err != nil {
				return err
			}
			continue
		}
		d.BuildMapping, d.DeployMapping, d.Consumes = maps.Clone(d.BuildMapping), maps.Clone(d.DeployMapping), maps.Clone(d.Consumes)
		c.m.Depends = append(c.m.Depends, d)
		c.scope.Variables[d.Variable] = dependencyVariables(pinned, dependency)
	}
	return nil
}

// movedStage points a script at the place where the package of the extension is unpacked.
func movedStage(stage *release.ExecStage, dir string) *release.ExecStage {
	if stage == nil {
		return nil
	}
	moved := *stage
	moved.Args = slices.Clone(stage.Args)
	if moved.Script != "" && !expr.IsExpression(moved.Script) {
		moved.Script = dir + "/" + strings.TrimPrefix(moved.Script, "./")
	}
	return &moved
}

func cloneVariables(variables []*release.Variable) []*release.Variable {
	out := make([]*release.Variable, len(variables))
	for i, v := range variables {
		copied := *v
		copied.Scopes = slices.Clone(v.Scopes)
		out[i] = &copied
	}
	return out
}
