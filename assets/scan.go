package assets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"slipway/internal/netguard"
	"slipway/internal/problem"
	"slipway/models"
)

// Scanner reads registries. It keeps what it has read when a registry fails, and says why it ended.
type Scanner struct {
	Store *models.Store
	// Network says which addresses may be dialled. Every connection is checked, also those of redirects and token services.
	Network netguard.Policy
	Limits  ScanLimits
	// ProgressEvery is how often a scan says how far it is within a repository; 0 means every two seconds.
	ProgressEvery time.Duration
}

// ScanError is the reason why a scan ended before its end, or left something out. Its text is for people and holds no
// credential.
type ScanError struct{ Reason string }

func (e *ScanError) Error() string { return e.Reason }

// scan is one scan of a registry.
type scan struct {
	*Scanner
	limits   ScanLimits
	registry *models.AssetRegistry
	host     name.Registry
	puller   *remote.Puller
	state    *models.AssetScan
	progress func(models.AssetScan)
	said     time.Time // when it last said how far it is
	// kept is how much is kept of the images of the repository that is being read.
	kept int64
}

// Scan reads all repositories of a registry, or those that it names, and writes their images as assets. A scan that was
// begun before, by the same execution, goes on behind its last repository. Progress, where set, is called after each.
//
// A *ScanError says what of the registry could not be read; what could be is kept. Other errors are Slipway's own, after
// which the scan can be tried again.
func (s *Scanner) Scan(ctx context.Context, executionID string, r *models.AssetRegistry, progress func(models.AssetScan)) error {
	limits := s.Limits.withDefaults()
	sc := &scan{Scanner: s, limits: limits, registry: r, progress: progress}
	u, err := url.Parse(r.URL)
	if err != nil {
		return &ScanError{Reason: "the registry's URL cannot be read"}
	}
	var options []name.Option
	if u.Scheme == "http" {
		options = append(options, name.Insecure)
	}
	if sc.host, err = name.NewRegistry(u.Host, options...); err != nil {
		return &ScanError{Reason: "the registry's URL names no host of a registry"}
	}
	auth := authn.Anonymous
	if r.Username != "" {
		password, err := s.Store.AssetRegistryPassword(r)
		if err != nil {
			return err
		}
		auth = &authn.Basic{Username: r.Username, Password: password}
	}
	base := s.Network.Transport()
	defer base.CloseIdleConnections()
	sc.puller, err = remote.NewPuller(remote.WithAuth(auth), remote.WithTransport(&boundedTransport{next: base, limits: limits, secure: u.Scheme == "https"}), remote.WithUserAgent("slipway"),
		remote.WithRetryBackoff(remote.Backoff{Duration: 100 * time.Millisecond, Factor: 3, Steps: 3}))
	if err != nil {
		return fmt.Errorf("read registry %s: %w", r.Name, err)
	}
	if sc.state, err = s.Store.AssetScanByID(ctx, executionID); errors.Is(err, models.ErrNotFound) {
		sc.state = &models.AssetScan{ExecutionID: executionID, RegistryID: r.ID}
	} else if err != nil {
		return err
	}
	sc.state.Reading = 0
	return sc.run(ctx)
}

func (s *scan) run(ctx context.Context) error {
	repositories, listErr := s.repositories(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if listErr != nil && len(repositories) == 0 {
		s.failed("the list of repositories", listErr)
		return errors.Join(s.save(ctx), &ScanError{Reason: "the list of repositories could not be read: " + reasonOf(listErr)})
	}
	if listErr != nil {
		s.failed("the list of repositories", listErr)
	}
	repositories = s.possible(repositories)
	s.state.Repositories = int64(len(repositories))
	if err := s.save(ctx); err != nil {
		return err
	}
	inRow := 0
	for _, repository := range repositories {
		if repository <= s.state.Position && s.state.Position != "" {
			continue // read before the worker was lost
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		before := s.state.Failures
		err := s.repository(ctx, repository)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var own *storeError
		if errors.As(err, &own) {
			var full *problem.Error
			if errors.As(own.err, &full) && full.Kind == problem.LimitReached {
				s.failed(repository, full)
				return errors.Join(s.save(ctx), &ScanError{Reason: full.Message})
			}
			return own.err
		}
		if err != nil {
			s.failed(repository, err)
			inRow++
		} else if s.state.Failures == before {
			inRow = 0
		}
		s.state.Position, s.state.RepositoriesDone, s.state.Reading = repository, s.state.RepositoriesDone+1, 0
		if err := s.save(ctx); err != nil {
			return err
		}
		if inRow >= s.limits.Failures {
			return &ScanError{Reason: fmt.Sprintf("given up after %d repositories in a row could not be read; the last: %s", inRow, s.state.LastFailure)}
		}
	}
	if s.state.Failures > 0 {
		return &ScanError{Reason: fmt.Sprintf("%d repositories or images could not be read; the last: %s", s.state.Failures, s.state.LastFailure)}
	}
	return nil
}

// possible leaves names out that no repository can have. They are not stored as they are: a registry can list any text. A
// scan that goes on has counted them before.
func (s *scan) possible(repositories []string) []string {
	begins := s.state.UpdatedAt.IsZero()
	return slices.DeleteFunc(repositories, func(r string) bool {
		if models.IsRepository(r) {
			return false
		}
		if begins {
			s.failed(shorten(r, 100), errors.New("the registry lists a name that no repository can have"))
		}
		return true
	})
}

// failed counts what could not be read.
func (s *scan) failed(what string, err error) {
	s.state.Failures++
	s.state.LastFailure = what + ": " + reasonOf(err)
}

func (s *scan) save(ctx context.Context) error {
	if s.progress != nil {
		s.progress(*s.state)
	}
	return s.Store.PutAssetScan(ctx, s.state)
}

// reading says how many images there are so far in the repository that is being read, from time to time.
func (s *scan) reading(ctx context.Context, images int) error {
	if time.Since(s.said) < cmp.Or(s.ProgressEvery, 2*time.Second) {
		return nil
	}
	s.said, s.state.Reading = time.Now(), int64(images)
	if err := s.save(ctx); err != nil && ctx.Err() == nil {
		return &storeError{err}
	}
	return nil
}

// storeError is an error of the database, not of the registry.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }

// repositories lists what to scan, sorted: a registry gives them in any order. What was read before an error is given with
// the error.
func (s *scan) repositories(ctx context.Context) ([]string, error) {
	if len(s.registry.Repositories) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(s.registry.Repositories))), nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.limits.Repository)
	defer cancel()
	var list []string
	c, err := s.puller.Catalogger(ctx, s.host)
	if err != nil {
		return nil, err
	}
	for page := 0; c.HasNext(); page++ {
		if page >= s.limits.Pages {
			return compact(list), fmt.Errorf("the list has more than %d pages: %w", s.limits.Pages, errLimit)
		}
		p, err := c.Next(ctx)
		if err != nil {
			return compact(list), err
		}
		list = append(list, p.Repos...)
		if len(list) > s.limits.Repositories {
			return compact(list[:s.limits.Repositories]), fmt.Errorf("the list has more than %d repositories: %w", s.limits.Repositories, errLimit)
		}
	}
	return compact(list), nil
}

func compact(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// repository reads one repository and writes its images.
func (s *scan) repository(ctx context.Context, repository string) error {
	repo, err := name.NewRepository(s.host.RegistryStr()+"/"+repository, s.options()...)
	if err != nil {
		return errors.New("the registry lists a name that no repository can have")
	}
	began, before := s.Store.Now(), s.state.Failures
	limited, cancel := context.WithTimeout(ctx, s.limits.Repository)
	defer cancel()
	tags, incomplete := s.tags(limited, repo)
	if len(s.registry.Repositories) == 0 && isMissing(incomplete) {
		// Catalogs go on listing what was removed, and what nothing was ever pushed into to its end.
		return nil
	}
	images, err := s.imagesOf(limited, repo, tags)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		incomplete = err
	}
	list := make([]models.Image, 0, len(images))
	for _, img := range images {
		img.TotalImageTags = len(img.ImageTags)
		if err := img.Check(); err != nil {
			s.failed(repository, err)
			continue
		}
		list = append(list, *img)
	}
	result, err := s.Store.PutImages(ctx, s.registry.OrganizationID, list, false)
	if err != nil {
		return &storeError{err}
	}
	s.state.Images += int64(len(list))
	s.state.Created += result.Created
	if incomplete == nil && s.state.Failures == before {
		if err := s.Store.UntagAssets(ctx, s.registry.OrganizationID, s.host.RegistryStr(), repo.RepositoryStr(), began); err != nil {
			return &storeError{err}
		}
	}
	return incomplete
}

// imagesOf reads the images that tags point to, by the digests of their configs. An error says why it left the rest.
func (s *scan) imagesOf(ctx context.Context, repo name.Repository, tags []string) (map[string]*models.Image, error) {
	images := map[string]*models.Image{}
	s.kept = 0
	manifests := map[string][]string{} // manifest or index digest -> config digests
	inRow := 0
	for _, tag := range tags {
		if ctx.Err() != nil {
			return images, fmt.Errorf("not read to its end within %s", s.limits.Repository)
		}
		configs, err := s.tagged(ctx, repo.Tag(tag), manifests, images)
		if err := s.reading(ctx, len(images)); err != nil {
			return images, err
		}
		for _, c := range configs {
			images[c].ImageTags = append(images[c].ImageTags, tag)
		}
		if err == nil {
			inRow = 0
			continue
		}
		if len(images) == 0 && isAway(err) {
			return nil, err // the others' turn
		}
		s.failed(repo.RepositoryStr()+":"+tag, err)
		if errors.Is(err, errOldSchema) {
			continue // the registry has answered as it should
		}
		if inRow++; inRow >= s.limits.Failures {
			return images, fmt.Errorf("given up after %d tags in a row could not be read; the last: %s", inRow, reasonOf(err))
		}
	}
	return images, nil
}

// tagged reads the images behind a tag and gives the digests of their configs. manifests are those that were read before.
func (s *scan) tagged(ctx context.Context, tag name.Tag, manifests map[string][]string, images map[string]*models.Image) ([]string, error) {
	d, err := s.puller.Get(ctx, tag)
	if err != nil {
		return nil, err
	}
	digest := d.Digest.String()
	if configs, known := manifests[digest]; known {
		return configs, nil
	}
	configs, err := s.manifest(ctx, tag.Context(), d, images)
	manifests[digest] = configs
	return configs, err
}

func (s *scan) options() []name.Option {
	if s.host.Scheme() == "http" {
		return []name.Option{name.Insecure}
	}
	return nil
}

// tags lists the tags of a repository, sorted. What was read before an error is given with it.
func (s *scan) tags(ctx context.Context, repo name.Repository) ([]string, error) {
	l, err := s.puller.Lister(ctx, repo)
	if err != nil {
		return nil, err
	}
	var tags []string
	for page := 0; l.HasNext(); page++ {
		if page >= s.limits.Pages {
			return compact(tags), fmt.Errorf("the list of tags has more than %d pages: %w", s.limits.Pages, errLimit)
		}
		p, err := l.Next(ctx)
		if err != nil {
			return compact(tags), err
		}
		for _, t := range p.Tags {
			if models.IsImageTag(t) {
				tags = append(tags, t)
			}
		}
		if len(tags) > s.limits.Tags {
			return compact(tags[:s.limits.Tags]), fmt.Errorf("more than %d tags: %w", s.limits.Tags, errLimit)
		}
	}
	return compact(tags), nil
}

// manifest reads the image behind a manifest, or the images behind an index, and gives their config digests.
func (s *scan) manifest(ctx context.Context, repo name.Repository, d *remote.Descriptor, images map[string]*models.Image) ([]string, error) {
	r := &manifestReader{scan: s, repo: repo, images: images}
	if !d.MediaType.IsIndex() {
		if err := r.image(d, nil); err != nil && !errors.Is(err, errNoImage) {
			return nil, err
		}
		return r.configs, nil
	}
	if err := r.index(ctx, d, nil); err != nil {
		r.failures = append(r.failures, err)
	}
	return r.configs, errors.Join(r.failures...)
}

var (
	// errNoImage says that a manifest is of something else that registries keep: a Helm chart, a signature.
	errNoImage = errors.New("not a container image")
	// errOldSchema says that a manifest names no config, by which images are known.
	errOldSchema = errors.New("its manifest is of schema 1, which names no config: push it again with a tool of today")
)

var (
	queryText   = regexp.MustCompile(`\?[^\s"']*`)
	controlText = regexp.MustCompile(`[\x00-\x1f\x7f]+`)
)

func isLimit(err error) bool { return errors.Is(err, errLimit) }

// isMissing says that a registry answers that something is not there.
func isMissing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// isAway says that the registry gave no answer, or none that may be read.
func isAway(err error) bool {
	var failed *url.Error
	return errors.As(err, &failed) && !isLimit(err)
}

// reasonOf says for people what a registry did wrong. What it sent is shortened, and addresses lose their query, which may
// be signed.
func reasonOf(err error) string {
	var refused *netguard.RefusedError
	if errors.As(err, &refused) {
		return refused.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "the registry did not answer in time"
	}
	return shorten(queryText.ReplaceAllString(err.Error(), "?…"), 300)
}

// shorten makes a text of a registry one that can be stored and shown: one line of at most so many characters.
func shorten(text string, most int) string {
	text = controlText.ReplaceAllString(text, " ")
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return strings.ToValidUTF8(text, "�")
}
