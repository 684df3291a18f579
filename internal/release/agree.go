package release

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// ownOfArchive are the members that may differ between a registration and the package's release.json: what wrote each
// document, and the project, which the inventory takes from the namespace.
var ownOfArchive = []string{"api_version", "built_with_core_version", "built_with_escape_version", "project"}

// acting are the members that decide what is run and with what. The package may not have them where the registration
// does not.
var acting = []string{"consumes", "depends", "downloads", "errands", "extends", "inputs", "outputs", "stages", "templates", "variable_context"}

// CheckAgrees compares the metadata in a package with what was registered for the release. A package that says something
// else would run other scripts than those that people and policies see in the inventory.
//
// Files have to be exactly those that are registered, with their checksums. Of the other members, what both documents say
// has to be the same, save for those that say what wrote the document (api_version, built_with_core_version,
// built_with_escape_version) and the project; and what decides what is run must not stand in the package alone. Documents
// that people write by hand may leave out the rest: a package may be silent, and a registration without any files leaves
// them to the package.
//
// Both have to be normalised, as Decode does it. The error is an *InvalidError that names the members.
func CheckAgrees(packaged, registered *Metadata) error {
	for _, name := range slices.Sorted(maps.Keys(registered.Files)) {
		switch sum, ok := packaged.Files[name]; {
		case !ok:
			return invalidf("The package lacks the file '%s', which is registered with the release", name)
		case !strings.EqualFold(sum, registered.Files[name]):
			return invalidf("The file '%s' of the package is not the one that was registered: its checksum is %s, expected %s", name, sum, registered.Files[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(packaged.Files)) {
		if _, ok := registered.Files[name]; !ok && len(registered.Files) > 0 {
			return invalidf("The package has the file '%s', which is not registered with the release", name)
		}
	}
	have, err := members(packaged)
	if err != nil {
		return err
	}
	want, err := members(registered)
	if err != nil {
		return err
	}
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if name == "files" || slices.Contains(ownOfArchive, name) || string(have[name]) == string(want[name]) || saysNothing(have[name]) {
			continue
		}
		if saysNothing(want[name]) && !slices.Contains(acting, name) {
			continue
		}
		differ = append(differ, "'"+name+"'")
	}
	if len(differ) > 0 {
		return invalidf("The %s of the package says something else than what was registered, in: %s", MetadataFile, strings.Join(differ, ", "))
	}
	return nil
}

func members(m *Metadata) (map[string]json.RawMessage, error) {
	document, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out map[string]json.RawMessage
	return out, json.Unmarshal(document, &out)
}

// saysNothing reports whether a member has the value that it has when it is left out.
func saysNothing(value json.RawMessage) bool {
	switch string(value) {
	case `""`, "null", "[]", "{}":
		return true
	}
	return false
}
