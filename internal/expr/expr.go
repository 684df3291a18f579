// Package expr is the script language of plans and releases: "$this.inputs.name", "$dep.outputs.url",
// "$this.version.track_minor_version()", "$__concat(\"a\", $this.name)", list indexes and slices.
//
// A text that does not start with "$" is a literal; "$$" at the start stands for a literal "$". The language has no
// loops and no definitions, reads files only below the folder that it is given, and sees only the environment variables
// that it is given, so an expression of a stranger's plan is safe to evaluate on a server.
package expr

import (
	"fmt"
	"strings"
)

// Limits on what an expression may be and make.
const (
	maxSource = 64 << 10 // bytes of text
	maxDepth  = 64       // nesting of calls
	maxValue  = 1 << 20  // bytes of a value, or items of a list
	maxSteps  = 10_000   // evaluated nodes
)

// Error says where in an expression something is wrong.
type Error struct {
	Source  string // the whole text
	Offset  int    // in bytes from the start of the text
	Message string
}

func (e *Error) Error() string {
	source := e.Source
	if len(source) > 80 {
		source = strings.ToValidUTF8(source[:77], "") + "..."
	}
	return fmt.Sprintf("%s (in %q at character %d)", e.Message, source, e.Offset+1)
}

// IsExpression reports whether a text is evaluated and not taken as it stands.
func IsExpression(text string) bool {
	return strings.HasPrefix(text, "$") && !strings.HasPrefix(text, "$$")
}

// Expression is a parsed text. It can be evaluated any number of times, also at once.
type Expression struct {
	source string
	root   node
}

// Parse reads a text. The error is an *Error.
func Parse(text string) (*Expression, error) {
	if !IsExpression(text) {
		return &Expression{source: text, root: literal{value: strings.Replace(text, "$$", "$", boolToInt(strings.HasPrefix(text, "$$")))}}, nil
	}
	if len(text) > maxSource {
		return nil, &Error{Source: text, Message: "the expression is too long"}
	}
	p := &parser{source: text}
	root, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.skipSpace(); p.at < len(text) {
		return nil, p.fail("unexpected %q", rest(text[p.at:]))
	}
	return &Expression{source: text, root: root}, nil
}

// Variables returns the names of the variables that the expression starts from: "this", aliases of dependencies and of
// consumers.
func (e *Expression) Variables() []string {
	var names []string
	e.root.walk(func(n node) {
		if v, ok := n.(variable); ok {
			names = append(names, v.name)
		}
	})
	return names
}

// Eval gives the value of the expression: string, int64, bool, []any or map[string]any. The error is an *Error.
func (e *Expression) Eval(scope *Scope) (any, error) {
	run := &evaluation{source: e.source, scope: scope}
	return run.eval(e.root)
}

// Evaluate parses and evaluates a text.
func Evaluate(text string, scope *Scope) (any, error) {
	parsed, err := Parse(text)
	if err != nil {
		return nil, err
	}
	return parsed.Eval(scope)
}

// EvaluateString is Evaluate for places where only text is of use; numbers and booleans are printed, lists and maps are
// an error.
func EvaluateString(text string, scope *Scope) (string, error) {
	value, err := Evaluate(text, scope)
	if err != nil {
		return "", err
	}
	printed, ok := scalar(value)
	if !ok {
		return "", &Error{Source: text, Message: fmt.Sprintf("expected a text, got a %s", kindOf(value))}
	}
	return printed, nil
}

// EvaluateAny evaluates every text in a value of a plan: a text, a list or a map of them. Other values stay as they are.
func EvaluateAny(value any, scope *Scope) (any, error) {
	switch v := value.(type) {
	case string:
		return Evaluate(v, scope)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			item, err := EvaluateAny(v[i], scope)
			if err != nil {
				return nil, err
			}
			out[i] = item
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key := range v {
			item, err := EvaluateAny(v[key], scope)
			if err != nil {
				return nil, err
			}
			out[key] = item
		}
		return out, nil
	}
	return value, nil
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func rest(text string) string {
	if len(text) > 20 {
		return strings.ToValidUTF8(text[:20], "") + "..."
	}
	return text
}
