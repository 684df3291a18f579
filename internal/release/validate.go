package release

import (
	"maps"
	"path"
	"slices"
	"strings"

	"slipway/internal/version"
)

// Limits of what a release may name. Each of these becomes a row of an inventory, and interfaces are looked up by name.
const (
	maxNamed     = 1000 // dependencies, extensions, consumers, providers, metadata
	maxInterface = 256  // bytes of the name of an interface
)

// checkCounts refuses lists that nobody writes by hand: an inventory would work on them for minutes.
func (m *Metadata) checkCounts() error {
	for _, c := range []struct {
		field string
		count int
	}{{"depends", len(m.Depends)}, {"extends", len(m.Extends)}, {"consumes", len(m.Consumes)}, {"provides", len(m.Provides)}, {"metadata", len(m.Metadata)}} {
		if c.count > maxNamed {
			return invalidf("The '%s' field is over the limit of %d items", c.field, maxNamed)
		}
	}
	return nil
}

func checkInterface(name, field string) error {
	if name == "" {
		return invalidf("Missing 'name' in the '%s' field", field)
	}
	if len(name) > maxInterface {
		return invalidf("A 'name' in the '%s' field is over the limit of %d bytes", field, maxInterface)
	}
	return nil
}

// Validate checks normalised metadata as the inventory does on registration. The texts of its errors are part of the
// protocol. It does not know which releases exist: an existing release and unknown dependencies are the caller's.
func (m *Metadata) Validate() error {
	if m.Name == "" {
		return invalidf("Missing name field in release metadata")
	}
	if m.Version == "" {
		return invalidf("Missing version field in release metadata")
	}
	if err := ValidateName(m.Name); err != nil {
		return err
	}
	if err := ValidateNamespace(m.Project); err != nil {
		return err
	}
	if version.Unresolved(m.Version) {
		return invalidf("Can't add release with unresolved version")
	}
	if !version.Valid(m.Version) {
		return invalidf("Invalid version string '%s'.", m.Version)
	}
	if m.APIVersion <= 0 || m.APIVersion > APIVersion {
		return invalidf("The release metadata is compiled with a version of Escape targetting API version v%d, but this build supports up to v%d",
			m.APIVersion, APIVersion)
	}
	for _, check := range []func() error{m.checkCounts, m.checkRelations, m.checkVariables, m.checkFiles} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkRelations checks what the release needs of others, and what it gives them.
func (m *Metadata) checkRelations() error {
	for _, d := range m.Depends {
		id, err := ParseID(d.ReleaseID)
		if err != nil {
			return err
		}
		if !id.Resolved() {
			return invalidf("The dependency '%s' needs its version resolved.", id)
		}
		if err := validateScopes(d.Scopes, "dependency", id.String()); err != nil {
			return err
		}
	}
	for _, e := range m.Extends {
		id, err := ParseID(e.ReleaseID)
		if err != nil {
			return err
		}
		if !id.Resolved() {
			return invalidf("The extension '%s' needs its version resolved.", id)
		}
	}
	for _, c := range m.Consumes {
		if err := checkInterface(c.Name, "consumes"); err != nil {
			return err
		}
		if err := validateScopes(c.Scopes, "consumer", c.Name); err != nil {
			return err
		}
	}
	for _, p := range m.Provides {
		if err := checkInterface(p.Name, "provides"); err != nil {
			return err
		}
	}
	return nil
}

// checkVariables checks inputs and outputs, and the scripts of stages and errands.
func (m *Metadata) checkVariables() error {
	if err := validateVariables(m.Inputs); err != nil {
		return err
	}
	if err := validateVariables(m.Outputs); err != nil {
		return err
	}
	for _, field := range slices.Sorted(maps.Keys(m.Stages)) {
		if err := m.Stages[field].Validate(field); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Errands)) {
		errand := m.Errands[name]
		if err := errand.ExecStage.Validate("errands." + name); err != nil {
			return err
		}
		if err := validateVariables(errand.Inputs); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles checks the paths of what is fetched, rendered and packed.
func (m *Metadata) checkFiles() error {
	for _, d := range m.Downloads {
		if d.URL == "" {
			return invalidf("Missing 'url' in download config")
		}
		if d.Dest == "" {
			return invalidf("Missing 'dest' in download config for '%s'", d.URL)
		}
		if !SafePath(d.Dest) {
			return invalidf("Invalid path '%s' in the 'downloads' field", d.Dest)
		}
	}
	for _, t := range m.Templates {
		if t.File == "" {
			return invalidf("Missing 'file' in the 'templates' field")
		}
		if !SafePath(t.File) || t.Target != "" && !SafePath(t.Target) {
			return invalidf("Invalid path '%s' in the 'templates' field", t.File)
		}
	}
	for file := range m.Files {
		if !SafePath(file) {
			return invalidf("Invalid path '%s' in the 'files' field", file)
		}
	}
	return nil
}

// Validate refuses a step that says more than once what to run; field names it in the error. No step is fine.
func (s *ExecStage) Validate(field string) error {
	if s == nil {
		return nil
	}
	set := 0
	for _, text := range []string{s.Cmd, s.Inline, s.Script} {
		if text != "" {
			set++
		}
	}
	if set > 1 {
		return invalidf("Found a problem in the '%s' field: More than one field is set. Expecting only one of 'cmd', 'inline' and 'script'.", field)
	}
	if set == 0 && len(s.Args) > 0 {
		return invalidf("Found a problem in the '%s' field: 'args' is set without 'cmd'.", field)
	}
	return nil
}

func validateVariables(variables []*Variable) error {
	for _, v := range variables {
		if err := ValidateVariableID(v.ID); err != nil {
			return err
		}
		if _, _, err := ParseType(v.Type); err != nil {
			return err
		}
		if err := validateScopes(v.Scopes, "variable", v.ID); err != nil {
			return err
		}
	}
	return nil
}

func validateScopes(scopes []string, kind, name string) error {
	for _, s := range scopes {
		if s != ScopeBuild && s != ScopeDeploy {
			return invalidf("Unknown scope '%s' of %s '%s': expected 'build' or 'deploy'", s, kind, name)
		}
	}
	return nil
}

// SafePath reports whether p is a clean relative path with forward slashes that stays in its folder.
func SafePath(p string) bool {
	if p == "" || len(p) > 4096 || strings.ContainsAny(p, "\x00\\") || path.IsAbs(p) {
		return false
	}
	clean := path.Clean(p)
	return clean != ".." && !strings.HasPrefix(clean, "../") && clean != "."
}
