package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"slipway/internal/expr"
	"slipway/internal/release"
)

// mapDependencies connects the inputs and consumers of dependencies with those of the release:
//   - an input that the plan maps keeps its mapping;
//   - an input that the release has under the same id gets its value, if that is known before dependencies run;
//   - an input without a default becomes an input of the release;
//   - a consumer that is not mapped becomes a consumer of the release.
func (c *compiler) mapDependencies(context.Context) error {
	for i := range c.m.Depends {
		d := &c.m.Depends[i]
		m := c.result.Releases[d.ReleaseID]
		if d.BuildMapping == nil {
			d.BuildMapping = map[string]any{}
		}
		if d.DeployMapping == nil {
			d.DeployMapping = map[string]any{}
		}
		if d.Consumes == nil {
			d.Consumes = map[string]string{}
		}
		c.warnUnknown(d, m)
		for _, input := range m.Inputs {
			if !release.InScope(input.Scopes, release.ScopeDeploy) || release.IsMagicType(input.Type) {
				continue
			}
			for _, scope := range d.Scopes {
				c.mapInput(d, input, scope)
			}
		}
		for _, consumer := range m.Consumes {
			if release.InScope(consumer.Scopes, release.ScopeDeploy) {
				c.mapConsumer(d, consumer)
			}
		}
	}
	return nil
}

func (c *compiler) mapInput(d *release.Dependency, input *release.Variable, scope string) {
	mapping := d.BuildMapping
	if scope == release.ScopeDeploy {
		mapping = d.DeployMapping
	}
	if _, mapped := mapping[input.ID]; mapped {
		return
	}
	// Each scope may have a variable of its own under one id.
	own := slices.IndexFunc(c.m.Inputs, func(v *release.Variable) bool { return v.ID == input.ID && release.InScope(v.Scopes, scope) })
	at := slices.IndexFunc(c.m.Inputs, func(v *release.Variable) bool { return v.ID == input.ID })
	switch {
	case own >= 0:
		if c.m.Inputs[own].EvalBeforeDependencies {
			mapping[input.ID] = "$this.inputs." + input.ID
		}
		return
	case input.HasDefault():
		return
	case at >= 0:
		c.m.Inputs[at].Scopes = union(c.m.Inputs[at].Scopes, []string{scope})
	default:
		taken := *input
		taken.Scopes, taken.EvalBeforeDependencies = []string{scope}, true
		c.m.Inputs = append(c.m.Inputs, &taken)
	}
	mapping[input.ID] = "$this.inputs." + input.ID
}

func (c *compiler) mapConsumer(d *release.Dependency, consumer release.Consumer) {
	if _, mapped := d.Consumes[consumer.Variable]; mapped {
		return
	}
	at := slices.IndexFunc(c.m.Consumes, func(o release.Consumer) bool { return o.Variable == consumer.Variable })
	if at >= 0 && c.m.Consumes[at].Name != consumer.Name {
		c.warn("the consumer '%s' of the dependency '%s' is not mapped, and the release has another one of that name", consumer.Variable, d.ReleaseID)
		return
	}
	if at < 0 {
		c.m.Consumes = append(c.m.Consumes, release.Consumer{
			Name: consumer.Name, Variable: consumer.Variable, Scopes: slices.Clone(d.Scopes), SkipActivate: true, SkipDeactivate: true,
		})
	} else {
		c.m.Consumes[at].Scopes = union(c.m.Consumes[at].Scopes, d.Scopes)
	}
	// A name that the script language cannot say stays unmapped: the provider is then found by the name alone.
	if _, err := expr.Parse("$" + consumer.Variable + ".deployment"); err == nil {
		d.Consumes[consumer.Variable] = "$" + consumer.Variable + ".deployment"
	}
}

func (c *compiler) warnUnknown(d *release.Dependency, m *release.Metadata) {
	for _, mapping := range []map[string]any{d.BuildMapping, d.DeployMapping} {
		for _, key := range slices.Sorted(maps.Keys(mapping)) {
			if !slices.ContainsFunc(m.Inputs, func(v *release.Variable) bool { return v.ID == key }) {
				warning := fmt.Sprintf("the dependency '%s' has no input '%s'", d.ReleaseID, key)
				if !slices.Contains(c.result.Warnings, warning) {
					c.warn("%s", warning)
				}
			}
		}
	}
}

// templates completes the mappings of templates: every template can use the inputs of its scope and the fields of the
// release under their own names.
func (c *compiler) templates(context.Context) error {
	for _, t := range c.plan.Templates {
		if err := c.checkTemplate(t); err != nil {
			if err := c.report(err); err != nil {
				return err
			}
			continue
		}
		c.addTemplate(t)
		c.result.required = append(c.result.required, t.File)
	}
	for i := range c.m.Templates {
		t := &c.m.Templates[i]
		mapping := map[string]any{}
		for _, field := range templateFields {
			mapping[field] = "$this." + field
		}
		for _, input := range c.m.Inputs {
			inAll := !slices.ContainsFunc(t.Scopes, func(s string) bool { return !release.InScope(input.Scopes, s) })
			if inAll {
				mapping[input.ID] = "$this.inputs." + input.ID
			}
		}
		for key, given := range t.Mapping {
			mapping[key] = given
		}
		t.Mapping = mapping
	}
	return nil
}

// addTemplate adds a template, which replaces others with its target in its scopes.
func (c *compiler) addTemplate(t release.Template) {
	var kept []release.Template
	for _, o := range c.m.Templates {
		if o.Target == t.Target {
			o.Scopes = slices.DeleteFunc(slices.Clone(o.Scopes), func(scope string) bool { return release.InScope(t.Scopes, scope) })
			if len(o.Scopes) == 0 {
				continue
			}
		}
		kept = append(kept, o)
	}
	c.m.Templates = append(kept, t)
}

const maxTemplate = 4 << 20

func (c *compiler) checkTemplate(t release.Template) error {
	info, err := c.root.Stat(t.File)
	if err != nil || !info.Mode().IsRegular() {
		return c.plan.Error("templates", t.File, fmt.Sprintf("missing template %s", t.File))
	}
	if info.Size() > maxTemplate {
		return c.plan.Error("templates", t.File, fmt.Sprintf("the template %s is over %d bytes", t.File, maxTemplate))
	}
	data, err := c.root.ReadFile(t.File)
	if err != nil {
		return c.plan.Error("templates", t.File, fmt.Sprintf("the template %s cannot be read", t.File))
	}
	if err := checkTemplate(string(data)); err != nil {
		return c.plan.Error("templates", t.File, fmt.Sprintf("the template %s is not valid Mustache: %s", t.File, err))
	}
	return nil
}
