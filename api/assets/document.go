package assets

import (
	"bytes"
	"encoding/json"
	"time"

	"slipway/models"
)

// document is the top level of an answer. It is closed: nothing else stands there.
type document struct {
	JSONAPI *jsonapi `json:"jsonapi,omitempty"`
	// Data is a resource or a list of resources; nil leaves it out, which is right only where the count alone was asked for.
	Data  any       `json:"data,omitempty"`
	Links pageLinks `json:"links"`
	Meta  *meta     `json:"meta,omitempty"`
}

// pageLinks are addresses without a host. Those that lead nowhere are absent.
type pageLinks struct {
	Self  string `json:"self,omitempty"`
	First string `json:"first,omitempty"`
	Prev  string `json:"prev,omitempty"`
	Next  string `json:"next,omitempty"`
}

type meta struct {
	Count *int64 `json:"count,omitempty"`
	// Kept is how many results a search kept, where that is not all it found.
	Kept *int64 `json:"kept,omitempty"`
	// Status is started while a search runs.
	Status string `json:"status,omitempty"`
}

type resource struct {
	Type          string        `json:"type"`
	ID            string        `json:"id"`
	Attributes    any           `json:"attributes"`
	Relationships any           `json:"relationships,omitempty"`
	Links         *pageLinks    `json:"links,omitempty"`
	Meta          *resourceMeta `json:"meta,omitempty"`
}

// resourceMeta is what is told of a group. What was not asked for is absent; images have neither issues nor a risk score.
type resourceMeta struct {
	Count      int64      `json:"count"`
	Labels     []string   `json:"labels,omitzero"`
	Tags       []groupTag `json:"tags,omitzero"`
	BuiltAt    *time.Time `json:"built_at,omitempty"`
	LastSeenAt *time.Time `json:"last_seen_at,omitempty"`
	UpdatedAt  *time.Time `json:"updated_at,omitempty"`
}

type groupTag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type related struct {
	Links relatedLinks `json:"links"`
}

type relatedLinks struct {
	Related string `json:"related"`
}

type assetClass struct {
	DisplayName string `json:"display_name"`
	Rank        int    `json:"rank"`
	Locked      bool   `json:"locked"`
}

// imageAttributes are the attributes of a container image. Absent ones are left out, never null.
type imageAttributes struct {
	Name                string          `json:"name"`
	Registry            string          `json:"registry"`
	Repository          string          `json:"repository"`
	ConfigDigest        string          `json:"config_digest"`
	DistributionDigests json.RawMessage `json:"distribution_digests,omitempty"`
	ImageTags           json.RawMessage `json:"image_tags,omitempty"`
	TotalImageTags      int             `json:"total_image_tags"`
	Architecture        string          `json:"architecture,omitempty"`
	OS                  string          `json:"os,omitempty"`
	SizeBytes           int64           `json:"size_bytes,omitempty"`
	BuiltAt             *time.Time      `json:"built_at,omitempty"`
	Class               *assetClass     `json:"class,omitempty"`
	Labels              json.RawMessage `json:"labels,omitempty"`
	Tags                json.RawMessage `json:"tags,omitempty"`
	LastSeenAt          time.Time       `json:"last_seen_at"`
	CreatedAt           time.Time       `json:"created_at"`
	UpdatedAt           time.Time       `json:"updated_at"`

	document json.RawMessage
}

// MarshalJSON writes the attributes and, behind them, the members of the document, which were checked when they came in.
func (a imageAttributes) MarshalJSON() ([]byte, error) {
	type plain imageAttributes
	b, err := json.Marshal(plain(a))
	if err != nil || len(a.document) < len("{}") {
		return b, err
	}
	members := bytes.TrimSpace(a.document[1 : len(a.document)-1])
	if len(members) == 0 {
		return b, nil
	}
	b[len(b)-1] = ','
	return append(append(b, members...), '}'), nil
}

// base is the path of the assets of the scope that a call is about.
func (c *call) base() string {
	path := map[string]string{"tenant": "/tenants/", "org": "/orgs/", "group": "/groups/"}[c.scope.Kind]
	return path + c.scope.ID + "/inventory/assets"
}

// withVersion keeps the version that a request names in the addresses of its answer.
func (c *call) withVersion(path string) string {
	if v, ok := c.parameters["version"]; ok {
		return path + "?version=" + v
	}
	return path
}

// image makes the resource of an asset.
func (c *call) image(a *models.Asset) resource {
	attributes := imageAttributes{
		Name: a.Name, Registry: a.Registry, Repository: a.Repository, ConfigDigest: a.ConfigDigest,
		TotalImageTags: a.TotalImageTags, Architecture: a.Architecture, OS: a.OS, SizeBytes: a.SizeBytes, BuiltAt: a.BuiltAt,
		LastSeenAt: a.LastSeenAt, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, document: a.Document,
	}
	attributes.DistributionDigests, attributes.ImageTags = filled(a.Digests), filled(a.ImageTags)
	attributes.Labels, attributes.Tags = filled(a.Labels), filled(a.Tags)
	if a.Class != nil {
		for i, name := range models.AssetClasses {
			if name == *a.Class {
				attributes.Class = &assetClass{DisplayName: name, Rank: i + 1, Locked: a.ClassLocked}
			}
		}
	}
	var shown any = attributes
	if !c.allFields {
		shown = sparseAttributes{attributes, c.fields}
	}
	return resource{Type: models.AssetTypeContainerImage, ID: a.ID, Attributes: shown, Links: &pageLinks{Self: c.withVersion(c.base() + "/" + a.ID)}}
}

// filled leaves out empty lists and objects.
func filled(raw json.RawMessage) json.RawMessage {
	if len(raw) <= len("[]") {
		return nil
	}
	return raw
}
