package plan

import (
	"fmt"
	"path"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/release"
)

// Parse reads the text of a plan. file is only used in errors, which are all *Error. Keys that plans do not have are
// ignored.
func Parse(file string, data []byte) (*Plan, error) {
	root, err := readTree(file, data)
	if err != nil {
		return nil, err
	}
	p := &parser{plan: &Plan{File: file, Scripts: map[string]*Script{}, Errands: map[string]*Errand{}, lines: map[string]int{}}}
	for _, m := range root.fields {
		p.field, p.plan.lines[m.key] = m.key, m.line
		read, known := fields[m.key]
		if !known || m.value.kind == kindNull {
			continue
		}
		if err := read(p, m.value); err != nil {
			return nil, err
		}
	}
	return p.plan, p.check()
}

// fields says how each field of a plan is read.
var fields map[string]func(*parser, *value) error

func init() {
	both := []string{release.ScopeBuild, release.ScopeDeploy}
	build, deploy := both[:1:1], both[1:]
	fields = map[string]func(*parser, *value) error{
		"name":        (*parser).name,
		"version":     func(p *parser, v *value) (err error) { p.plan.Version, err = p.text(v); return },
		"description": func(p *parser, v *value) (err error) { p.plan.Description, err = p.text(v); return },
		"license":     func(p *parser, v *value) (err error) { p.plan.License, err = p.text(v); return },
		"logo":        func(p *parser, v *value) (err error) { p.plan.Logo, err = p.path(v); return },
		"metadata":    func(p *parser, v *value) (err error) { p.plan.Metadata, err = p.texts(v); return },
		"depends":     (*parser).depends,
		"extends":     (*parser).extends,
		"includes":    func(p *parser, v *value) (err error) { p.plan.Includes, err = p.globs(v); return },
		"generates":   func(p *parser, v *value) (err error) { p.plan.Generates, err = p.globs(v); return },
		"provides":    (*parser).provides,
		"errands":     (*parser).errands,
		"downloads":   (*parser).downloads,
	}
	for prefix, scopes := range map[string][]string{"": both, "build_": build, "deploy_": deploy} {
		fields[prefix+"consumes"] = func(p *parser, v *value) error { return p.consumes(v, scopes) }
		fields[prefix+"templates"] = func(p *parser, v *value) error { return p.templates(v, scopes) }
		fields[prefix+"inputs"] = func(p *parser, v *value) error { return p.variables(v, scopes, &p.plan.Inputs) }
		fields[prefix+"outputs"] = func(p *parser, v *value) error { return p.variables(v, scopes, &p.plan.Outputs) }
	}
	for _, name := range ScriptFields {
		fields[name] = func(p *parser, v *value) (err error) { p.plan.Scripts[name], err = p.script(v); return }
	}
}

type parser struct {
	plan  *Plan
	field string // the plan field that is being read
}

func (p *parser) fail(v *value, format string, args ...any) error {
	return &Error{File: p.plan.File, Line: v.line, Field: p.field, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) wrap(v *value, err error) error { return p.fail(v, "%s", err) }

// at remembers the line of an item, for errors that compiling finds.
func (p *parser) at(v *value, detail string) { p.plan.lines[p.field+" "+detail] = v.line }

// check is about what spans fields.
func (p *parser) check() error {
	plan := p.plan
	for _, required := range []struct{ field, text string }{{"name", plan.Name}, {"version", plan.Version}} {
		if required.text == "" {
			return &Error{File: plan.File, Line: plan.lines[required.field], Field: required.field, Message: "the field is required"}
		}
	}
	for field, list := range map[string][]*release.Variable{"inputs": plan.Inputs, "outputs": plan.Outputs} {
		seen := map[string]bool{}
		for _, v := range list {
			for _, scope := range v.Scopes {
				if seen[scope+" "+v.ID] {
					return plan.Error(field, v.ID, fmt.Sprintf("the variable '%s' is defined twice for the scope '%s'", v.ID, scope))
				}
				seen[scope+" "+v.ID] = true
			}
		}
	}
	return nil
}

func (p *parser) name(v *value) error {
	text, err := p.text(v)
	if err != nil {
		return err
	}
	p.plan.Project, p.plan.Name = release.DefaultProject, text
	if project, name, ok := strings.Cut(text, "/"); ok {
		p.plan.Project, p.plan.Name = project, name
	}
	if err := release.ValidateNamespace(p.plan.Project); err != nil {
		return p.wrap(v, err)
	}
	if err := release.ValidateName(p.plan.Name); err != nil {
		return p.wrap(v, err)
	}
	return nil
}

func (p *parser) depends(v *value) error {
	return p.each(v, func(item *value) error {
		var d Dependency
		if item.kind == kindScalar {
			d.ReleaseID, d.Variable = splitAlias(item.text)
		} else {
			var mapping map[string]any
			var err error
			read := func(key string, target *string) {
				if field := item.get(key); err == nil && field != nil && field.kind != kindNull {
					*target, err = p.text(field)
				}
			}
			if err := p.keys(item, "release_id", "mapping", "build_mapping", "deploy_mapping", "consumes", "scopes", "deployment_name", "variable"); err != nil {
				return err
			}
			read("release_id", &d.ReleaseID)
			read("variable", &d.Variable)
			read("deployment_name", &d.DeploymentName)
			for key, target := range map[string]*map[string]any{"mapping": &mapping, "build_mapping": &d.BuildMapping, "deploy_mapping": &d.DeployMapping} {
				if field := item.get(key); err == nil && field != nil {
					*target, err = p.expressions(field)
				}
			}
			if field := item.get("consumes"); err == nil && field != nil {
				d.Consumes, err = p.texts(field)
			}
			if err == nil {
				d.Scopes, err = p.scopes(item.get("scopes"))
			}
			if err != nil {
				return err
			}
			if d.ReleaseID == "" {
				return p.fail(item, "'release_id' is required")
			}
			if id, alias := splitAlias(d.ReleaseID); alias != "" {
				d.ReleaseID = id
				if d.Variable == "" {
					d.Variable = alias
				}
			}
			for key, text := range mapping { // "mapping" counts for both; the mapping of one scope wins
				for _, target := range []*map[string]any{&d.BuildMapping, &d.DeployMapping} {
					if *target == nil {
						*target = map[string]any{}
					}
					if _, own := (*target)[key]; !own {
						(*target)[key] = text
					}
				}
			}
		}
		if _, err := release.ParseID(d.ReleaseID); err != nil {
			return p.wrap(item, err)
		}
		if err := p.alias(item, d.Variable); err != nil {
			return err
		}
		p.at(item, d.ReleaseID)
		p.plan.Depends = append(p.plan.Depends, d)
		return nil
	})
}

func (p *parser) extends(v *value) error {
	return p.each(v, func(item *value) error {
		text := item.text
		if item.kind == kindMap && item.get("release_id") != nil {
			text = item.get("release_id").text
		} else if item.kind != kindScalar {
			return p.fail(item, "expected a release id")
		}
		if _, err := release.ParseID(text); err != nil {
			return p.wrap(item, err)
		}
		p.at(item, text)
		p.plan.Extends = append(p.plan.Extends, text)
		return nil
	})
}

func (p *parser) provides(v *value) error {
	return p.each(v, func(item *value) error {
		text, err := p.text(item)
		if err != nil {
			return err
		}
		if text == "" {
			return p.fail(item, "the name of an interface cannot be empty")
		}
		p.plan.Provides = append(p.plan.Provides, text)
		return nil
	})
}

func (p *parser) consumes(v *value, scopes []string) error {
	return p.each(v, func(item *value) error {
		c := release.Consumer{Scopes: scopes}
		if item.kind == kindScalar {
			c.Name, c.Variable = splitAlias(item.text)
		} else {
			if err := p.keys(item, "name", "variable", "scopes", "skip_activate", "skip_deactivate"); err != nil {
				return err
			}
			var err error
			for key, target := range map[string]*string{"name": &c.Name, "variable": &c.Variable} {
				if field := item.get(key); err == nil && field != nil && field.kind != kindNull {
					*target, err = p.text(field)
				}
			}
			for key, target := range map[string]*bool{"skip_activate": &c.SkipActivate, "skip_deactivate": &c.SkipDeactivate} {
				if field := item.get(key); err == nil && field != nil {
					*target, err = p.flag(field)
				}
			}
			if err == nil && item.get("scopes") != nil {
				c.Scopes, err = p.scopes(item.get("scopes"))
			}
			if err != nil {
				return err
			}
			if name, alias := splitAlias(c.Name); alias != "" && c.Variable == "" {
				c.Name, c.Variable = name, alias
			}
		}
		if c.Name == "" {
			return p.fail(item, "'name' is required")
		}
		if c.Variable == "" {
			c.Variable = c.Name
		}
		if err := p.alias(item, c.Variable); err != nil {
			return err
		}
		p.at(item, c.Variable)
		for i := range p.plan.Consumes { // consumes in build_consumes and again in deploy_consumes
			if known := &p.plan.Consumes[i]; known.Variable == c.Variable {
				if known.Name != c.Name {
					return p.fail(item, "the variable '%s' is used for two consumers", c.Variable)
				}
				known.Scopes = union(known.Scopes, c.Scopes)
				return nil
			}
		}
		p.plan.Consumes = append(p.plan.Consumes, c)
		return nil
	})
}

func (p *parser) templates(v *value, scopes []string) error {
	return p.each(v, func(item *value) error {
		t := release.Template{Scopes: scopes}
		var err error
		if item.kind == kindScalar {
			t.File, err = p.path(item)
		} else {
			if err := p.keys(item, "file", "target", "scopes", "mapping"); err != nil {
				return err
			}
			for key, target := range map[string]*string{"file": &t.File, "target": &t.Target} {
				if field := item.get(key); err == nil && field != nil && field.kind != kindNull {
					*target, err = p.path(field)
				}
			}
			if field := item.get("mapping"); err == nil && field != nil {
				t.Mapping, err = p.expressions(field)
			}
			if err == nil && item.get("scopes") != nil {
				t.Scopes, err = p.scopes(item.get("scopes"))
			}
		}
		if err != nil {
			return err
		}
		if t.File == "" {
			return p.fail(item, "'file' is required")
		}
		if t.Target == "" {
			t.Target = strings.TrimSuffix(t.File, path.Ext(t.File))
		}
		if t.Target == t.File || !release.SafePath(t.Target) {
			return p.fail(item, "the template '%s' needs a 'target', since it has no extension that could be left out", t.File)
		}
		p.at(item, t.File)
		p.plan.Templates = append(p.plan.Templates, t)
		return nil
	})
}

func (p *parser) downloads(v *value) error {
	return p.each(v, func(item *value) error {
		if err := p.keys(item, "url", "dest", "overwrite", "if_not_exists", "unpack", "platform", "arch", "scopes"); err != nil {
			return err
		}
		var d release.Download
		var err error
		for key, target := range map[string]*string{"url": &d.URL, "platform": &d.Platform, "arch": &d.Arch} {
			if field := item.get(key); err == nil && field != nil && field.kind != kindNull {
				*target, err = p.text(field)
			}
		}
		if field := item.get("dest"); err == nil && field != nil && field.kind != kindNull {
			d.Dest, err = p.path(field)
		}
		for key, target := range map[string]*bool{"overwrite": &d.Overwrite, "unpack": &d.Unpack} {
			if field := item.get(key); err == nil && field != nil {
				*target, err = p.flag(field)
			}
		}
		if field := item.get("if_not_exists"); err == nil && field != nil && field.kind != kindNull {
			d.IfNotExists, err = p.globs(field)
		}
		if err == nil {
			d.Scopes, err = p.scopes(item.get("scopes"))
		}
		if err != nil {
			return err
		}
		if d.URL == "" {
			return p.fail(item, "'url' is required")
		}
		if d.Dest == "" {
			return p.fail(item, "Missing 'dest' in download config for '%s'", d.URL)
		}
		p.at(item, d.URL)
		p.plan.Downloads = append(p.plan.Downloads, d)
		return nil
	})
}

func (p *parser) errands(v *value) error {
	if v.kind != kindMap {
		return p.fail(v, "expected a map of errands")
	}
	for _, m := range v.fields {
		if err := release.ValidateVariableID(m.key); err != nil {
			return p.fail(m.value, "invalid name of an errand '%s': expected letters, then letters, digits, '-' and '_'", m.key)
		}
		errand := &Errand{}
		if err := p.keys(m.value, "description", "run", "script", "inputs"); err != nil {
			return err
		}
		run := m.value.get("run")
		if run == nil {
			run = m.value.get("script") // the older name
		}
		if run == nil || run.kind == kindNull {
			return p.fail(m.value, "the errand '%s' needs 'run'", m.key)
		}
		var err error
		if errand.Run, err = p.script(run); err != nil {
			return err
		}
		if field := m.value.get("description"); field != nil && field.kind != kindNull {
			if errand.Description, err = p.text(field); err != nil {
				return err
			}
		}
		if field := m.value.get("inputs"); field != nil && field.kind != kindNull {
			both := []string{release.ScopeBuild, release.ScopeDeploy}
			if err := p.variables(field, both, &errand.Inputs); err != nil {
				return err
			}
		}
		p.at(m.value, m.key)
		p.plan.Errands[m.key] = errand
	}
	return nil
}

// script reads a text or a map with cmd and args, inline, or script.
func (p *parser) script(v *value) (*Script, error) {
	if v.kind == kindScalar {
		text := strings.TrimSpace(v.text)
		if text == "" {
			return nil, nil
		}
		if _, err := Words(text); err != nil {
			return nil, p.wrap(v, err)
		}
		return &Script{Text: text}, nil
	}
	if err := p.onlyKeys(v, "cmd", "args", "inline", "script"); err != nil {
		return nil, err
	}
	s := &Script{}
	var err error
	for key, target := range map[string]*string{"cmd": &s.Stage.Cmd, "inline": &s.Stage.Inline, "script": &s.Stage.Script} {
		if field := v.get(key); err == nil && field != nil && field.kind != kindNull {
			*target, err = p.text(field)
		}
	}
	if field := v.get("args"); err == nil && field != nil && field.kind != kindNull {
		err = p.each(field, func(item *value) error {
			arg, err := p.text(item)
			s.Stage.Args = append(s.Stage.Args, arg)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	if err := s.Stage.Validate(p.field); err != nil {
		return nil, p.wrap(v, err)
	}
	if s.Stage.Empty() {
		return nil, nil
	}
	return s, nil
}

// splitAlias splits "release-id as alias".
func splitAlias(text string) (head, alias string) {
	words := strings.Fields(text)
	if len(words) == 3 && words[1] == "as" {
		return words[0], words[2]
	}
	return strings.TrimSpace(text), ""
}

// alias checks the name of a variable of the script language; "" is none.
func (p *parser) alias(v *value, name string) error {
	if name == "" {
		return nil
	}
	if name == "this" {
		return p.fail(v, "'this' stands for the release itself and cannot be used as a name")
	}
	if parsed, err := expr.Parse("$" + name); err != nil || len(parsed.Variables()) != 1 || parsed.Variables()[0] != name {
		return p.fail(v, "'%s' cannot be used as a name: expected letters, digits, '-' and '_'", name)
	}
	return nil
}

func union(a, b []string) []string {
	out := append([]string{}, a...)
	for _, s := range b {
		if !release.InScope(append([]string{""}, out...), s) {
			out = append(out, s)
		}
	}
	return out
}
