package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/release"
)

// Parse reads the text of a plan. file is only used in errors, which are all *Error: the first thing that is wrong. Keys that
// plans do not have are ignored, with a warning.
func Parse(file string, data []byte) (*Plan, error) {
	p, faults := parseAll(file, data)
	if len(faults) > 0 {
		return p, faults[0]
	}
	return p, nil
}

// parseAll is Parse for everything that is wrong, in the order in which it was found. The plan holds what could be read;
// there is none if that is nothing.
func parseAll(file string, data []byte) (*Plan, []*Error) {
	p := &parser{plan: &Plan{File: file, Scripts: map[string]*Script{}, Errands: map[string]*Errand{}, lines: map[string]int{}}}
	root, err := readTree(file, data)
	if err != nil {
		p.report(err)
		return nil, p.faults
	}
	for _, m := range root.fields {
		p.field, p.plan.lines[m.key] = m.key, m.line
		read, known := fields[m.key]
		if !known && !strings.HasPrefix(m.key, "x-") && !strings.HasPrefix(m.key, ".") { // which hold what aliases repeat
			p.plan.warnings = append(p.plan.warnings, (&Error{File: file, Line: m.line, Field: m.key, Message: "plans have no such field: it does nothing"}).Error())
		}
		if !known || m.value.kind == kindNull {
			continue
		}
		p.report(read(p, m.value))
	}
	p.check()
	return p.plan, p.faults
}

// fields says how each field of a plan is read.
var fields map[string]func(*parser, *value) error

// bothScopes are those of what does not name any. Nobody changes the list.
var bothScopes = []string{release.ScopeBuild, release.ScopeDeploy}

func init() {
	build, deploy := bothScopes[:1:1], bothScopes[1:]
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
	for prefix, scopes := range map[string][]string{"": bothScopes, "build_": build, "deploy_": deploy} {
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
	plan   *Plan
	field  string // the plan field that is being read
	faults []*Error
}

// maxFaults bounds what is told of one plan: nobody reads more.
const maxFaults = 100

// report notes what is wrong; reading goes on behind it.
func (p *parser) report(err error) {
	var fault *Error
	if errors.As(err, &fault) && len(p.faults) < maxFaults {
		p.faults = append(p.faults, fault)
	}
}

// sound calls read, which reads the members of an item, and says that nothing was wrong with any of them.
func (p *parser) sound(read func()) bool {
	before := len(p.faults)
	read()
	return len(p.faults) == before && len(p.faults) < maxFaults
}

// part reads a member of an item, if the item has it; null counts as absent.
func part[T any](p *parser, item *value, key string, read func(*value) (T, error), target *T) {
	field := item.get(key)
	if field == nil || field.kind == kindNull {
		return
	}
	got, err := read(field)
	if err != nil {
		p.report(err)
		return
	}
	*target = got
}

func (p *parser) fail(v *value, format string, args ...any) error {
	return &Error{File: p.plan.File, Line: v.line, Field: p.field, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) wrap(v *value, err error) error { return p.fail(v, "%s", err) }

// at remembers the line of an item, for errors that compiling finds.
func (p *parser) at(v *value, detail string) { p.plan.lines[p.field+" "+detail] = v.line }

// check is about what spans fields.
func (p *parser) check() {
	plan := p.plan
	for _, required := range []struct{ field, text string }{{"name", plan.Name}, {"version", plan.Version}} {
		if required.text == "" && !p.faulty(required.field) {
			p.report(&Error{File: plan.File, Line: plan.lines[required.field], Field: required.field, Message: "the field is required"})
		}
	}
	for _, of := range []struct {
		field string
		list  []*release.Variable
	}{{"inputs", plan.Inputs}, {"outputs", plan.Outputs}} {
		seen := map[string]bool{}
		for _, v := range of.list {
			for _, scope := range v.Scopes {
				if seen[scope+" "+v.ID] {
					p.report(plan.Error(of.field, v.ID, fmt.Sprintf("the variable '%s' is defined twice for the scope '%s'", v.ID, scope)))
					break
				}
				seen[scope+" "+v.ID] = true
			}
		}
	}
}

// faulty says that something is wrong with a field.
func (p *parser) faulty(field string) bool {
	return slices.ContainsFunc(p.faults, func(f *Error) bool { return f.Field == field })
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
			if err := p.keys(item, "release_id", "mapping", "build_mapping", "deploy_mapping", "consumes", "scopes", "deployment_name", "variable"); err != nil {
				return err
			}
			var mapping map[string]any
			if !p.sound(func() {
				part(p, item, "release_id", p.text, &d.ReleaseID)
				part(p, item, "variable", p.text, &d.Variable)
				part(p, item, "deployment_name", p.text, &d.DeploymentName)
				part(p, item, "mapping", p.expressions, &mapping)
				part(p, item, "build_mapping", p.expressions, &d.BuildMapping)
				part(p, item, "deploy_mapping", p.expressions, &d.DeployMapping)
				part(p, item, "consumes", p.texts, &d.Consumes)
				d.Scopes = bothScopes
				part(p, item, "scopes", p.scopes, &d.Scopes)
			}) {
				return nil
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
			if !p.sound(func() {
				part(p, item, "name", p.text, &c.Name)
				part(p, item, "variable", p.text, &c.Variable)
				part(p, item, "skip_activate", p.flag, &c.SkipActivate)
				part(p, item, "skip_deactivate", p.flag, &c.SkipDeactivate)
				p.ownScopes(item, &c.Scopes)
			}) {
				return nil
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
		if item.kind == kindScalar {
			var err error
			if t.File, err = p.path(item); err != nil {
				return err
			}
		} else {
			if err := p.keys(item, "file", "target", "scopes", "mapping"); err != nil {
				return err
			}
			if !p.sound(func() {
				part(p, item, "file", p.path, &t.File)
				part(p, item, "target", p.path, &t.Target)
				part(p, item, "mapping", p.expressions, &t.Mapping)
				p.ownScopes(item, &t.Scopes)
			}) {
				return nil
			}
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
		d := release.Download{Scopes: bothScopes}
		if !p.sound(func() {
			part(p, item, "url", p.text, &d.URL)
			part(p, item, "platform", p.text, &d.Platform)
			part(p, item, "arch", p.text, &d.Arch)
			part(p, item, "dest", p.path, &d.Dest)
			part(p, item, "overwrite", p.flag, &d.Overwrite)
			part(p, item, "unpack", p.flag, &d.Unpack)
			part(p, item, "if_not_exists", p.globs, &d.IfNotExists)
			part(p, item, "scopes", p.scopes, &d.Scopes)
		}) {
			return nil
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
		p.report(p.errand(m.key, m.value))
	}
	return nil
}

func (p *parser) errand(name string, v *value) error {
	if err := release.ValidateVariableID(name); err != nil {
		return p.fail(v, "invalid name of an errand '%s': expected letters, then letters, digits, '-' and '_'", name)
	}
	if err := p.keys(v, "description", "run", "script", "inputs"); err != nil {
		return err
	}
	run := v.get("run")
	if run == nil {
		run = v.get("script") // the older name
	}
	if run == nil || run.kind == kindNull {
		return p.fail(v, "the errand '%s' needs 'run'", name)
	}
	errand := &Errand{}
	if !p.sound(func() {
		var err error
		if errand.Run, err = p.script(run); err != nil {
			p.report(err)
		}
		part(p, v, "description", p.text, &errand.Description)
		if field := v.get("inputs"); field != nil {
			p.report(p.variables(field, bothScopes, &errand.Inputs))
		}
	}) {
		return nil
	}
	p.at(v, name)
	p.plan.Errands[name] = errand
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
	if !p.sound(func() {
		part(p, v, "cmd", p.text, &s.Stage.Cmd)
		part(p, v, "inline", p.text, &s.Stage.Inline)
		part(p, v, "script", p.text, &s.Stage.Script)
		if field := v.get("args"); field != nil {
			p.report(p.each(field, func(item *value) error {
				arg, err := p.text(item)
				s.Stage.Args = append(s.Stage.Args, arg)
				return err
			}))
		}
	}) {
		return nil, nil
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
