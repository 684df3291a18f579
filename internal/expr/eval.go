package expr

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Scope is what an expression can see.
type Scope struct {
	// Variables are the values by name: "this", aliases of dependencies and consumers. Values are string, int64, bool,
	// []any, map[string]any, or a func() (any, error) that is called when it is needed.
	Variables map[string]any
	// Root is the folder that the file functions read below; nil means that they find nothing.
	Root *os.Root
	// Env gives the environment variables that env_lookup sees; nil means none. It is not the process's environment
	// unless the caller says so.
	Env map[string]string
	// Now is the time of timestamp(); the zero value is the current time.
	Now time.Time
}

type evaluation struct {
	source string
	scope  *Scope
	steps  int
}

func (e *evaluation) fail(n node, format string, args ...any) error {
	return &Error{Source: e.source, Offset: n.offset(), Message: fmt.Sprintf(format, args...)}
}

func (e *evaluation) eval(n node) (any, error) {
	if e.steps++; e.steps > maxSteps {
		return nil, e.fail(n, "the expression takes too many steps")
	}
	switch n := n.(type) {
	case literal:
		return n.value, nil
	case variable:
		value, ok := e.scope.Variables[n.name]
		if !ok {
			return nil, e.fail(n, "there is no variable '%s' here", n.name)
		}
		return e.force(n, value)
	case listOf:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			value, err := e.eval(item)
			if err != nil {
				return nil, err
			}
			items[i] = value
		}
		return items, nil
	case field:
		of, err := e.eval(n.of)
		if err != nil {
			return nil, err
		}
		members, ok := of.(map[string]any)
		if !ok {
			return nil, e.fail(n, "a %s has no field '%s'", kindOf(of), n.name)
		}
		value, ok := members[n.name]
		if !ok {
			return nil, e.fail(n, "there is no field '%s'", n.name)
		}
		return e.force(n, value)
	case index:
		return e.index(n)
	case slice:
		return e.slice(n)
	case call:
		args := make([]any, len(n.args))
		for i, arg := range n.args {
			value, err := e.eval(arg)
			if err != nil {
				return nil, err
			}
			args[i] = value
		}
		value, err := functions[n.name].apply(e.scope, args)
		if err != nil {
			return nil, e.fail(n, "%s: %s", n.name, err)
		}
		if size(value) > maxValue {
			return nil, e.fail(n, "%s: the result is too large", n.name)
		}
		return value, nil
	}
	return nil, e.fail(n, "unknown expression")
}

func (e *evaluation) force(n node, value any) (any, error) {
	if lazy, ok := value.(func() (any, error)); ok {
		result, err := lazy()
		if err != nil {
			return nil, e.fail(n, "%s", err)
		}
		value = result
	}
	switch v := value.(type) {
	case int:
		return int64(v), nil
	case float64:
		return int64(v), nil
	case map[string]string:
		members := make(map[string]any, len(v))
		for key, text := range v {
			members[key] = text
		}
		return members, nil
	}
	return value, nil
}

func (e *evaluation) index(n index) (any, error) {
	of, err := e.eval(n.of)
	if err != nil {
		return nil, err
	}
	at, err := e.eval(n.at)
	if err != nil {
		return nil, err
	}
	if members, ok := of.(map[string]any); ok {
		key, ok := at.(string)
		if !ok {
			return nil, e.fail(n, "a dict is indexed by a text")
		}
		value, ok := members[key]
		if !ok {
			return nil, e.fail(n, "there is no field '%s'", key)
		}
		return e.force(n, value)
	}
	number, ok := at.(int64)
	if !ok {
		return nil, e.fail(n, "a list is indexed by a whole number")
	}
	value, err := listIndex(of, number)
	if err != nil {
		return nil, e.fail(n, "%s", err)
	}
	return e.force(n, value)
}

func (e *evaluation) slice(n slice) (any, error) {
	of, err := e.eval(n.of)
	if err != nil {
		return nil, err
	}
	bounds := []*int64{nil, nil}
	for i, bound := range []node{n.from, n.to} {
		if bound == nil {
			continue
		}
		value, err := e.eval(bound)
		if err != nil {
			return nil, err
		}
		number, ok := value.(int64)
		if !ok {
			return nil, e.fail(n, "the ends of a slice are whole numbers")
		}
		bounds[i] = &number
	}
	value, err := listSlice(of, bounds[0], bounds[1])
	if err != nil {
		return nil, e.fail(n, "%s", err)
	}
	return value, nil
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "text"
	case int64, float64:
		return "number"
	case bool:
		return "bool"
	case []any:
		return "list"
	case map[string]any:
		return "dict"
	case nil:
		return "missing value"
	}
	return fmt.Sprintf("%T", value)
}

// scalar prints a value that is not a list or a dict. Booleans print as scripts see them, 1 and 0.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatInt(int64(v), 10), true
	case bool:
		return strconv.Itoa(boolToInt(v)), true
	}
	return "", false
}

// Encode prints a value as scripts see it in their environment: texts as they are, booleans as 1 and 0, numbers without
// a fraction, lists and dicts as JSON.
func Encode(value any) string {
	if text, ok := scalar(value); ok {
		return text
	}
	if value == nil {
		return ""
	}
	data, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(data)
}

// size estimates what a value holds: bytes of texts plus items of lists.
func size(value any) int {
	switch v := value.(type) {
	case string:
		return len(v)
	case []any:
		total := len(v)
		for _, item := range v {
			if total += size(item); total > maxValue {
				break
			}
		}
		return total
	}
	return 1
}
