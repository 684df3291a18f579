package assets

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slipway/models"
)

const (
	// maxPlatforms is how many images of one tag are read.
	maxPlatforms = 100
	// maxIndexes is how many indexes may hold one another. Tools make two.
	maxIndexes = 5
)

// manifestReader reads what one tag points to.
type manifestReader struct {
	*scan
	repo     name.Repository
	images   map[string]*models.Image // of the repository, by the digests of their configs
	configs  []string                 // of this tag, each once
	read     int
	failures []error
}

// index reads the images of an index, and those of the indexes in it. in are the digests of the indexes around it, the
// outermost first: an image is known by all of them. What fails of it is among the failures; an error ends it.
func (r *manifestReader) index(ctx context.Context, d *remote.Descriptor, in []string) error {
	if len(in) >= maxIndexes {
		return fmt.Errorf("more than %d indexes in one another: %w", maxIndexes, errLimit)
	}
	index, err := d.ImageIndex()
	if err != nil {
		return err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return err
	}
	in = append(slices.Clone(in), d.Digest.String())
	for _, child := range m.Manifests {
		// Attestations and the like are no images; they are listed for a platform that does not exist.
		if !child.MediaType.IsImage() && !child.MediaType.IsIndex() || child.Platform != nil && child.Platform.OS == "unknown" {
			continue
		}
		if r.read++; r.read > maxPlatforms {
			return fmt.Errorf("an index of more than %d images: %w", maxPlatforms, errLimit)
		}
		cd, err := r.puller.Get(ctx, r.repo.Digest(child.Digest.String()))
		switch {
		case err != nil:
		case cd.MediaType.IsIndex():
			err = r.index(ctx, cd, in)
		default:
			err = r.image(cd, in)
		}
		if errors.Is(err, errLimit) && r.read > maxPlatforms {
			return err // the same for the indexes around this one
		}
		if err != nil && !errors.Is(err, errNoImage) {
			r.failures = append(r.failures, err)
		}
		if len(r.failures) >= r.limits.Failures {
			return nil
		}
	}
	return nil
}

// image reads the config of an image that stands in some indexes.
func (r *manifestReader) image(d *remote.Descriptor, in []string) error {
	if d.MediaType.IsSchema1() {
		return errOldSchema
	}
	img, err := d.Image()
	if err != nil {
		return err
	}
	m, err := img.Manifest()
	if err != nil {
		return err
	}
	if m.Config.MediaType != types.DockerConfigJSON && m.Config.MediaType != types.OCIConfigJSON {
		return errNoImage
	}
	// Signatures have the config of an image, but no layer that a container could have.
	if len(m.Layers) > 0 && !slices.ContainsFunc(m.Layers, func(l v1.Descriptor) bool { return l.MediaType.IsLayer() }) {
		return errNoImage
	}
	if m.Config.Size > r.limits.Response {
		return fmt.Errorf("a config of %d bytes: %w of %d bytes", m.Config.Size, errLimit, r.limits.Response)
	}
	c := m.Config.Digest.String()
	found, ok := r.images[c]
	if !ok {
		config, err := img.ConfigFile()
		if err != nil {
			return err
		}
		read, err := imageOf(r.host.RegistryStr(), r.repo.RepositoryStr(), m, config)
		if err != nil {
			return err
		}
		if r.kept += keptOf(&read); r.kept > r.limits.Kept {
			return fmt.Errorf("the images of the repository say more of themselves than can be kept: %w of %d bytes", errLimit, r.limits.Kept)
		}
		found = &read
		r.images[c] = found
	}
	if len(in) == 0 {
		in = []string{""}
	}
	for _, index := range in {
		digests := models.AssetDigests{Manifest: d.Digest.String(), Index: index}
		if !slices.Contains(found.Digests, digests) {
			found.Digests = append(found.Digests, digests)
		}
	}
	if !slices.Contains(r.configs, c) {
		r.configs = append(r.configs, c)
	}
	return nil
}

// keptOf is about how much memory an image takes: what it says of itself can be long.
func keptOf(img *models.Image) int64 {
	n := int64(len(img.Document))
	for k, v := range img.ImageLabels {
		n += int64(len(k) + len(v))
	}
	return n
}
