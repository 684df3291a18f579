package assets

import (
	"encoding/json"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway/models"
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
	d := models.ImageDocument{Author: config.Author, Variant: config.Variant, OSVersion: config.OSVersion, OSFeatures: config.OSFeatures,
		Config: models.ImageConfig{Cmd: config.Config.Cmd, EntryPoint: config.Config.Entrypoint, Env: config.Config.Env, ExposedPorts: sortedKeys(config.Config.ExposedPorts),
			Labels: config.Config.Labels, StopSignal: config.Config.StopSignal, User: config.Config.User, Volumes: sortedKeys(config.Config.Volumes),
			WorkingDir: config.Config.WorkingDir, ArgsEscaped: config.Config.ArgsEscaped},
		RootFS: models.ImageRootFS{Type: config.RootFS.Type}}
	for i, id := range config.RootFS.DiffIDs {
		if i == models.MaxImageDiffIDs {
			break
		}
		d.RootFS.DiffIDs = append(d.RootFS.DiffIDs, id.String())
	}
	for i, h := range config.History {
		if i == models.MaxImageHistory {
			break
		}
		entry := models.ImageHistory{CreatedBy: h.CreatedBy, Author: h.Author, Comment: h.Comment, EmptyLayer: h.EmptyLayer}
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
