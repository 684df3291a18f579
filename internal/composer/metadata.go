package composer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Metadata is the object that describes one version in a repository: what Composer reads instead of the composer.json
// inside the archive. It is immutable: With... functions return changed copies that share what did not change.
type Metadata struct{ members []member } // sorted by key

// Dist says where the archive of a version is and how to check it.
type Dist struct {
	// URL is absolute, http or https. A path alone would be taken for a file on the consumer's machine.
	URL string
	// Reference identifies the content; consumers write it to their composer.lock. The SHA-1 or a commit will do.
	Reference string
	// SHA1 is the archive's SHA-1 in hexadecimal, the only checksum Composer verifies.
	SHA1 string
}

// servedMembers are the members of a composer.json that become metadata. What is not here is either for the root
// package only (repositories, config, scripts, minimum-stability) or decided by the repository: were dist, source or
// notification-url copied, an archive could send its consumers elsewhere.
var servedMembers = map[string]bool{
	"name": true, "description": true, "type": true, "keywords": true, "homepage": true, "license": true,
	"authors": true, "support": true, "funding": true, "require": true, "require-dev": true, "conflict": true,
	"provide": true, "replace": true, "suggest": true, "autoload": true, "autoload-dev": true, "bin": true,
	"extra": true, "include-path": true, "target-dir": true, "abandoned": true, "php-ext": true,
}

// Metadata returns what of the manifest is served, under the given version. It has no dist yet.
func (m *Manifest) Metadata(version string) (Metadata, error) {
	normal, err := Normalize(version)
	if err != nil {
		return Metadata{}, err
	}
	var d Metadata
	for _, x := range m.members {
		if servedMembers[x.key] {
			d.members = append(d.members, x)
		}
	}
	return d.with("version", quoted(version)).with("version_normalized", quoted(normal)), nil
}

// WithDist sets where the archive is.
func (d Metadata) WithDist(dist Dist) (Metadata, error) {
	u, err := url.Parse(dist.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return Metadata{}, fmt.Errorf("the address of an archive must be absolute, http or https: %q", dist.URL)
	}
	value, err := json.Marshal(struct {
		Type      string `json:"type"`
		URL       string `json:"url"`
		Reference string `json:"reference,omitempty"`
		SHASum    string `json:"shasum,omitempty"`
	}{"zip", dist.URL, dist.Reference, dist.SHA1})
	if err != nil {
		return Metadata{}, fmt.Errorf("encode dist: %w", err)
	}
	return d.with("dist", value), nil
}

// WithTime sets when the version was released, in UTC with a precision of a second.
func (d Metadata) WithTime(t time.Time) Metadata {
	return d.with("time", quoted(t.UTC().Format("2006-01-02T15:04:05+00:00")))
}

// Text returns a member that is text, "" if it is absent or something else.
func (d Metadata) Text(key string) string {
	if i, found := d.find(key); found {
		var s string
		if json.Unmarshal(d.members[i].value, &s) == nil {
			return s
		}
	}
	return ""
}

// Version returns the version the metadata is about. ok is false if there is none that can be read.
func (d Metadata) Version() (v Version, ok bool) {
	v, err := ParseVersion(d.Text("version"))
	return v, err == nil
}

func (d Metadata) find(key string) (int, bool) {
	return slices.BinarySearchFunc(d.members, key, func(x member, key string) int { return strings.Compare(x.key, key) })
}

func (d Metadata) with(key string, value json.RawMessage) Metadata {
	i, found := d.find(key)
	members := make([]member, 0, len(d.members)+1)
	members = append(members, d.members[:i]...)
	members = append(members, member{key, value})
	if found {
		i++
	}
	return Metadata{append(members, d.members[i:]...)}
}

// MarshalJSON writes the object with its members in alphabetical order.
func (d Metadata) MarshalJSON() ([]byte, error) { return d.append(nil), nil }

// append writes the object; all values are compact JSON already.
func (d Metadata) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i, x := range d.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, x.key)
		dst = append(dst, ':')
		dst = append(dst, x.value...)
	}
	return append(dst, '}')
}

// UnmarshalJSON reads an object as MarshalJSON writes it.
func (d *Metadata) UnmarshalJSON(data []byte) error {
	members, err := readMembers(data)
	if err != nil {
		return fmt.Errorf("metadata of a version %w", err)
	}
	d.members = members
	return nil
}

// Equal reports whether both have the same members with the same values.
func (d Metadata) Equal(other Metadata) bool {
	return slices.EqualFunc(d.members, other.members, func(a, b member) bool {
		return a.key == b.key && bytes.Equal(a.value, b.value)
	})
}

// quoted is a text as JSON.
func quoted(s string) json.RawMessage { return appendQuoted(nil, s) }

// appendQuoted appends a text as JSON. Most are plain, and then nothing is allocated.
func appendQuoted(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			text, _ := json.Marshal(s) // a string always encodes
			return append(dst, text...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
