package composer

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// RepositoryRoot writes packages.json, the first file a client asks for. Prefix is where the repository is mounted: a
// path such as "/composer" ("" for the root), or an absolute URL. It is announced in every address, since Composer
// resolves paths against the host and not against the repository.
type RepositoryRoot struct{ Prefix string }

// downloadsPath is where clients report what they have installed.
const downloadsPath = "/downloads"

// rootFile is packages.json. The list of available packages keeps clients from asking for packages that are not here.
// An empty one does not: Composer takes it for none (seen with 2.5.5), so that a consumer without any package asks for
// each name it hears of and needs quick answers of 404.
type rootFile struct {
	Packages    json.RawMessage `json:"packages"`
	MetadataURL string          `json:"metadata-url,omitempty"`
	Available   *[]string       `json:"available-packages,omitempty"`
	NotifyBatch string          `json:"notify-batch"`
}

// V2 returns packages.json for Composer 2: where the files of packages are and which packages there are. Names are
// sorted; the argument is left as it is.
func (r RepositoryRoot) V2(names []string) ([]byte, error) {
	prefix, err := r.prefix()
	if err != nil {
		return nil, err
	}
	available := slices.Sorted(slices.Values(names))
	if available == nil {
		available = []string{}
	}
	return json.Marshal(rootFile{
		Packages:    json.RawMessage("[]"), // PHP's empty object; the member must be there
		MetadataURL: prefix + "/p2/%package%.json",
		Available:   &available,
		NotifyBatch: prefix + downloadsPath,
	})
}

// V1 returns packages.json for Composer 1, with all versions of all packages in it, by name and version.
func (r RepositoryRoot) V1(packages map[string][]Metadata) ([]byte, error) {
	prefix, err := r.prefix()
	if err != nil {
		return nil, err
	}
	body := []byte{'{'}
	for i, name := range sortedKeys(packages) {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(appendQuoted(body, name), ":{"...)
		for j, d := range packages[name] {
			if j > 0 {
				body = append(body, ',')
			}
			body = append(appendQuoted(body, d.Text("version")), ':')
			body = d.append(body)
		}
		body = append(body, '}')
	}
	return json.Marshal(rootFile{Packages: append(body, '}'), NotifyBatch: prefix + downloadsPath})
}

// prefix checks the prefix and takes a slash from its end.
func (r RepositoryRoot) prefix() (string, error) {
	if r.Prefix == "" {
		return "", nil
	}
	u, err := url.Parse(r.Prefix)
	isPath := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(r.Prefix, "/")
	isURL := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	if !isPath && !isURL || strings.ContainsAny(r.Prefix, "%?#") {
		return "", fmt.Errorf("prefix %q of the repository must be a path that begins with / or an absolute http or https URL",
			r.Prefix)
	}
	return strings.TrimRight(r.Prefix, "/"), nil
}
