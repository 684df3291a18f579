package models

import (
	"crypto/sha256"
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"slipway/internal/problem"
	"slipway/internal/rsql"
)

// AssetTypeContainerImage is the only type of assets.
const AssetTypeContainerImage = "container_images"

// AssetClasses are the classes of assets, the most important first: their ranks are 1 to 4.
var AssetClasses = []string{"A", "B", "C", "D"}

// Limits of what an asset holds. Those of labels and tags are the API's.
const (
	MaxAssetLabels    = 50
	MaxAssetTags      = 100
	MaxAssetImageTags = 20 // of more the newest are kept, and their number
	MaxAssetDigests   = 100
	maxAssetName      = 256
	MaxImageDocument  = 1 << 20 // bytes
)

// Asset is a container image as lists show it. The JSON members are written through to answers as they are.
type Asset struct {
	ID, OrganizationID         string
	Registry, Repository, Name string
	ConfigDigest               string
	Architecture, OS           string
	Class                      *string // nil where nobody has set one
	ClassLocked                bool
	Labels                     json.RawMessage // array of texts
	Tags                       json.RawMessage // object of texts
	ImageTags                  json.RawMessage // array of texts
	TotalImageTags             int
	SizeBytes                  int64
	BuiltAt                    *time.Time
	LastSeenAt                 time.Time
	CreatedAt, UpdatedAt       time.Time
	Digests                    json.RawMessage // array of {manifest_digest, index_digest}
	Document                   json.RawMessage // object of further attributes: config, root_fs, history ...
}

// AssetDigests are the digests that one distribution of an image has: of its manifest and, where it is part of an index
// (one image for several platforms), of that.
type AssetDigests struct {
	Manifest string `json:"manifest_digest,omitempty"`
	Index    string `json:"index_digest,omitempty"`
}

// Image is what is known about a container image from its registry: what scans, imports and builds report.
type Image struct {
	Registry     string         `json:"registry"`   // host, with a port where it has one
	Repository   string         `json:"repository"` // library/nginx
	ConfigDigest string         `json:"config_digest"`
	Digests      []AssetDigests `json:"distribution_digests,omitempty"`
	// ImageTags are the tags that point to it, the newest last. TotalImageTags is their number where some were left out.
	ImageTags      []string   `json:"image_tags,omitempty"`
	TotalImageTags int        `json:"total_image_tags,omitempty"`
	Architecture   string     `json:"architecture,omitempty"`
	OS             string     `json:"os,omitempty"`
	SizeBytes      int64      `json:"size_bytes,omitempty"` // compressed layers and config
	BuiltAt        *time.Time `json:"built_at,omitempty"`
	// ImageLabels are the labels of the image's config, such as org.opencontainers.image.source.
	ImageLabels map[string]string `json:"image_labels,omitempty"`
	// Document is a JSON object of further attributes that are only shown: author, variant, os_version, os_features,
	// config, root_fs, history, inferred_base_images.
	Document json.RawMessage `json:"document,omitempty"`

	// What only an import brings, for images that are new; later imports and scans leave these alone.
	Class     string            `json:"class,omitempty"` // A to D
	Labels    []string          `json:"labels,omitempty"`
	Tags      map[string]string `json:"tags,omitempty"`
	CreatedAt *time.Time        `json:"created_at,omitempty"`
}

var assetNamespace = uuid.MustParse("6f1d5b0e-0c0c-4a55-9c39-2f6b3a1c9a11")

// NewAssetID makes the id of an asset: of the same image in the same repository and organization it is always the same,
// so that an import or a scan that is repeated changes nothing. A copy of an image in another repository is another
// asset, since an asset has one registry and one repository.
func NewAssetID(organizationID, registry, repository, configDigest string) string {
	text := strings.Join([]string{organizationID, registry, repository, configDigest}, "\x00")
	return uuid.NewHash(sha256.New(), assetNamespace, []byte(text), 8).String()
}

var (
	digestPattern     = regexp.MustCompile(`^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$`)
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	registryPattern   = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?$|^\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?$`)
	imageTagPattern   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	labelPattern      = regexp.MustCompile(`^[a-zA-Z0-9_/:?#@&=+%~-]+$`)
	tagKeyPattern     = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
)

// IsRepository says that a text can be the name of a repository in a registry.
func IsRepository(text string) bool {
	return len(text) <= maxAssetName && repositoryPattern.MatchString(text)
}

// IsImageTag says that a text can be an image tag.
func IsImageTag(text string) bool { return imageTagPattern.MatchString(text) }

// IsPlatform says that a text can be kept as an architecture or an operating system.
func IsPlatform(text string) bool { return len(text) <= 64 && plainText(text) }

// IsImageLabel says that a label of an image can be kept.
func IsImageLabel(key, value string) bool {
	return len(key) <= 1024 && len(value) <= 64<<10 && storable(key) && storable(value)
}

// CheckAssetLabel says what is wrong with a label, or "".
func CheckAssetLabel(label string) string {
	if len(label) < 1 || len(label) > 40 || !labelPattern.MatchString(label) {
		return "expected 1 to 40 characters of a-z, A-Z, 0-9 and _ / : ? # @ & = + % ~ -"
	}
	return ""
}

// CheckAssetTagKey says what is wrong with the key of a tag, or "".
func CheckAssetTagKey(key string) string {
	if len(key) < 1 || len(key) > 30 || !tagKeyPattern.MatchString(key) {
		return "expected a key of 1 to 30 characters of a-z, A-Z, 0-9, _ and -"
	}
	return ""
}

// CheckAssetTagValue says what is wrong with the value of a tag, or "". It may be empty.
func CheckAssetTagValue(value string) string {
	if len(value) > 40 || value != "" && !labelPattern.MatchString(value) {
		return "expected at most 40 characters of a-z, A-Z, 0-9 and _ / : ? # @ & = + % ~ -"
	}
	return ""
}

// Check says what is wrong with an image, as a *problem.Error that names the members. It also brings the image into one
// form: times in UTC and to the microsecond, lists sorted where their order means nothing, no more image tags than are
// kept.
func (i *Image) Check() error {
	p := &problem.Error{Kind: problem.Invalid, Message: "invalid image"}
	bad := func(name, message string) { p.Fields = append(p.Fields, problem.Field{Name: name, Message: message}) }
	if len(i.Registry) > maxAssetName || !registryPattern.MatchString(i.Registry) {
		bad("registry", "expected the host of a registry, with a port where it has one, of at most 256 characters")
	}
	// Lower case only, as the distribution specification has it. Filters rely on it: see assetFields.
	if !IsRepository(i.Repository) {
		bad("repository", "expected a repository such as library/nginx, in lower case, of at most 256 characters")
	}
	if !digestPattern.MatchString(i.ConfigDigest) {
		bad("config_digest", "expected sha256: and 64 hexadecimal digits in lower case")
	}
	for _, d := range i.Digests {
		if d.Manifest == "" && d.Index == "" || d.Manifest != "" && !digestPattern.MatchString(d.Manifest) || d.Index != "" && !digestPattern.MatchString(d.Index) {
			bad("distribution_digests", "expected manifest_digest or index_digest with sha256: and 64 hexadecimal digits in lower case")
			break
		}
	}
	for _, t := range i.ImageTags {
		if !IsImageTag(t) {
			bad("image_tags", "expected image tags of 1 to 128 letters, digits and _ . -")
			break
		}
	}
	for name, t := range map[string]string{"architecture": i.Architecture, "os": i.OS} {
		if !IsPlatform(t) {
			bad(name, "expected text of at most 64 characters")
		}
	}
	if i.SizeBytes < 0 {
		bad("size_bytes", "expected a number of bytes")
	}
	if i.Class != "" && !slices.Contains(AssetClasses, i.Class) {
		bad("class", "expected A, B, C or D")
	}
	i.checkLabels(bad)
	for k, v := range i.ImageLabels {
		if !IsImageLabel(k, v) {
			bad("image_labels", "expected keys of at most 1 KiB and values of at most 64 KiB of text without NUL")
			break
		}
	}
	if len(i.Document) == 0 {
		i.Document = json.RawMessage("{}")
	}
	if d, m := checkDocument(i.Document); m != "" {
		bad("document", m)
	} else {
		i.Document = d
	}
	if len(p.Fields) > 0 {
		slices.SortFunc(p.Fields, func(a, b problem.Field) int { return strings.Compare(a.Name, b.Name) })
		return p
	}
	i.normalize()
	return nil
}

func (i *Image) checkLabels(bad func(name, message string)) {
	if len(i.Labels) > MaxAssetLabels {
		bad("labels", "expected at most 50 labels")
	}
	for _, l := range i.Labels {
		if m := CheckAssetLabel(l); m != "" {
			bad("labels", m)
			break
		}
	}
	if len(i.Tags) > MaxAssetTags {
		bad("tags", "expected at most 100 tags")
	}
	for k, v := range i.Tags {
		if m := CheckAssetTagKey(k) + CheckAssetTagValue(v); m != "" {
			bad("tags", m)
			break
		}
	}
}

func (i *Image) normalize() {
	i.Labels = slices.Compact(slices.Sorted(slices.Values(i.Labels))) // a copy: the list may be the caller's
	i.TotalImageTags = max(i.TotalImageTags, len(i.ImageTags))
	if over := len(i.ImageTags) - MaxAssetImageTags; over > 0 {
		i.ImageTags = i.ImageTags[over:]
	}
	if over := len(i.Digests) - MaxAssetDigests; over > 0 {
		i.Digests = i.Digests[over:]
	}
	for _, t := range []**time.Time{&i.BuiltAt, &i.CreatedAt} {
		if *t == nil {
			continue
		}
		// Year 1 is what builds without a clock write; nobody means it.
		if y := (*t).UTC().Year(); y < 2 || y > 9999 {
			*t = nil
			continue
		}
		cut := (*t).UTC().Truncate(time.Microsecond)
		*t = &cut
	}
}

// name is the last element of the repository.
func (i *Image) name() string { return path.Base(i.Repository) }

// plainText says that a text can be stored and holds no control characters.
func plainText(t string) bool {
	return utf8.ValidString(t) && !strings.ContainsFunc(t, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// tagLines writes tags as key=value, sorted. A key has no equals sign, so the first one separates.
func tagLines(tags map[string]string) []string {
	lines := make([]string, 0, len(tags))
	for k, v := range tags {
		lines = append(lines, k+"="+v)
	}
	slices.Sort(lines)
	return lines
}

// searchText is what a search for a term looks through, on SQLite: every text on a line of its own, so that no term can
// match across two of them.
func searchText(registry, repository string, labels, lines []string) string {
	var b strings.Builder
	b.WriteByte('\n')
	for _, t := range append(append([]string{registry, repository}, labels...), lines...) {
		b.WriteString(rsql.Fold(t))
		b.WriteByte('\n')
	}
	return b.String()
}
