package composer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Manifest is a composer.json that has been read and checked.
type Manifest struct {
	// Name is vendor/package.
	Name string
	// Description is for humans; it may be empty.
	Description string
	// Version is the version the file claims, as written; usually empty, since tags and uploads name the version.
	Version string

	members []member // sorted by key
}

// member is one member of a JSON object; its value is compact.
type member struct {
	key   string
	value json.RawMessage
}

// ManifestError lists everything found wrong with a composer.json.
type ManifestError struct{ Problems []ManifestProblem }

// ManifestProblem is one mistake in a composer.json.
type ManifestProblem struct {
	// Field is the member it stands in, such as "require.acme/log"; empty for the file as a whole.
	Field string
	// Message says what is wrong, for humans.
	Message string
}

// Error joins all problems.
func (e *ManifestError) Error() string {
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = p.Message
		if p.Field != "" {
			parts[i] = p.Field + ": " + p.Message
		}
	}
	return "composer.json: " + strings.Join(parts, "; ")
}

// maxManifestProblems bounds the length of a ManifestError.
const maxManifestProblems = 20

// ReadManifest reads and checks a composer.json. It refuses what would break a consumer's Composer when served as
// metadata: members of the wrong type, links with invalid names or constraints, text that PHP cannot decode. Unknown
// members are allowed and ignored. The error is a *ManifestError.
func ReadManifest(data []byte) (*Manifest, error) {
	members, err := readMembers(data)
	if err != nil {
		return nil, &ManifestError{Problems: []ManifestProblem{{Message: err.Error()}}}
	}
	m := &Manifest{members: members}
	c := manifestChecker{}
	hasName := false
	for _, x := range members {
		c.member(x)
		switch x.key {
		case "name":
			hasName = true
			_ = json.Unmarshal(x.value, &m.Name) // the checker has complained already if it is no string
		case "description":
			_ = json.Unmarshal(x.value, &m.Description)
		case "version":
			_ = json.Unmarshal(x.value, &m.Version)
		}
	}
	if !hasName {
		c.add("name", "is missing")
	}
	if len(c.problems) > 0 {
		return nil, &ManifestError{Problems: c.problems}
	}
	return m, nil
}

// CheckIdentity reports whether the manifest belongs to a version of a package: its name must be the package's, and
// its version, where it has one, must mean the same version. The error is a *ManifestError.
func (m *Manifest) CheckIdentity(name, version string) error {
	var c manifestChecker
	if m.Name != name {
		c.add("name", fmt.Sprintf("is %q, but the package is %q", m.Name, name))
	}
	if m.Version != "" {
		want, err := ParseVersion(version)
		if err != nil {
			return err
		}
		have, err := ParseVersion(m.Version)
		if err != nil || have.Compare(want) != 0 {
			c.add("version", fmt.Sprintf("is %q, but the version is %q", m.Version, version))
		}
	}
	if len(c.problems) > 0 {
		return &ManifestError{Problems: c.problems}
	}
	return nil
}

// readMembers decodes one JSON object into members sorted by key.
func readMembers(data []byte) ([]member, error) {
	if len(data) > MaxManifestBytes {
		return nil, fmt.Errorf("is larger than %d bytes", MaxManifestBytes)
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return nil, errors.New("begins with a byte order mark, which Composer refuses")
	}
	if !utf8.Valid(data) {
		return nil, errors.New("is not valid UTF-8")
	}
	if err := checkNesting(data); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		if err != nil {
			return nil, fmt.Errorf("is not JSON: %w", err)
		}
		return nil, errors.New("must be a JSON object")
	}
	var members []member
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("is not JSON: %w", err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("is not JSON: %w", err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return nil, fmt.Errorf("is not JSON: %w", err)
		}
		members = append(members, member{key.(string), compact.Bytes()})
	}
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("has text after the JSON object")
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	for i := 1; i < len(members); i++ {
		if members[i-1].key == members[i].key {
			return nil, fmt.Errorf("has the member %q twice", shorten(members[i].key, 40))
		}
	}
	return members, nil
}

// checkNesting bounds the depth and refuses what Go's decoder lets pass but PHP's does not: half a surrogate pair in
// an escape, for which a consumer's Composer would refuse the whole answer, all versions in it. It need not
// understand the JSON otherwise.
func checkNesting(data []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			if surrogate := escapedUnit(data[i:]); surrogate >= 0xdc00 && surrogate < 0xe000 {
				return errors.New(`has half of a surrogate pair in an escape (\udc00 to \udfff)`)
			} else if surrogate >= 0xd800 && surrogate < 0xdc00 {
				if low := escapedUnit(data[i+6:]); low < 0xdc00 || low >= 0xe000 {
					return errors.New(`has half of a surrogate pair in an escape (\ud800 to \udbff)`)
				}
				i += 6
			}
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxManifestDepth {
				return fmt.Errorf("nests deeper than %d levels", MaxManifestDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// escapedUnit reads an escape of the form \uXXXX at the start of data, -1 if there is none.
func escapedUnit(data []byte) int {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return -1
	}
	unit := 0
	for _, c := range data[2:6] {
		switch {
		case isDigit(c):
			unit = unit<<4 | int(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			unit = unit<<4 | int(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return unit
}
