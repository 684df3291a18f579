package models

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/rsql"
)

// AssetField is a field that filters can name, as the list of filter fields shows it.
type AssetField struct {
	Name string
	Type string // string, datetime, array, object
	// Values says that values can be suggested.
	Values bool
	// Key says that values have keys: the field is an object.
	Key bool
}

// AssetFields lists what filters can name, in the order of the API.
func AssetFields() []AssetField {
	var list []AssetField
	for _, f := range assetFilterFields(nil) {
		list = append(list, AssetField{Name: f.Name, Type: f.Type.String(), Values: isFacet(f.Name), Key: f.Type == rsql.Object && isFacet(f.Name)})
	}
	return list
}

// assetFacets are the fields whose values are counted in asset_facets. AssetGroups are those that lists can be grouped by.
var assetFacets = []string{"type", "class", "registry", "repository", "name", "labels", "tags", "architecture", "os"}

// AssetGroups lists the fields that assets can be grouped by.
var AssetGroups = []string{"type", "class", "registry", "repository", "name", "labels", "architecture", "os"}

func isFacet(field string) bool {
	return slices.Contains(assetFacets, field)
}

// assetFilterFields is the table of what clients can filter by. search makes the condition of q; nil is good enough for
// checking a filter.
//
// Patterns ignore the case of A to Z. repository is in lower case always (Image.Check), so its index serves patterns
// without lower().
func assetFilterFields(search rsql.SearchFunc) []rsql.Field {
	if search == nil {
		search = noAsset
	}
	both := func(name string, t rsql.Type, s rsql.Source) rsql.Field {
		return rsql.Field{Name: name, Type: t, PostgreSQL: s, SQLite: s}
	}
	digests := func(kind string) rsql.Source {
		return rsql.ChildRows{From: "asset_digests d WHERE d.asset_id = assets.id AND d.kind = '" + kind + "'", Value: "d.digest", Folded: "d.digest"}
	}
	imageLabels := rsql.ChildObject{From: "asset_details d WHERE d.asset_id = assets.id", Expr: "d.image_labels"}
	return []rsql.Field{
		both("q", rsql.Search, search),
		{Name: "type", Type: rsql.Text, PostgreSQL: rsql.Column{Expr: "'" + AssetTypeContainerImage + "'::text"}, SQLite: rsql.Column{Expr: "'" + AssetTypeContainerImage + "'"}},
		both("class", rsql.Text, rsql.Column{Expr: "assets.class"}),
		// The plus sign keeps SQLite from an index: it takes any range for selective, see readWalking.
		{Name: "created_at", Type: rsql.Timestamp, PostgreSQL: rsql.Column{Expr: "assets.created_at"}, SQLite: rsql.Column{Expr: "+assets.created_at"}},
		{Name: "updated_at", Type: rsql.Timestamp, PostgreSQL: rsql.Column{Expr: "assets.updated_at"}, SQLite: rsql.Column{Expr: "+assets.updated_at"}},
		both("id", rsql.UUID, rsql.Column{Expr: "assets.id"}),
		{Name: "labels", Type: rsql.Array, PostgreSQL: rsql.TextArray{Expr: "assets.labels"}, SQLite: rsql.JSONArray{Expr: "assets.labels"}},
		both("tags", rsql.Object, rsql.JSONObject{Expr: "assets.tags"}),
		both("registry", rsql.Text, rsql.Column{Expr: "assets.registry"}),
		both("repository", rsql.Text, rsql.Column{Expr: "assets.repository", Folded: "assets.repository"}),
		both("name", rsql.Text, rsql.Column{Expr: "assets.name", Folded: "assets.name"}),
		both("config_digest", rsql.Text, rsql.Column{Expr: "assets.config_digest", Folded: "assets.config_digest"}),
		both("manifest_digest", rsql.Array, digests(digestManifest)),
		both("index_digest", rsql.Array, digests(digestIndex)),
		{Name: "image_tag", Type: rsql.Array, PostgreSQL: rsql.TextArray{Expr: "assets.image_tags"}, SQLite: rsql.JSONArray{Expr: "assets.image_tags"}},
		both("image_labels", rsql.Object, imageLabels),
		// An image may have neither. What is empty is NULL to a filter, as a class that nobody has set.
		both("architecture", rsql.Text, rsql.Column{Expr: "NULLIF(assets.architecture, '')"}),
		both("os", rsql.Text, rsql.Column{Expr: "NULLIF(assets.os, '')"}),
		both("built_at", rsql.Timestamp, rsql.Column{Expr: "assets.built_at"}),
	}
}

// Kinds of rows in asset_digests.
const (
	digestConfig   = "c"
	digestManifest = "m"
	digestIndex    = "i"
)

// publicAssetFields checks what clients send.
var publicAssetFields = mustFields(assetFilterFields(nil))

// imageLabelFields checks image labels where they are kept, in asset_details d.
var imageLabelFields = mustFields([]rsql.Field{
	{Name: "image_labels", Type: rsql.Object, PostgreSQL: rsql.JSONObject{Expr: "d.image_labels"}, SQLite: rsql.JSONObject{Expr: "d.image_labels"}},
})

// plannedAssetFields also has the fields that only a rewritten filter names, see assetPlanner.
func plannedAssetFields(search, rare rsql.SearchFunc) *rsql.Fields {
	never := rsql.SearchFunc(noAsset)
	return mustFields(append(assetFilterFields(search),
		rsql.Field{Name: fieldNever, Type: rsql.Search, PostgreSQL: never, SQLite: never},
		rsql.Field{Name: fieldRare, Type: rsql.Search, PostgreSQL: rare, SQLite: rare},
		rsql.Field{Name: fieldTagLines, Type: rsql.Array, PostgreSQL: rsql.TextArray{Expr: "assets.tag_lines"}, SQLite: rsql.JSONArray{Expr: "assets.tag_lines"}},
	))
}

func mustFields(list []rsql.Field) *rsql.Fields {
	f, err := rsql.NewFields(list...)
	if err != nil {
		panic(fmt.Sprintf("models: the table of asset fields: %v", err))
	}
	return f
}

// Limits of what is dear in a filter.
const (
	// maxTried is how many comparisons may have to be tried on every asset, or on every digest: there is no index on the
	// middle of such texts, and each takes as long as all other comparisons of a filter together.
	maxTried = 5
	// maxImageLabels is how many comparisons of image labels there may be: they stand in another table.
	maxImageLabels = 20
)

// CheckAssetFilter checks a filter against the fields of assets. The error is an *rsql.Error where the client is wrong.
func CheckAssetFilter(filter rsql.Node) error {
	if _, err := publicAssetFields.Compile(filter, rsql.SQLite); err != nil {
		return err
	}
	tried, imageLabels := 0, 0
	for c := range rsql.Comparisons(filter) {
		if isTried(c) {
			tried++
		}
		if strings.HasPrefix(c.Field, "image_labels") {
			imageLabels++
		}
		switch {
		case tried > maxTried:
			return tooMany(c, maxTried, "patterns of image tags, of image labels and of digests without their first three digits")
		case imageLabels > maxImageLabels:
			return tooMany(c, maxImageLabels, "comparisons of image labels")
		}
	}
	return nil
}

// tooMany refuses a filter at the first comparison that is too many.
func tooMany(c *rsql.Comparison, limit int, what string) error {
	return &rsql.Error{Code: rsql.CodeTooComplex, Position: c.Position, Expected: []string{fmt.Sprintf("at most %d", limit)}, Detail: "too many " + what}
}

// digestStart is what a pattern must begin with to have the index find few digests: fewer digits are those of many, and what
// cannot begin a digest is no use to anybody.
var digestStart = regexp.MustCompile(`^sha(256|512):[0-9a-f]{3}`)

// isTried says that a comparison looks for what no index finds.
func isTried(c *rsql.Comparison) bool {
	if c.Operator != rsql.Equal && c.Operator != rsql.NotEqual {
		return false
	}
	v := c.Values[0]
	switch field, _, _ := strings.Cut(c.Field, "."); field {
	case "q":
		term := strings.Trim(v.Text, "*")
		return len(term) >= insideDigits && digestTerm.MatchString(rsql.Fold(term)) && !strings.Contains(term, ":")
	case "config_digest", "manifest_digest", "index_digest":
		return len(v.Wildcards) > 0 && !digestStart.MatchString(rsql.Fold(v.Text[:v.Wildcards[0]]))
	case "image_tag", "image_labels":
		return len(v.Wildcards) > 0
	}
	return false
}

// noAsset is the condition that no asset meets.
func noAsset(string) (string, []any) { return "1 = 0", nil }
