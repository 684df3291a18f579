package plan

import (
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a plan file.
const (
	maxPlanBytes = 1 << 20
	maxPlanNodes = 50_000 // after aliases are written out
	maxPlanDepth = 64
)

type kind int

const (
	kindNull kind = iota
	kindScalar
	kindList
	kindMap
)

// value is a YAML value with aliases and merges written out. It is built under a budget, so that a small file of nested
// aliases cannot become a large tree.
type value struct {
	line   int
	kind   kind
	tag    string // of a scalar: !!str, !!int, !!float, !!bool ...
	text   string // of a scalar, as it is written in the file
	items  []*value
	fields []member
	index  map[string]int // of fields by key, since a long map would make a search slow
}

type member struct {
	key   string
	line  int
	value *value
}

func (v *value) get(key string) *value {
	if i, ok := v.index[key]; ok {
		return v.fields[i].value
	}
	return nil
}

func (v *value) add(m member) {
	if v.index == nil {
		v.index = map[string]int{}
	}
	v.index[m.key] = len(v.fields)
	v.fields = append(v.fields, m)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:(?:unmarshal errors:\s*)?line (\d+): )?`)

// readTree parses the text of a plan into a tree whose root is a map.
func readTree(file string, data []byte) (*value, error) {
	if len(data) > maxPlanBytes {
		return nil, &Error{File: file, Message: fmt.Sprintf("the plan is over the limit of %d bytes", maxPlanBytes)}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(data)))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, &Error{File: file, Message: "the plan is empty"}
	case err != nil:
		return nil, yamlError(file, err)
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, &Error{File: file, Line: second.Line, Message: "the plan holds more than one document"}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlError(file, err)
	}
	if len(document.Content) != 1 {
		return nil, &Error{File: file, Message: "the plan is empty"}
	}
	b := &treeBuilder{file: file}
	root, err := b.build(document.Content[0], 0)
	if err != nil {
		return nil, err
	}
	switch root.kind {
	case kindMap:
		return root, nil
	case kindNull:
		return nil, &Error{File: file, Message: "the plan is empty"}
	}
	return nil, &Error{File: file, Line: root.line, Message: "a plan is a map of fields such as 'name' and 'version'"}
}

func yamlError(file string, err error) error {
	text := err.Error()
	match := yamlLine.FindStringSubmatch(text)
	line := 0
	if match != nil {
		line, _ = strconv.Atoi(match[1])
		text = strings.TrimPrefix(text, match[0])
	}
	return &Error{File: file, Line: line, Message: "not valid YAML: " + text}
}

type treeBuilder struct {
	file  string
	nodes int
}

func (b *treeBuilder) fail(n *yaml.Node, format string, args ...any) error {
	return &Error{File: b.file, Line: n.Line, Message: fmt.Sprintf(format, args...)}
}

func (b *treeBuilder) build(n *yaml.Node, depth int) (*value, error) {
	if b.nodes++; b.nodes > maxPlanNodes {
		return nil, b.fail(n, "the plan is over the limit of %d values once its aliases are written out", maxPlanNodes)
	}
	if depth > maxPlanDepth {
		return nil, b.fail(n, "the plan nests deeper than %d", maxPlanDepth)
	}
	v := &value{line: n.Line}
	switch n.Kind {
	case yaml.AliasNode:
		// An alias to a node that contains it would go on forever; the depth ends it.
		return b.build(n.Alias, depth+1)
	case yaml.ScalarNode:
		v.kind, v.tag, v.text = kindScalar, n.ShortTag(), n.Value
		if v.tag == "!!null" {
			v.kind = kindNull
		}
		if strings.ContainsRune(v.text, 0) {
			return nil, b.fail(n, "a text contains a NUL character")
		}
	case yaml.SequenceNode:
		v.kind = kindList
		for _, child := range n.Content {
			item, err := b.build(child, depth+1)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
	case yaml.MappingNode:
		v.kind = kindMap
		if err := b.members(v, n, depth); err != nil {
			return nil, err
		}
	default:
		return nil, b.fail(n, "unexpected YAML")
	}
	return v, nil
}

// members reads the keys of a map. Keys that are merged in with "<<" count only where the map has none of its own.
func (b *treeBuilder) members(v *value, n *yaml.Node, depth int) error {
	var merged []member
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		child, err := b.build(n.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return b.fail(key, "the keys of a map have to be texts")
		}
		if key.ShortTag() == "!!merge" {
			sources := []*value{child}
			if child.kind == kindList {
				sources = child.items
			}
			for _, source := range sources {
				if source.kind != kindMap {
					return b.fail(key, "only maps can be merged with '<<'")
				}
				merged = append(merged, source.fields...)
			}
			continue
		}
		if v.get(key.Value) != nil {
			return b.fail(key, "the key '%s' is there twice", key.Value)
		}
		v.add(member{key.Value, key.Line, child})
	}
	for _, m := range merged {
		if v.get(m.key) == nil {
			v.add(m)
		}
	}
	return nil
}

// plain gives the value as scripts and metadata know values: string, int64, float64, bool, []any, map[string]any, nil.
func (v *value) plain() any {
	switch v.kind {
	case kindScalar:
		switch v.tag {
		case "!!int":
			if number, err := strconv.ParseInt(strings.ReplaceAll(v.text, "_", ""), 0, 64); err == nil {
				return number
			}
		case "!!float":
			// Infinity and NaN have no form in JSON; they stay texts.
			if number, err := strconv.ParseFloat(v.text, 64); err == nil && !math.IsInf(number, 0) && !math.IsNaN(number) {
				return number
			}
		case "!!bool":
			return strings.EqualFold(v.text, "true")
		}
		return v.text
	case kindList:
		items := make([]any, len(v.items))
		for i, item := range v.items {
			items[i] = item.plain()
		}
		return items
	case kindMap:
		fields := make(map[string]any, len(v.fields))
		for _, m := range v.fields {
			fields[m.key] = m.value.plain()
		}
		return fields
	}
	return nil
}
