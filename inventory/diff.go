package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/release"
)

// Change is one difference between two releases.
type Change struct {
	// Path from the metadata's member down: "Metadata", `["k"]`, "[0]", ".Default".
	Path          []string
	PreviousValue any // null where something was added
	NewValue      any // null where something was removed
	Added         bool
	Removed       bool
}

// Diff is what changed between two releases: by member of the metadata, then by what happened to it ("change", "add",
// "remove"). Without a difference it is empty, never nil.
type Diff map[string]map[string][]Change

// DiffMetadata compares the metadata of two releases. Lists are compared position by position.
func DiffMetadata(previous, next *release.Metadata) Diff {
	d := Diff{}
	before, after := reflect.ValueOf(previous).Elem(), reflect.ValueOf(next).Elem()
	for i := range before.NumField() {
		if name := memberName(before.Type().Field(i)); name != "" {
			c := comparison{diff: d, member: name}
			c.compare([]string{name}, before.Field(i), after.Field(i))
		}
	}
	return d
}

// comparison collects the changes below one member of the metadata.
type comparison struct {
	diff   Diff
	member string
}

func (c comparison) add(kind string, change Change) {
	if c.diff[c.member] == nil {
		c.diff[c.member] = map[string][]Change{}
	}
	// The path's array is shared by the changes of one level.
	change.Path = slices.Clone(change.Path)
	c.diff[c.member][kind] = append(c.diff[c.member][kind], change)
}

func (c comparison) changed(path []string, before, after any) {
	c.add("change", Change{Path: path, PreviousValue: before, NewValue: after})
}

func (c comparison) added(path []string, value any) {
	c.add("add", Change{Path: path, NewValue: value, Added: true})
}

func (c comparison) removed(path []string, value any) {
	c.add("remove", Change{Path: path, PreviousValue: value, Removed: true})
}

func (c comparison) compare(path []string, before, after reflect.Value) {
	switch before.Kind() {
	case reflect.Pointer:
		switch {
		case before.IsNil() && after.IsNil():
		case before.IsNil() || after.IsNil():
			c.changed(path, plain(before), plain(after))
		default:
			c.compare(path, before.Elem(), after.Elem())
		}
	case reflect.Struct:
		for i := range before.NumField() {
			if name := memberName(before.Type().Field(i)); name != "" {
				c.compare(append(path, "."+name), before.Field(i), after.Field(i))
			}
		}
	case reflect.Slice:
		c.lists(path, before, after)
	case reflect.Map:
		c.maps(path, before, after)
	default:
		// What any can hold is not looked into: a default that was a number and is a list now has simply changed.
		if !reflect.DeepEqual(before.Interface(), after.Interface()) {
			c.changed(path, plain(before), plain(after))
		}
	}
}

func (c comparison) lists(path []string, before, after reflect.Value) {
	common := min(before.Len(), after.Len())
	for i := range common {
		c.compare(append(path, "["+strconv.Itoa(i)+"]"), before.Index(i), after.Index(i))
	}
	for i := common; i < before.Len(); i++ {
		c.removed(path, itemName(before.Index(i)))
	}
	for i := common; i < after.Len(); i++ {
		c.added(path, itemName(after.Index(i)))
	}
}

func (c comparison) maps(path []string, before, after reflect.Value) {
	keys := map[string]bool{}
	for _, m := range []reflect.Value{before, after} {
		for _, k := range m.MapKeys() {
			keys[k.String()] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		k := reflect.ValueOf(key)
		b, a := before.MapIndex(k), after.MapIndex(k)
		switch {
		case !b.IsValid():
			c.added(path, key)
		case !a.IsValid():
			c.removed(path, key)
		default:
			c.compare(append(path, fmt.Sprintf("[%q]", key)), b, a)
		}
	}
}

// itemName is what stands for an item of a list that was added or removed: what people know it by, else all of it.
func itemName(v reflect.Value) any {
	switch item := v.Interface().(type) {
	case release.Consumer:
		return item.Name
	case release.Provider:
		return item.Name
	case release.Dependency:
		return item.ReleaseID
	case release.Extension:
		return item.ReleaseID
	case *release.Variable:
		if item != nil {
			return item.ID
		}
	case release.Template:
		return item.File
	}
	return plain(v)
}

// plain is a value as it is written: numbers as text.
func plain(v reflect.Value) any {
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case !v.IsValid(), v.Kind() == reflect.Pointer && v.IsNil():
		return nil
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	return v.Interface()
}

// memberNames are the names that do not follow from those in JSON.
var memberNames = map[string]string{
	"git_revision":     "Revision",
	"variable_context": "VariableCtx",
}

// memberName is a member's name in a diff: "built_with_core_version" is BuiltWithCoreVersion. It is "" for fields that
// are not written.
func memberName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" || name == "-" || !f.IsExported() {
		return ""
	}
	if special, ok := memberNames[name]; ok {
		return special
	}
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// MarshalJSON writes an empty diff as {}.
func (d Diff) MarshalJSON() ([]byte, error) {
	if d == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]map[string][]Change(d))
}
