package plan

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"

	"slipway/internal/expr"
	"slipway/internal/release"
)

// Check is Parse and Compile for the person who is writing a plan: it goes on behind what is wrong and gives all of it, in
// the order of the plan's lines. What only follows from something else that is wrong is left out, so that every fault is one
// to be mended. Without faults it gives what Compile does; another error, of the inventory, say, ends it.
func Check(ctx context.Context, file string, data []byte, root *os.Root, inventory Inventory, options Options) (*Compiled, []*Error, error) {
	p, found := parseAll(file, data)
	if p == nil {
		return nil, found, nil
	}
	f := &faults{list: found}
	c := newCompiler(p, root, inventory, options)
	c.faults = f
	compiled, err := c.compile(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !f.any() {
		return compiled, nil, nil
	}
	slices.SortStableFunc(f.list, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	return nil, f.list, nil
}

// faults is what is wrong with a plan, and what it makes impossible to say. Its methods also work on nil, for a compiler
// that ends with the first fault.
type faults struct {
	list []*Error
	// unknown are variables of dependencies that were not found.
	unknown map[string]bool
}

func (f *faults) any() bool { return f != nil && len(f.list) > 0 }

func (f *faults) add(fault *Error) {
	same := func(other *Error) bool { return *other == *fault } // a release that two fields need, say
	if len(f.list) < maxFaults && !slices.ContainsFunc(f.list, same) {
		f.list = append(f.list, fault)
	}
}

// in says that something is wrong with a field.
func (f *faults) in(fields ...string) bool {
	return f != nil && slices.ContainsFunc(f.list, func(fault *Error) bool { return slices.Contains(fields, fault.Field) })
}

// missing notes a dependency that was not found.
func (f *faults) missing(d Dependency) {
	if f == nil {
		return
	}
	name := d.Variable
	if id, err := release.ParseID(d.ReleaseID); name == "" && err == nil {
		name = id.Versionless()
	}
	if f.unknown == nil {
		f.unknown = map[string]bool{}
	}
	f.unknown[name] = true
}

// follows says that an expression may have failed because of a fault that is known already: it uses a dependency that was
// not found, or one that could not be read, or a field of the release with something wrong in it.
func (f *faults) follows(text string, scope *expr.Scope) bool {
	if !f.any() {
		return false
	}
	parsed, err := expr.Parse(text)
	if err != nil {
		return false
	}
	for _, name := range parsed.Variables() {
		_, known := scope.Variables[name]
		switch {
		case f.unknown[name], !known && f.in("depends", "extends"):
			return true
		case name == "this" && strings.Contains(text, ".metadata") && f.in("metadata", "extends"):
			return true
		}
	}
	return false
}
