package assets

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway/models"
)

// imageOf makes an image of its manifest and its config file. What is too long to be kept, or cannot be, is left out: tools
// put whole bills of materials into labels, and scripts into the history.
func imageOf(registry, repository string, manifest *v1.Manifest, config *v1.ConfigFile) (models.Image, error) {
	img := models.Image{Registry: registry, Repository: repository, ConfigDigest: manifest.Config.Digest.String(), ImageLabels: map[string]string{}, SizeBytes: max(manifest.Config.Size, 0)}
	for _, l := range manifest.Layers {
		img.SizeBytes += min(max(l.Size, 0), math.MaxInt64-img.SizeBytes)
	}
	for into, text := range map[*string]string{&img.Architecture: config.Architecture, &img.OS: config.OS} {
		if models.IsPlatform(text) {
			*into = text
		}
	}
	for k, v := range config.Config.Labels {
		if models.IsImageLabel(k, v) {
			img.ImageLabels[k] = v
		}
	}
	if !config.Created.IsZero() {
		t := config.Created.Time
		img.BuiltAt = &t
	}
	d := models.ImageDocument{Author: config.Author, Variant: config.Variant, OSVersion: config.OSVersion, OSFeatures: config.OSFeatures,
		Config: models.ImageConfig{Cmd: config.Config.Cmd, EntryPoint: config.Config.Entrypoint, Env: config.Config.Env, ExposedPorts: exposedPorts(config.Config.ExposedPorts),
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
	for _, leaveOut := range []func(){
		func() {}, func() { d.History = nil }, func() { d.Config.Labels = nil },
		func() { d = models.ImageDocument{Author: d.Author, Variant: d.Variant} }, func() { d = models.ImageDocument{} },
	} {
		leaveOut()
		var err error
		if img.Document, err = json.Marshal(d); err != nil {
			return img, err
		}
		if len(img.Document) <= models.MaxImageDocument {
			break
		}
	}
	return img, img.Check()
}

var exposedPort = regexp.MustCompile(`^[0-9]{1,5}/(tcp|udp)$`)

// exposedPorts gives the ports that the API can show: port/protocol, TCP where none is said.
func exposedPorts(m map[string]struct{}) []string {
	var list []string
	for _, p := range sortedKeys(m) {
		if p = strings.ToLower(p); !strings.Contains(p, "/") {
			p += "/tcp"
		}
		if exposedPort.MatchString(p) {
			list = append(list, p)
		}
	}
	return list
}

func sortedKeys(m map[string]struct{}) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
