package plan

import (
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/release"
)

// each reads a list; a single value counts as a list of one. What is wrong with an item is reported, and the next one read.
func (p *parser) each(v *value, read func(*value) error) error {
	if v.kind == kindNull {
		return nil
	}
	items := v.items
	if v.kind != kindList {
		items = []*value{v}
	}
	for _, item := range items {
		if item.kind == kindNull || item.kind == kindList {
			p.report(p.fail(item, "an item of the list is empty or a list itself"))
			continue
		}
		p.report(read(item))
	}
	return nil
}

// keys checks that a value is a map. Other keys than the given ones are ignored, as at the top of a plan, but with a
// warning: a mistyped key would do nothing without a word.
func (p *parser) keys(v *value, known ...string) error {
	return p.checkKeys(v, known, func(unknown *Error) error {
		p.plan.warnings = append(p.plan.warnings, unknown.Error())
		return nil
	})
}

// onlyKeys is keys for a map in which another key is an error.
func (p *parser) onlyKeys(v *value, known ...string) error {
	return p.checkKeys(v, known, func(unknown *Error) error { return unknown })
}

func (p *parser) checkKeys(v *value, known []string, report func(*Error) error) error {
	if v.kind != kindMap {
		return p.fail(v, "expected a map with the keys %s", strings.Join(known, ", "))
	}
	for _, m := range v.fields {
		if !slices.Contains(known, m.key) {
			err := report(&Error{File: p.plan.File, Line: m.line, Field: p.field,
				Message: "unknown key '" + m.key + "': expected one of " + strings.Join(known, ", ")})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// text reads a scalar as it is written, so that the version 1.10 does not become 1.1.
func (p *parser) text(v *value) (string, error) {
	switch v.kind {
	case kindScalar:
		return strings.TrimSpace(v.text), nil
	case kindNull:
		return "", nil
	}
	return "", p.fail(v, "expected a text")
}

func (p *parser) flag(v *value) (bool, error) {
	if b, ok := v.plain().(bool); ok {
		return b, nil
	}
	switch strings.ToLower(v.text) { // older YAML reads these as true and false too
	case "yes", "on":
		return true, nil
	case "no", "off":
		return false, nil
	}
	if v.kind == kindNull {
		return false, nil
	}
	return false, p.fail(v, "expected true or false")
}

// path reads a path below the plan's folder.
func (p *parser) path(v *value) (string, error) {
	text, err := p.text(v)
	if err != nil || text == "" {
		return "", err
	}
	if !release.SafePath(text) {
		return "", p.fail(v, "the path '%s' leaves the plan's folder", text)
	}
	return path.Clean(text), nil
}

func (p *parser) globs(v *value) ([]string, error) {
	var globs []string
	err := p.each(v, func(item *value) error {
		text, err := p.text(item)
		if err != nil {
			return err
		}
		clean := path.Clean(text)
		if text == "" || clean != "." && !release.SafePath(text) {
			return p.fail(item, "the path '%s' leaves the plan's folder", text)
		}
		if _, err := path.Match(clean, ""); err != nil {
			return p.fail(item, "'%s' is not a valid pattern", text)
		}
		globs = append(globs, clean)
		return nil
	})
	return globs, err
}

// texts reads a map of texts, which may be expressions.
func (p *parser) texts(v *value) (map[string]string, error) {
	if v.kind == kindNull {
		return nil, nil
	}
	if v.kind != kindMap {
		return nil, p.fail(v, "expected a map of texts")
	}
	texts := make(map[string]string, len(v.fields))
	for _, m := range v.fields {
		text, err := p.text(m.value)
		if err == nil {
			if _, wrong := expr.Parse(text); wrong != nil {
				err = p.wrap(m.value, wrong)
			}
		}
		if err != nil {
			p.report(err)
			continue
		}
		texts[m.key] = text
		p.at(m.value, m.key)
	}
	return texts, nil
}

// expressions reads a map of values in which texts may be expressions.
func (p *parser) expressions(v *value) (map[string]any, error) {
	if v.kind == kindNull {
		return nil, nil
	}
	if v.kind != kindMap {
		return nil, p.fail(v, "expected a map")
	}
	values := make(map[string]any, len(v.fields))
	for _, m := range v.fields {
		plain := m.value.plain()
		if err := checkExpressions(plain); err != nil {
			p.report(p.wrap(m.value, err))
			continue
		}
		values[m.key] = plain
	}
	return values, nil
}

// checkExpressions parses every text in a value, so that a mistake is found before anything runs.
func checkExpressions(value any) error {
	switch v := value.(type) {
	case string:
		_, err := expr.Parse(v)
		return err
	case []any:
		for _, item := range v {
			if err := checkExpressions(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, item := range v {
			if err := checkExpressions(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *parser) scopes(v *value) ([]string, error) {
	var scopes []string
	err := p.each(v, func(item *value) error {
		text, err := p.text(item)
		if err != nil {
			return err
		}
		if text != release.ScopeBuild && text != release.ScopeDeploy {
			return p.fail(item, "unknown scope '%s': expected 'build' or 'deploy'", text)
		}
		if !slices.Contains(scopes, text) {
			scopes = append(scopes, text)
		}
		return nil
	})
	return scopes, err
}

// ownScopes reads the scopes of an item, if it has some; none at all are both, whatever the field is.
func (p *parser) ownScopes(item *value, target *[]string) {
	if field := item.get("scopes"); field != nil && field.kind == kindNull {
		*target = bothScopes
	}
	part(p, item, "scopes", p.scopes, target)
}

// variables reads a list of ids or of maps that define variables.
func (p *parser) variables(v *value, scopes []string, target *[]*release.Variable) error {
	return p.each(v, func(item *value) error {
		variable, err := p.variable(item, scopes)
		if err != nil || variable == nil {
			return err
		}
		p.at(item, variable.ID)
		*target = append(*target, variable)
		return nil
	})
}

// variable reads one variable; nil if what is wrong with it has been reported.
func (p *parser) variable(item *value, scopes []string) (*release.Variable, error) {
	if item.kind == kindScalar {
		if err := release.ValidateVariableID(item.text); err != nil {
			return nil, p.wrap(item, err)
		}
		variable := release.NewVariable(item.text)
		variable.Scopes = scopes
		return variable, nil
	}
	if err := p.keys(item, "id", "type", "default", "description", "friendly", "visible", "sensitive", "items",
		"eval_before_dependencies", "scopes", "options"); err != nil {
		return nil, err
	}
	var id, kind, description, friendly string
	sound := p.sound(func() {
		part(p, item, "id", p.text, &id)
		part(p, item, "type", p.text, &kind)
		part(p, item, "description", p.text, &description)
		part(p, item, "friendly", p.text, &friendly)
	})
	if !sound {
		return nil, nil
	}
	if err := release.ValidateVariableID(id); err != nil {
		return nil, p.wrap(item, err)
	}
	variable := release.NewVariable(id)
	variable.Scopes, variable.Description, variable.Friendly = scopes, description, friendly
	sound = p.sound(func() {
		typed := true
		if kind != "" {
			parsed, options, err := release.ParseType(kind)
			if err != nil {
				typed = false // what fits the type cannot be said
				p.report(p.wrap(item, err))
			} else {
				variable.Type, variable.Options = parsed, options
			}
		}
		part(p, item, "visible", p.flag, &variable.Visible)
		part(p, item, "sensitive", p.flag, &variable.Sensitive)
		part(p, item, "eval_before_dependencies", p.flag, &variable.EvalBeforeDependencies)
		p.ownScopes(item, &variable.Scopes)
		if field := item.get("options"); field != nil && field.kind != kindNull {
			options, ok := field.plain().(map[string]any)
			if !ok {
				p.report(p.fail(field, "expected a map"))
			}
			if variable.Options == nil {
				variable.Options = map[string]any{}
			}
			maps.Copy(variable.Options, options)
		}
		p.report(p.items(variable, item))
		if typed {
			p.report(p.standard(variable, item))
		}
	})
	if !sound {
		return nil, nil
	}
	return variable, nil
}

// items reads the allowed values of a variable.
func (p *parser) items(variable *release.Variable, item *value) error {
	field := item.get("items")
	if field == nil || field.kind == kindNull {
		return nil
	}
	variable.Items = field.plain()
	_, isList := variable.Items.([]any)
	text, isText := variable.Items.(string)
	if !isList && !(isText && expr.IsExpression(text)) {
		return p.fail(field, "the items of '%s' are a list or an expression that gives one", variable.ID)
	}
	if err := checkExpressions(variable.Items); err != nil {
		return p.wrap(field, err)
	}
	return nil
}

// standard reads the default of a variable.
func (p *parser) standard(variable *release.Variable, item *value) error {
	field := item.get("default")
	if field == nil || field.kind == kindNull {
		return nil
	}
	if release.IsMagicType(variable.Type) {
		return p.fail(field, "the variable '%s' of type '%s' is set by the platform and has no default", variable.ID, variable.Type)
	}
	given := field.plain()
	if variable.Type == release.TypeString && field.kind == kindScalar {
		given = field.text // a text such as 1.10 or yes stays as it is written
	}
	if err := checkExpressions(given); err != nil {
		return p.wrap(field, err)
	}
	if text, ok := given.(string); ok && expr.IsExpression(text) {
		variable.Default = given
		return nil
	}
	parsed, err := variable.Parse(given)
	if err != nil {
		return p.fail(field, "the default %s", err)
	}
	variable.Default = parsed
	return nil
}
