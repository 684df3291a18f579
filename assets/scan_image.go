package assets

import (
	"encoding/json"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway/models"
)

// imageDocument are the attributes of an image that are only shown, by the names of the API.
type imageDocument struct {
	Author     string         `json:"author,omitempty"`
	Variant    string         `json:"variant,omitempty"`
	OSVersion  string         `json:"os_version,omitempty"`
	OSFeatures []string       `json:"os_features,omitempty"`
	Config     imageConfig    `json:"config"`
	RootFS     imageRootFS    `json:"root_fs"`
	History    []imageHistory `json:"history,omitempty"`
}

type imageConfig struct {
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

type imageRootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids,omitempty"`
}

type imageHistory struct {
	CreatedAt  *time.Time `json:"created_at,omitempty"`
	CreatedBy  string     `json:"created_by,omitempty"`
	Author     string     `json:"author,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	EmptyLayer bool       `json:"empty_layer,omitempty"`
}

// The API shows at most so many of each.
const (
	maxHistory = 1000
	maxDiffIDs = 256
)

// imageOf makes an image of its manifest and its config file.
func imageOf(registry, repository string, manifest *v1.Manifest, config *v1.ConfigFile) (models.Image, error) {
	img := models.Image{Registry: registry, Repository: repository, ConfigDigest: manifest.Config.Digest.String(), Architecture: config.Architecture, OS: config.OS,
		ImageLabels: config.Config.Labels, SizeBytes: manifest.Config.Size}
	for _, l := range manifest.Layers {
		img.SizeBytes += max(l.Size, 0)
	}
	if !config.Created.IsZero() {
		t := config.Created.Time
		img.BuiltAt = &t
	}
	d := imageDocument{Author: config.Author, Variant: config.Variant, OSVersion: config.OSVersion, OSFeatures: config.OSFeatures,
		Config: imageConfig{Cmd: config.Config.Cmd, EntryPoint: config.Config.Entrypoint, Env: config.Config.Env, ExposedPorts: sortedKeys(config.Config.ExposedPorts),
			Labels: config.Config.Labels, StopSignal: config.Config.StopSignal, User: config.Config.User, Volumes: sortedKeys(config.Config.Volumes),
			WorkingDir: config.Config.WorkingDir, ArgsEscaped: config.Config.ArgsEscaped},
		RootFS: imageRootFS{Type: config.RootFS.Type}}
	for i, id := range config.RootFS.DiffIDs {
		if i == maxDiffIDs {
			break
		}
		d.RootFS.DiffIDs = append(d.RootFS.DiffIDs, id.String())
	}
	for i, h := range config.History {
		if i == maxHistory {
			break
		}
		entry := imageHistory{CreatedBy: h.CreatedBy, Author: h.Author, Comment: h.Comment, EmptyLayer: h.EmptyLayer}
		if !h.Created.IsZero() {
			t := h.Created.Time
			entry.CreatedAt = &t
		}
		d.History = append(d.History, entry)
	}
	var err error
	if img.Document, err = json.Marshal(d); err != nil {
		return img, err
	}
	return img, img.Check()
}

func sortedKeys(m map[string]struct{}) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
