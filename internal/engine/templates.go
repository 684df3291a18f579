package engine

import (
	"fmt"
	"io"
	"path"

	"slipway/internal/expr"
	"slipway/internal/plan"
	"slipway/internal/release"
)

// maxTemplate bounds a template in bytes.
const maxTemplate = 4 << 20

// renderTemplates writes the targets of the templates in the node's stage.
func (r *run) renderTemplates(n *node) error {
	for _, t := range n.m.Templates {
		if !release.InScope(t.Scopes, n.stage) {
			continue
		}
		if err := r.renderTemplate(n, t); err != nil {
			return failf(ReasonPlan, "the template %s of %s: %s", t.File, n.label(), err)
		}
		r.log(LevelDebug, "template.rendered", fmt.Sprintf("Rendered %s into %s.", t.File, t.Target), n.values())
	}
	return nil
}

func (r *run) renderTemplate(n *node, t release.Template) error {
	target := t.Target
	if target == "" {
		target = t.File[:len(t.File)-len(path.Ext(t.File))]
	}
	if !release.SafePath(t.File) || !release.SafePath(target) || path.Clean(t.File) == path.Clean(target) {
		return fmt.Errorf("the target '%s' is not possible", target)
	}
	file, err := openRegular(r.root, path.Join(n.rel, t.File))
	if err != nil {
		return fmt.Errorf("the file cannot be read: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTemplate+1))
	if err != nil || len(text) > maxTemplate {
		return fmt.Errorf("the file cannot be read or is over %d bytes", maxTemplate)
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	scope := r.scope(n)
	values := make(map[string]any, len(t.Mapping))
	for key, mapped := range t.Mapping {
		if values[key], err = expr.EvaluateAny(mapped, scope); err != nil {
			return fmt.Errorf("the value of '%s': %w", key, err)
		}
	}
	rendered, err := plan.RenderTemplate(string(text), values)
	if err != nil {
		return err
	}
	return r.write(path.Join(n.rel, target), []byte(rendered), info.Mode().Perm()|0o600)
}
