package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxDefinition is the most that is read of a definition, in bytes.
const maxDefinition = 4 << 20

// Definition says how a project shall be: its environments, builds, deployment jobs, pipelines and schedules. It is read
// from a YAML file; the things in its lists have the members of the API.
type Definition struct {
	Project     string `yaml:"project"`
	Description string `yaml:"description"`
	OrgURL      string `yaml:"org_url"`
	// Namespaces are those of the releases that the project's builds make.
	Namespaces   []string                `yaml:"namespaces"`
	Environments []EnvironmentDefinition `yaml:"environments"`
	Pipelines    []Thing                 `yaml:"pipelines"`
	Schedules    []Thing                 `yaml:"schedules"`
}

// EnvironmentDefinition is an environment with its builds and deployment jobs.
type EnvironmentDefinition struct {
	Name        string            `yaml:"name"`
	Description string            `yaml:"description"`
	Metadata    map[string]string `yaml:"metadata"`
	Inputs      map[string]any    `yaml:"inputs"`
	Builds      []Thing           `yaml:"builds"`
	Jobs        []Thing           `yaml:"jobs"`
}

// Thing is a build, a deployment job, a pipeline or a schedule as the API takes it; it has a name.
type Thing map[string]any

// privateKeyFile, in a build, names the file with its private_key: keys do not belong into definitions.
const privateKeyFile = "private_key_file"

// unknownField is how the YAML library says that a member is not known.
var unknownField = regexp.MustCompile(`field (.+) not found in type \S+`)

// ReadDefinition reads a definition. Files that it names are looked up in folder. What is no member of a definition is an
// error; the members of things are the server's to check.
func ReadDefinition(r io.Reader, folder string) (*Definition, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxDefinition+1))
	if err != nil {
		return nil, fmt.Errorf("read the definition: %w", err)
	}
	if len(text) > maxDefinition {
		return nil, fmt.Errorf("the definition is larger than %d bytes", maxDefinition)
	}
	var d Definition
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the definition is empty")
		}
		return nil, fmt.Errorf("the definition cannot be read: %s", unknownField.ReplaceAllString(err.Error(), "'$1' is not known there"))
	}
	if err := decoder.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("the definition is more than one document: make a file of each project")
	}
	if d.Project == "" {
		return nil, errors.New("the definition does not name its project: it needs a member 'project'")
	}
	found := names{}
	err = d.each(func(kind, environment string, t Thing) error {
		if err := found.add(kind, environment, t); err != nil {
			return err
		}
		if err := versionsAreText(kind, t); err != nil {
			return err
		}
		if kind == "build" {
			return errors.Join(readKey(t, folder), localRepo(t, folder))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// each calls f with every thing, and with each environment's name before the things in it.
func (d *Definition) each(f func(kind, environment string, t Thing) error) error {
	for _, e := range d.Environments {
		if err := f("environment", "", Thing{"name": e.Name}); err != nil {
			return err
		}
		for _, t := range e.Builds {
			if err := f("build", e.Name, t); err != nil {
				return err
			}
		}
		for _, t := range e.Jobs {
			if err := f("job", e.Name, t); err != nil {
				return err
			}
		}
	}
	for _, t := range d.Pipelines {
		if err := f("pipeline", "", t); err != nil {
			return err
		}
	}
	for _, t := range d.Schedules {
		if err := f("schedule", "", t); err != nil {
			return err
		}
	}
	return nil
}

// names finds things that have no name, or the same as another of their kind and environment.
type names map[[3]string]bool

func (n names) add(kind, environment string, t Thing) error {
	where := ""
	if environment != "" {
		where = " of environment '" + environment + "'"
	}
	name, _ := t["name"].(string)
	if name == "" {
		return fmt.Errorf("a %s%s has no name", kind, where)
	}
	key := [3]string{kind, environment, name}
	if n[key] {
		return fmt.Errorf("the %s '%s'%s is there twice", kind, name, where)
	}
	n[key] = true
	return nil
}

// versionsAreText refuses versions that YAML takes for numbers: to it 1.10 is 1.1.
func versionsAreText(kind string, t Thing) error {
	for _, name := range []string{"version", "branch"} {
		switch t[name].(type) {
		case int, float64:
			return fmt.Errorf("%s '%v': %s %v is a number to YAML, for which 1.10 is 1.1: write it in quotes", kind, t["name"], name, t[name])
		}
	}
	return nil
}

// localRepo makes the path of a repository that begins with a dot absolute: the server has another folder.
func localRepo(t Thing, folder string) error {
	repo, _ := t["repo"].(string)
	if !strings.HasPrefix(repo, "./") && !strings.HasPrefix(repo, "../") && repo != "." && repo != ".." {
		return nil
	}
	absolute, err := filepath.Abs(filepath.Join(folder, repo))
	if err != nil {
		return fmt.Errorf("build '%v': repo: %w", t["name"], err)
	}
	t["repo"] = absolute
	return nil
}

// readKey replaces the name of a build's key file by the key.
func readKey(t Thing, folder string) error {
	named, ok := t[privateKeyFile]
	if !ok {
		return nil
	}
	file, ok := named.(string)
	if !ok || file == "" {
		return fmt.Errorf("build '%v': %s is not the name of a file", t["name"], privateKeyFile)
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(folder, file)
	}
	key, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("build '%v': read the private key: %w", t["name"], err)
	}
	delete(t, privateKeyFile)
	t["private_key"], t["update_private_key"] = string(key), true
	return nil
}

// plain gives a thing the types that JSON has, so that it can be compared with an answer.
func plain(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(text, &out)
}

// same says whether a member is on the server what the definition says. Of objects within lists the definition says all:
// members that it leaves out must be empty, save for those that only the server makes.
func same(want, have any) bool {
	switch want := want.(type) {
	case map[string]any:
		have, ok := have.(map[string]any)
		if !ok {
			return len(want) == 0 && have == nil
		}
		for name, v := range want {
			if !sameMember(name, v, have[name]) {
				return false
			}
		}
		for name, v := range have {
			if _, said := want[name]; !said && !serverMade[name] && !blank(v) {
				return false
			}
		}
		return true
	case []any:
		have, _ := have.([]any)
		if len(want) != len(have) {
			return false
		}
		for i := range want {
			if !same(want[i], have[i]) {
				return false
			}
		}
		return true
	}
	return want == have || blank(want) && blank(have)
}

// sameMember is same for a member of a name: what people put into maps under keys of their own counts to the letter.
func sameMember(name string, want, have any) bool {
	if values[name] {
		return blank(want) && blank(have) || reflect.DeepEqual(want, have)
	}
	return same(want, have)
}

// values are the members with keys that people choose.
var values = map[string]bool{"inputs": true, "metadata": true, "variables": true, "providers": true, "errand_inputs": true}

// serverMade are the members within answers that nobody writes.
var serverMade = map[string]bool{"id": true, "status": true, "webhooktoken": true}

// blank says whether a value is what the API shows where nothing was said.
func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// overlay is a thing on the server with what the definition says of it: the members that it leaves out stay, as do inputs
// that it does not name. An input that is null goes.
func overlay(have, want map[string]any) map[string]any {
	out := map[string]any{}
	maps.Copy(out, have)
	for name, v := range want {
		switch now, isObject := v.(map[string]any); {
		case name == "inputs" && isObject:
			merged := map[string]any{}
			before, _ := have[name].(map[string]any)
			maps.Copy(merged, before)
			maps.Copy(merged, now)
			maps.DeleteFunc(merged, func(_ string, input any) bool { return input == nil })
			v = merged
		case name == "triggers":
			v = keepTriggers(have[name], v)
		}
		out[name] = v
	}
	return out
}

// keepTriggers gives triggers the ids of those that are there, in their order: without one a trigger would be a new one,
// with another address.
func keepTriggers(have, want any) any {
	before, _ := have.([]any)
	now, _ := want.([]any)
	for i := range min(len(before), len(now)) {
		old, isObject := before[i].(map[string]any)
		t, ok := now[i].(map[string]any)
		if isObject && ok && t["id"] == nil && t["type"] == old["type"] {
			t["id"] = old["id"]
		}
	}
	return want
}
