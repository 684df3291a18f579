package assets

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"slipway/assets"
)

// fieldsParameter names the attributes that an answer shall hold, separated by commas: fields[container_images]=name,registry.
// It is the only parameter in brackets. Type, id and links are always there.
const fieldsParameter = "fields[container_images]"

// imageFields are the attributes that fieldsParameter can name. The last ones are of the API, but no image has them here:
// they are absent, as they are without the parameter.
var imageFields = []string{
	"name", "registry", "repository", "config_digest", "distribution_digests", "image_tags", "total_image_tags", "architecture", "os", "size_bytes",
	"built_at", "class", "labels", "tags", "last_seen_at", "created_at", "updated_at",
	"author", "variant", "os_version", "os_features", "config", "root_fs", "history", "inferred_base_images",
	"teams", "risk_score", "issues", "scan_engines", "test_surfaces", "last_scan",
}

// imageFields reads fieldsParameter; all says that it is absent.
func (p parameters) imageFields() (names []string, all bool, err error) {
	v, ok := p[fieldsParameter]
	if !ok {
		return nil, true, nil
	}
	if v == "" {
		return nil, false, nil
	}
	for name := range strings.SplitSeq(v, ",") {
		if !slices.Contains(imageFields, name) {
			return nil, false, assets.BadParameter(fieldsParameter, assets.CodeInvalidParameter, "unknown attribute, expected "+strings.Join(imageFields, ", "))
		}
		names = append(names, name)
	}
	return names, false, nil
}

// sparseAttributes are those attributes of an image that were asked for.
type sparseAttributes struct {
	all   imageAttributes
	names []string
}

// MarshalJSON writes the attributes that have one of the names.
func (a sparseAttributes) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(a.all)
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &members); err != nil {
		return nil, err
	}
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return !slices.Contains(a.names, name) })
	return json.Marshal(members)
}
