package assets

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"slipway/internal/rsql"
	"slipway/models"
)

func pushIndex(t *testing.T, registry, reference string, index v1.ImageIndex) {
	t.Helper()
	u, err := url.Parse(registry)
	require.NoError(t, err)
	ref, err := name.ParseReference(u.Host+"/"+reference, name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(ref, index))
}

func configOf(t *testing.T, i v1.Image) string {
	t.Helper()
	d, err := i.ConfigName()
	require.NoError(t, err)
	return d.String()
}

// TestScanReadsIndexesInIndexes: an index may hold others, and names the images of both.
func TestScanReadsIndexesInIndexes(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		address := startRegistry(t, nil)
		one, two := push(t, address, "multi:a", nil), push(t, address, "multi:b", nil)
		inner := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: one})
		outer := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: inner}, mutate.IndexAddendum{Add: two})
		pushIndex(t, address, "multi:all", outer)
		require.NoError(t, scanOf(t, s, org, address))
		found := assetsOf(t, s, org)
		require.Len(t, found, 2)
		a, b := found["multi@"+configOf(t, one)], found["multi@"+configOf(t, two)]
		require.JSONEq(t, `["a","all"]`, string(a.ImageTags))
		require.JSONEq(t, `["all","b"]`, string(b.ImageTags))
		for index, in := range map[v1.ImageIndex]models.Asset{inner: a, outer: b} {
			d, err := index.Digest()
			require.NoError(t, err)
			require.Contains(t, string(in.Digests), d.String())
		}
	})
}

// TestScanOfAnIndexThatNeverEnds: indexes in indexes are as many as a registry likes.
func TestScanOfAnIndexThatNeverEnds(t *testing.T) {
	s, org := onSQLite(t)
	address := startRegistry(t, nil)
	img := push(t, address, "deep:image", nil)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	for range 10 {
		index = mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})
	}
	pushIndex(t, address, "deep:index", index)
	err := scanOf(t, s, org, address)
	var failed *ScanError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "indexes in one another")
	require.Len(t, assetsOf(t, s, org), 1)
}

// TestScanCountsATagOnce: an index that lists an image twice, as those do that have it in two compressions, is one tag.
func TestScanCountsATagOnce(t *testing.T) {
	s, org := onSQLite(t)
	address := startRegistry(t, nil)
	img := push(t, address, "twice:a", nil)
	again := mutate.Annotations(img, map[string]string{"compression": "other"}).(v1.Image)
	require.Equal(t, configOf(t, img), configOf(t, again))
	pushIndex(t, address, "twice:both", mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img}, mutate.IndexAddendum{Add: again}))
	require.NoError(t, scanOf(t, s, org, address))
	a := assetsOf(t, s, org)["twice@"+configOf(t, img)]
	require.JSONEq(t, `["a","both"]`, string(a.ImageTags))
	require.Equal(t, 2, a.TotalImageTags)
}

// TestScanOfNamesThatCannotBeStored: what a registry calls its repositories, tags and errors is for it to say.
func TestScanOfNamesThatCannotBeStored(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		bad := atomic.Bool{}
		address := startRegistry(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case bad.Load() && r.URL.Path == "/v2/_catalog":
					fmt.Fprint(w, `{"repositories":["aa/good","evil\u0000name","evil\ud800name","`+strings.Repeat("x", 100_000)+`","zz/good"]}`)
				case bad.Load() && r.URL.Path == "/v2/zz/good/tags/list":
					w.WriteHeader(http.StatusBadRequest)
					fmt.Fprint(w, `{"errors":[{"code":"UNKNOWN","message":"\u0000\u001b[31m"}]}`)
				default:
					next.ServeHTTP(w, r)
				}
			})
		})
		push(t, address, "aa/good:1", nil)
		bad.Store(true)
		id := models.NewID()
		err := (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), id, putRegistry(t, s, org, address), nil)
		var failed *ScanError
		require.ErrorAs(t, err, &failed)
		require.NotContains(t, failed.Reason, "\x00")
		require.Len(t, assetsOf(t, s, org), 1)
		p, err := s.AssetScanByID(t.Context(), id)
		require.NoError(t, err)
		require.EqualValues(t, 4, p.Failures)
		require.EqualValues(t, 2, p.RepositoriesDone)
		require.Less(t, len(p.Position), 1000)
	})
}

// TestScanOfImagesThatAreTooOld: manifests of the first schema tell nothing of a config, and say nothing of the tags behind
// them: however many there are, the others are read.
func TestScanOfImagesThatAreTooOld(t *testing.T) {
	s, org := onSQLite(t)
	address := startRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/v2/old/tags/list":
				tags := []string{}
				for i := range 30 {
					tags = append(tags, fmt.Sprintf(`"a%02d"`, i))
				}
				fmt.Fprint(w, `{"name":"old","tags":[`+strings.Join(tags, ",")+`,"new"]}`)
			case strings.HasPrefix(r.URL.Path, "/v2/old/manifests/a"):
				body := fmt.Sprintf(`{"schemaVersion":1,"name":"old","tag":%q,"fsLayers":[],"history":[]}`, r.URL.Path)
				w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v1+prettyjws")
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%064s", r.URL.Path[len("/v2/old/manifests/a"):]))
				fmt.Fprint(w, body)
			default:
				next.ServeHTTP(w, r)
			}
		})
	})
	push(t, address, "old:new", nil)
	err := scanOf(t, s, org, address)
	var failed *ScanError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "30 repositories or images")
	require.Contains(t, failed.Reason, "schema")
	require.Len(t, assetsOf(t, s, org), 1)
}

// TestScanOfACatalogThatIsBehind: what it lists and the registry does not have any more is no failure, and however much it
// is the rest is read. Who names a repository hears that it is not there.
func TestScanOfACatalogThatIsBehind(t *testing.T) {
	s, org := onSQLite(t)
	address := startRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/v2/_catalog":
				gone := []string{}
				for i := range 30 {
					gone = append(gone, fmt.Sprintf(`"gone-%02d"`, i))
				}
				fmt.Fprint(w, `{"repositories":[`+strings.Join(gone, ",")+`,"null","team/api"]}`)
			case strings.HasPrefix(r.URL.Path, "/v2/gone-"):
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, `{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}`)
			case r.URL.Path == "/v2/null/tags/list":
				fmt.Fprint(w, `{"name":"null","tags":null}`)
			default:
				next.ServeHTTP(w, r)
			}
		})
	})
	push(t, address, "team/api:1", nil)
	require.NoError(t, scanOf(t, s, org, address))
	require.Len(t, assetsOf(t, s, org), 1)
	var failed *ScanError
	require.ErrorAs(t, (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), putRegistry(t, s, org, address, "gone-01"), nil), &failed)
	require.Contains(t, failed.Reason, "gone-01")
}

// TestScanWaitsWhenItIsTold: a registry that limits how often it is asked says when to ask again.
func TestScanWaitsWhenItIsTold(t *testing.T) {
	s, org := onSQLite(t)
	var refused atomic.Int64
	wait := atomic.Value{}
	wait.Store("0")
	address := startRegistry(t, func(next http.Handler) http.Handler {
		asked := map[string]int{}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v2/team/api/") {
				if asked[r.URL.Path]++; asked[r.URL.Path]%2 == 1 || wait.Load() != "0" {
					refused.Add(1)
					w.Header().Set("Retry-After", wait.Load().(string))
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	})
	push(t, address, "team/api:1", nil)
	refused.Store(0)
	r := putRegistry(t, s, org, address)
	require.NoError(t, (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), r, nil))
	require.EqualValues(t, 3, refused.Load(), "tags, manifest, config")
	require.Len(t, assetsOf(t, s, org), 1)
	// Hours are too long.
	wait.Store("21600")
	var failed *ScanError
	require.ErrorAs(t, (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), r, nil), &failed)
	require.Contains(t, failed.Reason, "429")
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{"7": 7 * time.Second, "-7": 0, "Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0, "99999999999": 1 << 30 * time.Second} {
		got, ok := retryAfter(text, now)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "soon", "1.5"} {
		_, ok := retryAfter(text, now)
		require.False(t, ok, text)
	}
}

// TestS13ScanStaysWithHTTPS: a URL that says https is never asked without, wherever its host is, so that nobody who can close
// a port is sent the password in the clear.
func TestS13ScanStaysWithHTTPS(t *testing.T) {
	s, org := onSQLite(t)
	var clear atomic.Int64
	address := startRegistry(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			clear.Add(1)
			next.ServeHTTP(w, r)
		})
	})
	push(t, address, "team/api:1", nil)
	clear.Store(0)
	r := &models.AssetRegistry{OrganizationID: org.ID, Name: "hub", URL: strings.Replace(address, "http://", "https://", 1), Username: "robot"}
	password := "s3cret-canary"
	require.NoError(t, s.PutAssetRegistry(t.Context(), r, &password))
	var failed *ScanError
	require.ErrorAs(t, (&Scanner{Store: s, Network: loopback}).Scan(t.Context(), models.NewID(), r, nil), &failed)
	require.Zero(t, clear.Load(), "requests in the clear")
	require.Contains(t, failed.Reason, "https")
	// Nor by a redirect.
	redirected, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/v2/", nil)
	require.NoError(t, err)
	_, err = (&boundedTransport{next: http.DefaultTransport, limits: ScanLimits{}.withDefaults(), secure: true}).RoundTrip(redirected) //nolint:bodyclose // there is none
	require.ErrorContains(t, err, "https")
	require.Zero(t, clear.Load())
}

// TestScanOfImagesThatSayTooMuch: tools put whole bills of materials into labels and scripts into the history. What is too
// long or cannot be stored is left out, and the image is there.
func TestScanOfImagesThatSayTooMuch(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		address := startRegistry(t, nil)
		change := func(tag string, change func(c *v1.ConfigFile)) string {
			img, err := random.Image(100, 1)
			require.NoError(t, err)
			c, err := img.ConfigFile()
			require.NoError(t, err)
			c = c.DeepCopy()
			c.Architecture, c.OS, c.Author = "amd64", "linux", "ada"
			change(c)
			img, err = mutate.ConfigFile(img, c)
			require.NoError(t, err)
			pushImage(t, address, "big:"+tag, img)
			return "big@" + configOf(t, img)
		}
		long := strings.Repeat("x", 100<<10)
		labels := change("labels", func(c *v1.ConfigFile) {
			c.Config.Labels = map[string]string{"bom": long, "nul": "a\x00b", "": "empty", "good": "yes", strings.Repeat("k", 2000): "long key"}
		})
		history := change("history", func(c *v1.ConfigFile) {
			c.History = slices.Repeat([]v1.History{{CreatedBy: long}}, 20)
			c.Config.User = "root"
		})
		everything := change("everything", func(c *v1.ConfigFile) {
			c.History = slices.Repeat([]v1.History{{CreatedBy: long}}, 20)
			c.Config.Env = slices.Repeat([]string{long}, 20)
		})
		platform := change("platform", func(c *v1.ConfigFile) { c.Architecture, c.OS = "a\nb", long })
		ports := change("ports", func(c *v1.ConfigFile) {
			c.Config.ExposedPorts = map[string]struct{}{"8080": {}, "53/udp": {}, "80/TCP": {}, "1-5/tcp": {}, "$PORT": {}, "9/sctp": {}}
		})
		require.NoError(t, scanOf(t, s, org, address))
		found := assetsOf(t, s, org)
		require.Len(t, found, 5)
		list, err := s.ListAssets(t.Context(), models.AssetQuery{Organizations: []string{org.ID}, Filter: mustParse(t, "image_labels.good==yes;image_labels.bom==''"), Limit: 10})
		require.NoError(t, err)
		require.Len(t, list.Assets, 1)
		require.Equal(t, found[labels].ID, list.Assets[0].ID)
		require.NotContains(t, string(found[history].Document), "created_by")
		require.Contains(t, string(found[history].Document), `"user":"root"`)
		require.Contains(t, string(found[everything].Document), `"author":"ada"`)
		require.Less(t, len(found[everything].Document), 10_000)
		require.Empty(t, found[platform].Architecture+found[platform].OS)
		require.Contains(t, string(found[ports].Document), `"exposed_ports":["53/udp","80/tcp","8080/tcp"]`)
	})
}

func mustParse(t *testing.T, filter string) rsql.Node {
	t.Helper()
	n, err := rsql.Parse(filter)
	require.NoError(t, err)
	return n
}

// TestScanTakesBoundedMemory: the images of a repository are kept until it is read, so they may say so much of themselves
// together and no more. The others are read.
func TestScanTakesBoundedMemory(t *testing.T) {
	s, org := onSQLite(t)
	address := startRegistry(t, nil)
	for i := range 6 {
		push(t, address, fmt.Sprintf("team/api:%d", i), map[string]string{"bom": strings.Repeat("x", 20<<10)})
	}
	push(t, address, "team/web:1", nil)
	err := (&Scanner{Store: s, Network: loopback, Limits: ScanLimits{Kept: 100 << 10, Failures: 3}}).Scan(t.Context(), models.NewID(), putRegistry(t, s, org, address), nil)
	var failed *ScanError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.Reason, "over the limit of 102400 bytes")
	require.Len(t, assetsOf(t, s, org), 2+1, "each has its label twice: in its attributes and to be found by")
}

// TestScanSaysHowFarItIsInARepository: one of thousands of tags may be the only one.
func TestScanSaysHowFarItIsInARepository(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *models.Store, org *models.Organization) {
		address := startRegistry(t, nil)
		for i := range 3 {
			push(t, address, fmt.Sprintf("team/api:%d", i), nil)
		}
		id := models.NewID()
		var said, stored [][2]int64
		require.NoError(t, (&Scanner{Store: s, Network: loopback, ProgressEvery: 1}).Scan(t.Context(), id, putRegistry(t, s, org, address), func(p models.AssetScan) {
			said = append(said, [2]int64{p.Images, p.Reading})
			if there, err := s.AssetScanByID(t.Context(), id); err == nil {
				stored = append(stored, [2]int64{there.Images, there.Reading})
			}
		}))
		require.Equal(t, [][2]int64{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {3, 0}}, said)
		require.Equal(t, said[:4], stored, "the one before")
	})
}
