package assets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/stretchr/testify/require"

	"slipway/internal/netguard"
	"slipway/internal/testenv"
	"slipway/models"
)

var loopback = netguard.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// sealer stands for the keyring.
type sealer struct{}

func (sealer) Encrypt(plain []byte, associated string) ([]byte, error) {
	return append([]byte(associated+"\x00sealed:"), plain...), nil
}

func (sealer) Decrypt(sealed []byte, associated string) ([]byte, error) {
	plain, ok := strings.CutPrefix(string(sealed), associated+"\x00sealed:")
	if !ok {
		return nil, errors.New("sealed for another place")
	}
	return []byte(plain), nil
}

// storesToTest opens a store on each database, with one organization.
func onBothDatabases(t *testing.T, test func(t *testing.T, s *models.Store, org *models.Organization)) {
	run := func(t *testing.T, address string) {
		s, err := models.Open(t.Context(), address, models.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		require.NoError(t, s.Migrate(t.Context()))
		s.UseEncrypter(sealer{})
		org := &models.Organization{Canonical: "acme", Kind: models.OrganizationTenant}
		require.NoError(t, s.CreateOrganization(t.Context(), org))
		test(t, s, org)
	}
	t.Run("sqlite", func(t *testing.T) { run(t, "sqlite:"+filepath.Join(t.TempDir(), "slipway.db")) })
	t.Run("postgres", func(t *testing.T) {
		run(t, testenv.PostgresTemplate(t, "assets", func(url string) error {
			s, err := models.Open(context.Background(), url, models.Options{})
			if err != nil {
				return err
			}
			defer s.Close()
			return s.Migrate(context.Background())
		}))
	})
}

func onSQLite(t *testing.T) (*models.Store, *models.Organization) {
	s, err := models.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "slipway.db"), models.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.Migrate(t.Context()))
	s.UseEncrypter(sealer{})
	org := &models.Organization{Canonical: "acme", Kind: models.OrganizationTenant}
	require.NoError(t, s.CreateOrganization(t.Context(), org))
	return s, org
}

// startRegistry is a registry in this process. wrap, where set, stands before it.
func startRegistry(t *testing.T, wrap func(http.Handler) http.Handler) string {
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// answering is what a bad registry does with a request; true where it has answered.
type answering func(w http.ResponseWriter, r *http.Request) bool

// startBadRegistry gives the address of a registry in which answer comes first, once bad is set.
func startBadRegistry(t *testing.T, answer answering) (address string, bad *atomic.Bool) {
	bad = &atomic.Bool{}
	return startRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !bad.Load() || !answer(w, r) {
				next.ServeHTTP(w, r)
			}
		})
	}), bad
}

// at answers what asks for a path.
func at(path string, answer http.HandlerFunc) answering {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		answer(w, r)
		return true
	}
}

// below answers what asks for a path that begins with prefix.
func below(prefix string, answer http.HandlerFunc) answering {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, prefix) {
			return false
		}
		answer(w, r)
		return true
	}
}

func missing(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }

// silent does not answer until nobody waits any more.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// push puts an image of one small layer into a registry.
func push(t *testing.T, registry, reference string, labels map[string]string) v1.Image {
	t.Helper()
	img, err := random.Image(200, 1)
	require.NoError(t, err)
	c, err := img.ConfigFile()
	require.NoError(t, err)
	c = c.DeepCopy()
	c.Architecture, c.OS, c.Author = "arm64", "linux", "ada"
	c.Created = v1.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	c.Config.Labels, c.Config.ExposedPorts, c.Config.Entrypoint = labels, map[string]struct{}{"80/tcp": {}}, []string{"/app"}
	img, err = mutate.ConfigFile(img, c)
	require.NoError(t, err)
	pushImage(t, registry, reference, img)
	return img
}

func pushImage(t *testing.T, registry, reference string, img v1.Image) {
	t.Helper()
	u, err := url.Parse(registry)
	require.NoError(t, err)
	ref, err := name.ParseReference(u.Host+"/"+reference, name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, img))
}

func putRegistry(t *testing.T, s *models.Store, org *models.Organization, url string, repositories ...string) *models.AssetRegistry {
	t.Helper()
	r := &models.AssetRegistry{OrganizationID: org.ID, Name: "hub", URL: url, Repositories: repositories}
	require.NoError(t, s.PutAssetRegistry(t.Context(), r, nil))
	return r
}

func assetsOf(t *testing.T, s *models.Store, org *models.Organization) map[string]models.Asset {
	t.Helper()
	p, err := s.ListAssets(t.Context(), models.AssetQuery{Organizations: []string{org.ID}, Limit: 1000})
	require.NoError(t, err)
	byRepository := map[string]models.Asset{}
	for _, a := range p.Assets {
		byRepository[a.Repository+"@"+a.ConfigDigest] = a
	}
	return byRepository
}

func TestScanReadsARegistry(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		address := startRegistry(t, nil)
		img := push(t, address, "team/api:1.0", map[string]string{"org.opencontainers.image.source": "https://example.com/api"})
		pushImage(t, address, "team/api:latest", img)
		push(t, address, "team/web:2.0", nil)
		push(t, address, "base:1", nil)
		// An index: two platforms and an attestation, which is no image.
		u, _ := url.Parse(address)
		one, two, attestation := push(t, address, "multi:a", nil), push(t, address, "multi:b", nil), push(t, address, "multi:c", nil)
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: one}, mutate.IndexAddendum{Add: two},
			mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
		ref, err := name.ParseReference(u.Host+"/multi:index", name.Insecure)
		require.NoError(t, err)
		require.NoError(t, remote.WriteIndex(ref, index))

		r := putRegistry(t, s, org, address)
		var seen []models.AssetScan
		require.NoError(t, (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), r, func(p models.AssetScan) { seen = append(seen, p) }))
		last := seen[len(seen)-1]
		require.EqualValues(t, 4, last.Repositories)
		require.EqualValues(t, 4, last.RepositoriesDone)
		require.EqualValues(t, 6, last.Images)
		require.EqualValues(t, 6, last.Created)
		require.Zero(t, last.Failures)

		found := assetsOf(t, s, org)
		require.Len(t, found, 6)
		digest := func(i v1.Image) string { d, err := i.ConfigName(); require.NoError(t, err); return d.String() }
		api := found["team/api@"+digest(img)]
		require.Equal(t, u.Host, api.Registry)
		require.Equal(t, "api", api.Name)
		require.Equal(t, "arm64", api.Architecture)
		require.JSONEq(t, `["1.0","latest"]`, string(api.ImageTags))
		require.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), *api.BuiltAt)
		require.Contains(t, string(api.Document), `"exposed_ports":["80/tcp"]`)
		require.Contains(t, string(api.Document), `"author":"ada"`)
		m, err := img.Manifest()
		require.NoError(t, err)
		require.Equal(t, m.Config.Size+m.Layers[0].Size, api.SizeBytes)
		i, err := index.Digest()
		require.NoError(t, err)
		require.Contains(t, string(found["multi@"+digest(one)].Digests), i.String())
		require.NotContains(t, string(found["multi@"+digest(attestation)].Digests), i.String())

		// Again, by name: nothing new, and a tag that moved away is gone.
		other := push(t, address, "team/api:latest", nil)
		r = putRegistry(t, s, org, address, "team/api")
		require.NoError(t, (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), r, func(p models.AssetScan) { last = p }))
		require.EqualValues(t, 1, last.Created)
		found = assetsOf(t, s, org)
		require.JSONEq(t, `["1.0"]`, string(found["team/api@"+digest(img)].ImageTags))
		require.JSONEq(t, `["latest"]`, string(found["team/api@"+digest(other)].ImageTags))
	})
}

// TestScanWithCredentials: a registry that wants a password gets the sealed one, and no error shows it.
func TestScanWithCredentials(t *testing.T) {
	s, org := onSQLite(t)
	address, locked := startBadRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		if user == "robot" && password == "s3cret-canary" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	push(t, address, "team/api:1.0", nil)
	locked.Store(true)
	scanner := &Scanner{Store: s, Network: loopback}
	r := &models.AssetRegistry{OrganizationID: org.ID, Name: "hub", URL: address, Username: "robot"}
	good, bad := "s3cret-canary", "wrong-canary"
	require.NoError(t, s.PutAssetRegistry(t.Context(), r, &bad))
	var failed *ScanError
	require.ErrorAs(t, scanner.Scan(t.Context(), models.NewID(), r, nil), &failed)
	require.NotContains(t, failed.Reason, "canary")
	require.NoError(t, s.PutAssetRegistry(t.Context(), r, &good))
	require.NoError(t, s.PutAssetRegistry(t.Context(), r, nil), "a change of something else keeps the password")
	stored, err := s.AssetRegistryByName(t.Context(), org.ID, "hub")
	require.NoError(t, err)
	require.NoError(t, scanner.Scan(t.Context(), models.NewID(), stored, nil))
	require.Len(t, assetsOf(t, s, org), 1)
}

// TestScanOfBadRegistries: a registry that is slow, wrong, huge or malicious ends the scan with a reason, soon, and what
// was read before is kept. S13 among them: no redirect, token service or link leads to an address that is not allowed.
func TestScanOfBadRegistries(t *testing.T) {
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the inner service was reached") }))
	defer inner.Close()
	innerURL, _ := url.Parse(inner.URL)
	// The registry is on 127.0.0.1, which this test allows; everything else that is private is not.
	metadata := "http://169.254.169.254/latest/meta-data"
	limits := ScanLimits{Response: 64 << 10, Pages: 5, Tags: 50, Repositories: 50, Request: time.Second, Failures: 3}
	tagsOf := func(repository string) string { return "/v2/" + repository + "/tags/list" }
	for name, c := range map[string]struct {
		answer answering
		reason string
		kept   int
	}{
		"slow": {at(tagsOf("zz/bad"), silent), "did not answer in time", 1},
		"slow body": {at(tagsOf("zz/bad"), func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"tags":[`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), "did not answer in time", 1},
		"huge manifest by length": {below("/v2/zz/bad/manifests/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1073741824")
			w.WriteHeader(200)
		}), "over the limit", 1},
		"huge manifest in pieces": {below("/v2/zz/bad/manifests/", func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				if _, err := w.Write([]byte(strings.Repeat(" ", 4096))); err != nil {
					return
				}
			}
		}), "over the limit", 1},
		"huge config": {below("/v2/zz/bad/manifests/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
			fmt.Fprintf(w, `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":1073741824,"digest":"sha256:%064d"},"layers":[]}`, 1)
		}), "over the limit", 1},
		"endless tags": {at(tagsOf("zz/bad"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<`+tagsOf("zz/bad")+`?last=x>; rel="next"`)
			fmt.Fprint(w, `{"tags":[]}`)
		}), "more than 5 pages", 1},
		"a page of tags without an end": {at(tagsOf("zz/bad"), func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"tags":["good"`)
			for {
				if _, err := fmt.Fprint(w, strings.Repeat(`,"good"`, 1000)); err != nil {
					return
				}
			}
		}), "over the limit", 1},
		"a catalog without an end": {at("/v2/_catalog", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"repositories":["aa/good"`)
			for {
				if _, err := fmt.Fprint(w, strings.Repeat(`,"aa/good"`, 1000)); err != nil {
					return
				}
			}
		}), "the list of repositories could not be read", 0},
		"too many tags": {at(tagsOf("zz/bad"), func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"tags":["`+strings.Join(slices.Repeat([]string{"good"}, 60), `","`)+`"]}`)
		}), "more than 50 tags", 2},
		"redirect to a private address": {below("/v2/zz/bad/manifests/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, metadata, http.StatusTemporaryRedirect)
		}), "169.254.169.254", 1},
		"token service at a private address": {below("/v2/zz/bad/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+metadata+`",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}), "", 1},
		"link to another host": {at(tagsOf("zz/bad"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<http://[::1]:`+innerURL.Port()+`/v2/>; rel="next"`)
			fmt.Fprint(w, `{"tags":[]}`)
		}), "", 1},
		"not JSON": {at(tagsOf("zz/bad"), func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>\x1b[31mred</html>")
		}), "", 1},
		"wrong digest": {below("/v2/zz/bad/blobs/", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{}`)
		}), "", 1},
		"server error": {below("/v2/zz/bad/", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
		}), "", 1},
		"endless catalog": {at("/v2/_catalog", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `</v2/_catalog?last=x>; rel="next"`)
			fmt.Fprint(w, `{"repositories":["aa/good"]}`)
		}), "more than 5 pages", 1},
		"no catalog": {at("/v2/_catalog", missing), "the list of repositories could not be read", 0},
		"names that are no repositories": {at("/v2/_catalog", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"repositories":["aa/good","../../etc","zz/BAD"," "]}`)
		}), "no repository can have", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, org := onSQLite(t)
			address, bad := startBadRegistry(t, c.answer)
			push(t, address, "aa/good:1", nil)
			push(t, address, "zz/bad:good", nil)
			bad.Store(true)
			start := time.Now()
			var last models.AssetScan
			err := (&Scanner{Store: s, Network: loopback, Limits: limits}).Scan(t.Context(), models.NewID(), putRegistry(t, s, org, address), func(p models.AssetScan) { last = p })
			var failed *ScanError
			require.ErrorAs(t, err, &failed)
			require.Contains(t, failed.Reason, c.reason)
			require.NotContains(t, failed.Reason, "\x1b")
			require.Less(t, len(failed.Reason), 600)
			require.Less(t, time.Since(start), 20*time.Second)
			require.Len(t, assetsOf(t, s, org), c.kept, "%v", slices.Collect(maps.Keys(assetsOf(t, s, org))))
			require.NotZero(t, last.Failures)
		})
	}
}

// TestScanGoesOnBehindItsLastRepository: a scan whose worker was lost does not begin again.
func TestScanGoesOnBehindItsLastRepository(t *testing.T) {
	s, org := onSQLite(t)
	var asked []string
	ctx, cancel := context.WithCancel(t.Context())
	address := startRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if repository, ok := strings.CutSuffix(r.URL.Path, "/tags/list"); ok {
				asked = append(asked, strings.TrimPrefix(repository, "/v2/"))
				if len(asked) == 3 {
					cancel() // the worker dies while it reads c
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	for _, repository := range []string{"a", "b", "c", "d"} {
		push(t, address, repository+":1", nil)
	}
	r := putRegistry(t, s, org, address)
	id := models.NewID()
	scanner := &Scanner{Store: s, Network: loopback}
	require.ErrorIs(t, scanner.Scan(ctx, id, r, nil), context.Canceled)
	require.Len(t, assetsOf(t, s, org), 2)
	require.NoError(t, scanner.Scan(t.Context(), id, r, nil))
	require.Equal(t, []string{"a", "b", "c", "c", "d"}, asked)
	require.Len(t, assetsOf(t, s, org), 4)
	p, err := s.AssetScanByID(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 4, p.RepositoriesDone)
	require.EqualValues(t, 4, p.Created)
}

// A scan ends where the organization may have no more assets: what it found before stays.
func TestScanEndsAtTheQuota(t *testing.T) {
	s, org := onSQLite(t)
	address := startRegistry(t, nil)
	for _, repository := range []string{"a", "b", "c"} {
		push(t, address, repository+":1", map[string]string{"name": repository})
	}
	two := int64(2)
	require.NoError(t, s.SetQuota(t.Context(), org.ID, models.QuotaAssets, &two))
	id := models.NewID()
	err := (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), id, putRegistry(t, s, org, address), nil)
	var failed *ScanError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "may have no more than 2 assets")
	require.Len(t, assetsOf(t, s, org), 2)
	p, err := s.AssetScanByID(t.Context(), id)
	require.NoError(t, err)
	require.EqualValues(t, 2, p.Created)
	require.Contains(t, p.LastFailure, "may have no more than 2 assets")
}

func TestScanOfAPrivateAddressIsRefused(t *testing.T) {
	s, org := onSQLite(t)
	err := (&Scanner{Store: s}).Scan(t.Context(), models.NewID(), putRegistry(t, s, org, startRegistry(t, nil)), nil)
	var failed *ScanError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "not allowed: it is a loopback address")
}

func TestRegistriesAreChecked(t *testing.T) {
	s, org := onSQLite(t)
	for _, r := range []models.AssetRegistry{
		{Name: "a b", URL: "https://example.com"}, {Name: "a", URL: "example.com"}, {Name: "a", URL: "ftp://example.com"}, {Name: "a", URL: "https://user:pw@example.com"},
		{Name: "a", URL: "https://example.com/v2"}, {Name: "a", URL: "https://example.com?x"}, {Name: "a", URL: "https://example.com", Repositories: []string{"A"}}, {Name: "a", URL: "https://a b"},
		{Name: "a", URL: "https://example.com", Username: "a\nb"},
	} {
		r.OrganizationID = org.ID
		require.Error(t, s.PutAssetRegistry(t.Context(), &r, nil), "%+v", r)
	}
	// A password that nobody would be asked for is a mistake, not a secret.
	password, none := "s3cret", ""
	r := models.AssetRegistry{OrganizationID: org.ID, Name: "a", URL: "https://example.com"}
	require.ErrorContains(t, s.PutAssetRegistry(t.Context(), &r, &password), "username")
	r.Username = "robot"
	require.NoError(t, s.PutAssetRegistry(t.Context(), &r, &password))
	r.Username = ""
	require.ErrorContains(t, s.PutAssetRegistry(t.Context(), &r, nil), "username")
	require.NoError(t, s.PutAssetRegistry(t.Context(), &r, &none))
}

// TestScanTakesMovedTagsAway: an image that no tag points to any more is no longer listed by the registry. What it was
// called goes with the first scan that read its repository whole.
func TestScanTakesMovedTagsAway(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		address, broken := startBadRegistry(t, at("/v2/team/api/manifests/old", missing))
		first, neighbour := push(t, address, "team/api:latest", nil), push(t, address, "team/api-v2:latest", nil)
		push(t, address, "team/api:old", nil)
		r := putRegistry(t, s, org, address)
		scan := func() error {
			return (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), r, nil)
		}
		tags := func(repository string, i v1.Image) string {
			d, err := i.ConfigName()
			require.NoError(t, err)
			a := assetsOf(t, s, org)[repository+"@"+d.String()]
			require.NotEmpty(t, a.ID)
			return string(a.ImageTags) + fmt.Sprint(a.TotalImageTags)
		}
		require.NoError(t, scan())
		require.Equal(t, `["latest"]1`, tags("team/api", first))
		second := push(t, address, "team/api:latest", nil)
		broken.Store(true)
		require.Error(t, scan())
		require.Equal(t, `["latest"]1`, tags("team/api", first), "what could not be read may have the tag")
		broken.Store(false)
		require.NoError(t, scan())
		require.Equal(t, `[]0`, tags("team/api", first))
		require.Equal(t, `["latest"]1`, tags("team/api", second))
		require.Equal(t, `["latest"]1`, tags("team/api-v2", neighbour))
	})
}

// TestScanLeavesARepositoryThatFails: where one tag after the other cannot be read the rest of the repository is left, so
// that a registry that answers none in time cannot hold a scan up for as long as it has tags. What was read is kept.
func TestScanLeavesARepositoryThatFails(t *testing.T) {
	s, org := onSQLite(t)
	var asked atomic.Int64
	address, bad := startBadRegistry(t, below("/v2/team/api/manifests/slow", func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	}))
	img := push(t, address, "team/api:good", nil)
	for i := range 30 {
		pushImage(t, address, fmt.Sprintf("team/api:slow-%02d", i), img)
	}
	push(t, address, "team/web:1", nil)
	bad.Store(true)
	err := (&Scanner{Store: s, Network: loopback, Limits: ScanLimits{Request: 50 * time.Millisecond, Failures: 3}}).Scan(t.Context(), models.NewID(), putRegistry(t, s, org, address), nil)
	var failed *ScanError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "3 tags in a row")
	require.Len(t, assetsOf(t, s, org), 2)
	require.LessOrEqual(t, asked.Load(), int64(3*3), "three tries of three tags")
}

// TestScanOfASlowRepositoryEnds: one that answers every request, but slowly, is left in time.
func TestScanOfASlowRepositoryEnds(t *testing.T) {
	s, org := onSQLite(t)
	address, slow := startBadRegistry(t, below("/v2/team/api/manifests/slow", silent))
	push(t, address, "team/api:good", nil)
	push(t, address, "team/api:slow", nil)
	push(t, address, "team/api:tail", nil)
	push(t, address, "team/web:1", nil)
	slow.Store(true)
	err := (&Scanner{Store: s, Network: loopback, Limits: ScanLimits{Repository: time.Second}}).Scan(t.Context(), models.NewID(), putRegistry(t, s, org, address), nil)
	var failed *ScanError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "not read to its end within 1s")
	require.Len(t, assetsOf(t, s, org), 2, "what was read before the time was over, and the other repository")
}

// scanOf scans all repositories of a registry on the loopback.
func scanOf(t *testing.T, s *models.Store, org *models.Organization, address string) error {
	t.Helper()
	return (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), putRegistry(t, s, org, address), nil)
}

// TestScanGoesOnAfterTagsThatAreMissing: a tag whose manifest was removed says nothing of the others.
func TestScanGoesOnAfterTagsThatAreMissing(t *testing.T) {
	s, org := onSQLite(t)
	address, bad := startBadRegistry(t, at("/v2/team/api/manifests/a-gone", missing))
	push(t, address, "team/api:a-gone", nil)
	push(t, address, "team/api:here", nil)
	bad.Store(true)
	err := scanOf(t, s, org, address)
	var failed *ScanError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "team/api:a-gone")
	require.Len(t, assetsOf(t, s, org), 1)
}

// TestScanLeavesOutWhatIsNoImage: registries keep charts and signatures too, which are no failures.
func TestScanLeavesOutWhatIsNoImage(t *testing.T) {
	s, org := onSQLite(t)
	address := startRegistry(t, nil)
	push(t, address, "team/api:1", nil)
	chart, err := random.Image(100, 1)
	require.NoError(t, err)
	pushImage(t, address, "team/api:chart", mutate.ConfigMediaType(chart, "application/vnd.cncf.helm.config.v1+json"))
	signature, err := mutate.Append(empty.Image, mutate.Addendum{Layer: static.NewLayer([]byte("{}"), "application/vnd.dev.cosign.simplesigning.v1+json")})
	require.NoError(t, err)
	pushImage(t, address, "team/api:sha256-abc.sig", signature)
	require.NoError(t, scanOf(t, s, org, address))
	require.Len(t, assetsOf(t, s, org), 1)
}

// TestScanSendsCredentialsNowhereElse: a registry that redirects to another host, as those do that keep their files in a
// bucket, takes no password there, and no token that was got for it.
func TestScanSendsCredentialsNowhereElse(t *testing.T) {
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s got a credential: %s", r.URL, r.Header.Get("Authorization"))
		}
		images.ServeHTTP(w, r)
	}))
	defer other.Close()
	for challenge, credential := range map[string]string{
		`Basic realm="registry"`:                              "Basic cm9ib3Q6czNjcmV0LWNhbmFyeQ==", // robot:s3cret-canary
		`Bearer realm="http://HOST/token",service="registry"`: "Bearer t0ken-canary",
	} {
		t.Run(challenge, func(t *testing.T) {
			s, org := onSQLite(t)
			locked := atomic.Bool{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user, password, _ := r.BasicAuth()
				switch {
				case !locked.Load():
					images.ServeHTTP(w, r)
				case r.URL.Path == "/token" && user == "robot" && password == "s3cret-canary":
					fmt.Fprint(w, `{"token":"t0ken-canary"}`)
				case r.Header.Get("Authorization") != credential:
					w.Header().Set("WWW-Authenticate", strings.Replace(challenge, "HOST", r.Host, 1))
					w.WriteHeader(http.StatusUnauthorized)
				case strings.Contains(r.URL.Path, "/blobs/") || strings.Contains(r.URL.Path, "/manifests/"):
					http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
				default:
					images.ServeHTTP(w, r)
				}
			}))
			defer server.Close()
			push(t, server.URL, "team/api:1", nil)
			locked.Store(true)
			r := &models.AssetRegistry{OrganizationID: org.ID, Name: "hub", URL: server.URL, Username: "robot"}
			password := "s3cret-canary"
			require.NoError(t, s.PutAssetRegistry(t.Context(), r, &password))
			before := elsewhere.Load()
			require.NoError(t, (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), r, nil))
			require.NotEmpty(t, assetsOf(t, s, org))
			require.GreaterOrEqual(t, elsewhere.Load()-before, int64(2), "a manifest and a config")
		})
	}
}
