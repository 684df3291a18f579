package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slipway/internal/problem"
)

// ImageDocument are the attributes of an image that are only shown, by the names of the API.
type ImageDocument struct {
	Author     string         `json:"author,omitempty"`
	Variant    string         `json:"variant,omitempty"`
	OSVersion  string         `json:"os_version,omitempty"`
	OSFeatures []string       `json:"os_features,omitempty"`
	Config     ImageConfig    `json:"config"`
	RootFS     ImageRootFS    `json:"root_fs"`
	History    []ImageHistory `json:"history,omitempty"`
}

// ImageConfig is how containers of an image are started.
type ImageConfig struct {
	Cmd          []string          `json:"cmd,omitempty"`
	EntryPoint   []string          `json:"entry_point,omitempty"`
	Env          []string          `json:"env,omitempty"`
	ExposedPorts []string          `json:"exposed_ports,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	StopSignal   string            `json:"stop_signal,omitempty"`
	User         string            `json:"user,omitempty"`
	Volumes      []string          `json:"volumes,omitempty"`
	WorkingDir   string            `json:"working_dir,omitempty"`
	ArgsEscaped  bool              `json:"args_escaped,omitempty"`
}

// ImageRootFS are the layers of an image, uncompressed.
type ImageRootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids,omitempty"`
}

// ImageHistory is a step of an image's making.
type ImageHistory struct {
	CreatedAt  *time.Time `json:"created_at,omitempty"`
	CreatedBy  string     `json:"created_by,omitempty"`
	Author     string     `json:"author,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	EmptyLayer bool       `json:"empty_layer,omitempty"`
}

// The API shows at most so many of each.
const (
	MaxImageHistory = 1000
	MaxImageDiffIDs = 256
)

// documentMembers are the attributes that a document may hold. What has a column of its own is not among them: it would
// stand twice in an answer.
var documentMembers = []string{"author", "variant", "os_version", "os_features", "config", "root_fs", "history", "inferred_base_images"}

// checkDocument gives a document as it is kept: it is written through to answers, behind other members, so it has neither
// spaces between its own nor any of them twice or null. Else wrong says what is wrong with it.
func checkDocument(document json.RawMessage) (kept json.RawMessage, wrong string) {
	var members map[string]json.RawMessage
	if len(document) > MaxImageDocument || !storable(string(document)) || json.Unmarshal(document, &members) != nil || members == nil {
		return nil, "expected a JSON object of at most 1 MiB"
	}
	size := len("{")
	for name, value := range members {
		if !slices.Contains(documentMembers, name) {
			return nil, "expected only the members " + strings.Join(documentMembers, ", ")
		}
		if string(value) == "null" {
			delete(members, name)
			continue
		}
		size += len(`"":,`) + len(name) + len(value)
	}
	if wrong := checkDocumentTypes(document); wrong != "" {
		return nil, wrong
	}
	if size == len(document) || string(document) == "{}" {
		return document, ""
	}
	kept, err := json.Marshal(members)
	if err != nil { // what was read can be written
		return nil, err.Error()
	}
	return kept, ""
}

// checkDocumentTypes says what is wrong with the types and lengths of a document, or "".
func checkDocumentTypes(document json.RawMessage) string {
	var d struct {
		ImageDocument
		InferredBaseImages []map[string]json.RawMessage `json:"inferred_base_images"`
	}
	if err := json.Unmarshal(document, &d); err != nil {
		var p *problem.Error
		if errors.As(problem.OfJSON("expected the types of the API", err), &p) && len(p.Fields) > 0 {
			return p.Fields[0].Name + ": " + p.Fields[0].Message
		}
		return "expected the types of the API"
	}
	if len(d.History) > MaxImageHistory || len(d.RootFS.DiffIDs) > MaxImageDiffIDs {
		return fmt.Sprintf("expected at most %d entries of history and %d diff_ids", MaxImageHistory, MaxImageDiffIDs)
	}
	return ""
}
