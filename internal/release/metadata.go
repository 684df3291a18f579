package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// APIVersion is the newest version of the metadata format that this build understands.
const APIVersion = 15

// CoreVersion stands in built_with_core_version: the version of the metadata library that this format matches.
const CoreVersion = "0.15.7"

// Scopes of a dependency, consumer, variable, template or download.
const (
	ScopeBuild  = "build"
	ScopeDeploy = "deploy"
)

// Metadata describes a release. It is the body of a registration, the answer to a query for a release, and the file
// release.json in a package. All members are always written, in this order.
type Metadata struct {
	APIVersion              int                   `json:"api_version"`
	BuiltWithCoreVersion    string                `json:"built_with_core_version"`
	BuiltWithEscapeVersion  string                `json:"built_with_escape_version"`
	Description             string                `json:"description"`
	Files                   map[string]string     `json:"files"` // path in the package to its MD5 in hex
	License                 string                `json:"license"`
	Logo                    string                `json:"logo"` // base64
	Name                    string                `json:"name"`
	Repository              string                `json:"repository"`
	Branch                  string                `json:"branch"`
	Revision                string                `json:"git_revision"`
	RevisionMessage         string                `json:"revision_message"`
	RevisionAuthor          string                `json:"revision_author"`
	Metadata                map[string]string     `json:"metadata"`
	Version                 string                `json:"version"`
	Generates               []string              `json:"generates"`
	Consumes                []Consumer            `json:"consumes"`
	Downloads               []Download            `json:"downloads"` // null when there are none
	Depends                 []Dependency          `json:"depends"`
	Errands                 map[string]*Errand    `json:"errands"`
	Extends                 []Extension           `json:"extends"`
	Inputs                  []*Variable           `json:"inputs"`
	Outputs                 []*Variable           `json:"outputs"`
	Project                 string                `json:"project"`
	Provides                []Provider            `json:"provides"`
	Stages                  map[string]*ExecStage `json:"stages"` // by plan field: build, pre_deploy, smoke ...
	Templates               []Template            `json:"templates"`
	VariableContext         map[string]string     `json:"variable_context"`
	apiVersionWasNotPresent bool
}

// Consumer is an interface that the release needs a provider of.
type Consumer struct {
	Name           string   `json:"name"`
	Scopes         []string `json:"scopes"`
	Variable       string   `json:"variable"`
	SkipActivate   bool     `json:"skip_activate"`
	SkipDeactivate bool     `json:"skip_deactivate"`
}

// Provider is an interface that the release offers.
type Provider struct {
	Name string `json:"name"`
}

// Dependency is a release that is deployed before this one.
type Dependency struct {
	ReleaseID      string            `json:"release_id"`
	Mapping        map[string]any    `json:"mapping"`
	BuildMapping   map[string]any    `json:"build_mapping"`
	DeployMapping  map[string]any    `json:"deploy_mapping"`
	Consumes       map[string]string `json:"consumes"`
	DeploymentName string            `json:"deployment_name"`
	Variable       string            `json:"variable"`
	Scopes         []string          `json:"scopes"`
}

// Extension is a release whose definitions this one has taken over when it was compiled.
type Extension struct {
	ReleaseID string `json:"release_id"`
}

// Download is a file fetched before the first script of a stage runs.
type Download struct {
	URL         string   `json:"url"`
	Dest        string   `json:"dest"`
	Overwrite   bool     `json:"overwrite"`
	IfNotExists []string `json:"if_not_exists"`
	Unpack      bool     `json:"unpack"`
	Platform    string   `json:"platform"`
	Arch        string   `json:"arch"`
	Scopes      []string `json:"scopes"`
}

// Errand is an operation on a deployment that people start by hand.
type Errand struct {
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Script      string      `json:"script"` // deprecated; ExecStage says what runs
	ExecStage   *ExecStage  `json:"exec_stage"`
	Inputs      []*Variable `json:"inputs"`
}

// ExecStage says what one step runs: a command with arguments, a shell text, or a script of the package with its
// arguments. Exactly one of Cmd, Inline and Script is set in a step that does something.
type ExecStage struct {
	Cmd    string   `json:"cmd,omitempty"`
	Args   []string `json:"args,omitempty"`
	Inline string   `json:"inline,omitempty"`
	Script string   `json:"script,omitempty"`
}

// Empty reports whether the step does nothing.
func (s *ExecStage) Empty() bool {
	return s == nil || s.Cmd == "" && s.Inline == "" && s.Script == ""
}

// Template is a Mustache file rendered before the main script of a stage runs.
type Template struct {
	File    string         `json:"file"`
	Target  string         `json:"target"`
	Scopes  []string       `json:"scopes"`
	Mapping map[string]any `json:"mapping"`
}

// ID returns the id of the release.
func (m *Metadata) ID() ID { return ID{Project: m.Project, Name: m.Name, Version: m.Version} }

// Stage returns what a plan field such as "pre_deploy" runs; nil if nothing.
func (m *Metadata) Stage(field string) *ExecStage { return m.Stages[field] }

// Provide reports whether the release offers the interface.
func (m *Metadata) Provide(name string) bool {
	for _, p := range m.Provides {
		if p.Name == name {
			return true
		}
	}
	return false
}

// InScope reports whether a list of scopes contains one; an empty list contains both.
func InScope(scopes []string, scope string) bool {
	for _, s := range scopes {
		if s == scope {
			return true
		}
	}
	return len(scopes) == 0
}

// Decode reads a metadata document as it is sent to the inventory, fills in what is missing (Normalise) and checks it
// (Validate). Unknown members are dropped. The errors are *InvalidError with the texts of the protocol.
func Decode(data []byte) (*Metadata, error) {
	var m *Metadata
	if err := json.Unmarshal(data, &m); err != nil {
		var invalid *InvalidError
		if errors.As(err, &invalid) {
			return nil, invalid
		}
		return nil, invalidf("Couldn't unmarshal JSON release metadata: %s", err)
	}
	if m == nil {
		return nil, invalidf("Missing release metadata")
	}
	m.Normalise()
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return m, nil
}

// Read is Decode for at most limit bytes of a stream.
func Read(r io.Reader, limit int64) (*Metadata, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, invalidf("The release metadata is over the limit of %d bytes", limit)
	}
	return Decode(data)
}

// Indented prints the metadata as it stands in a package's release.json.
func (m *Metadata) Indented() ([]byte, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "   "); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// MarshalJSON writes the metadata with no list or map left null, save for downloads.
func (m Metadata) MarshalJSON() ([]byte, error) {
	m.fillContainers()
	type plain Metadata
	return json.Marshal(plain(m))
}

// UnmarshalJSON reads a document and remembers whether it named its API version, because an absent one means the newest
// and a zero is wrong.
func (m *Metadata) UnmarshalJSON(data []byte) error {
	type plain Metadata
	read := struct {
		APIVersion *int `json:"api_version"`
		*plain
	}{plain: (*plain)(m)}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	m.apiVersionWasNotPresent = read.APIVersion == nil
	if read.APIVersion != nil {
		m.APIVersion = *read.APIVersion
	}
	return nil
}

// oneOrObject lets a list item be a plain string, as documents of the first API versions have it.
func oneOrObject(data []byte, text func(string), object func([]byte) error) error {
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '"' {
		var s string
		if err := json.Unmarshal(trimmed, &s); err != nil {
			return err
		}
		text(s)
		return nil
	}
	return object(data)
}

// UnmarshalJSON takes a consumer or only its name.
func (c *Consumer) UnmarshalJSON(data []byte) error {
	type plain Consumer
	return oneOrObject(data, func(s string) { c.Name = s }, func(b []byte) error { return json.Unmarshal(b, (*plain)(c)) })
}

// UnmarshalJSON takes a provider or only its name.
func (p *Provider) UnmarshalJSON(data []byte) error {
	type plain Provider
	return oneOrObject(data, func(s string) { p.Name = s }, func(b []byte) error { return json.Unmarshal(b, (*plain)(p)) })
}

// UnmarshalJSON takes an extension or only its release id.
func (e *Extension) UnmarshalJSON(data []byte) error {
	type plain Extension
	return oneOrObject(data, func(s string) { e.ReleaseID = s }, func(b []byte) error { return json.Unmarshal(b, (*plain)(e)) })
}

// UnmarshalJSON takes a dependency or only its release id, and keeps whole numbers in mappings whole.
func (d *Dependency) UnmarshalJSON(data []byte) error {
	type plain Dependency
	err := oneOrObject(data, func(s string) { d.ReleaseID = s }, func(b []byte) error { return json.Unmarshal(b, (*plain)(d)) })
	for _, mapping := range []map[string]any{d.Mapping, d.BuildMapping, d.DeployMapping} {
		for key, value := range mapping {
			mapping[key] = PlainValue(value)
		}
	}
	return err
}
