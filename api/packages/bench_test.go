//go:build bench

package packages_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/blob"
	"slipway/internal/composer"
	"slipway/models"
)

func figure(name string, value, bound float64, ok bool) {
	verdict := "short"
	if ok {
		verdict = "ok"
	}
	fmt.Printf("RATIO %s %.3g goal %.3g %s\n", name, value, bound, verdict)
}

// publish adds versions with their archives' metadata straight to the store: archives themselves are not what is measured.
func (s *server) publish(tx *models.Store, packageID int64, name string, versions ...string) {
	ctx := s.t.Context()
	for _, text := range versions {
		normal, err := composer.Normalize(text)
		require.NoError(s.t, err)
		v := &models.PackageVersion{PackageID: packageID, Name: text, Normalized: normal, Status: models.StatusEnabled}
		require.NoError(s.t, tx.CreatePackageVersion(ctx, v))
		m, err := composer.ReadManifest([]byte(fmt.Sprintf(`{"name":%q,"description":"A package of middling size","type":"library","license":"MIT",
			"authors":[{"name":"Ada","email":"ada@example.com"}],"require":{"php":">=8.1","acme/log":"^1.%d","acme/http":"^2.0"},
			"autoload":{"psr-4":{"Acme\\Pack\\":"src/"}},"extra":{"branch-alias":{"dev-main":"1.x-dev"}}}`, name, v.ID/100)))
		require.NoError(s.t, err)
		meta, err := m.Metadata(text)
		require.NoError(s.t, err)
		b, err := meta.MarshalJSON()
		require.NoError(s.t, err)
		key := fmt.Sprintf("composer/%s/%d.zip", name, v.ID)
		require.NoError(s.t, tx.BeginUpload(ctx, key))
		sha1 := fmt.Sprintf("%040x", v.ID*7919)
		require.NoError(s.t, tx.CompletePackageUpload(ctx, v, "", models.PackageArchive{Object: blob.Object{Key: key, Size: 1000, SHA256: fmt.Sprintf("%064x", v.ID)},
			SHA1: sha1, Reference: sha1, Metadata: string(b), Filename: "x.zip"}))
	}
}

// medians runs all of fs in turn for a while and gives the middle of each one's times: the machine has other work, which
// must hit all alike.
func medians(fs ...func()) []time.Duration {
	times := make([][]time.Duration, len(fs))
	for end := time.Now().Add(time.Duration(len(fs)) * 1500 * time.Millisecond); time.Now().Before(end) || len(times[0]) < 20; {
		for i, f := range fs {
			begin := time.Now()
			f()
			times[i] = append(times[i], time.Since(begin))
		}
	}
	out := make([]time.Duration, len(fs))
	for i := range times {
		slices.Sort(times[i])
		out[i] = times[i][len(times[i])/2]
	}
	return out
}

// TestBenchPackageFile compares the p2 file of a package with 1,000 versions, for a consumer with 100 permissions, with the
// same bytes from a static file handler.
func TestBenchPackageFile(t *testing.T) {
	s := newServer(t, postgres(t))
	big := s.newPackage("acme/big")
	require.NoError(t, s.store.Tx(t.Context(), func(tx *models.Store) error {
		for i := range 1000 {
			s.publish(tx, big, "acme/big", fmt.Sprintf("%d.%d.%d", i/100, i/10%10, i%10))
		}
		return nil
	}))
	c := s.newConsumer("a@example.com")
	constraints := []string{"0.*", "^1.0", "~2.0", ">=3.0 <5.0", "5.* || 6.*", "^7.0", "8.0 - 8.99", ">=9.0", "!=9.9.9", "4.2.1"}
	for i := range 100 {
		id := big
		if i >= len(constraints) {
			id = s.newPackage(fmt.Sprintf("acme/small-%d", i))
		}
		s.permit(c, id, constraints[i%len(constraints)])
	}
	const path = "/p2/acme/big.json"
	first := c.get(path, "")
	require.Equal(t, 200, first.status)
	require.Len(t, c.versions("acme/big"), 1000)

	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "big.json"), first.body, 0o600))
	static := httptest.NewServer(http.FileServer(http.Dir(folder)))
	defer static.Close()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	fetch := func(url, since string, want int) func() {
		req, err := http.NewRequest("GET", url, nil)
		require.NoError(t, err)
		req.SetBasicAuth(c.public, c.private)
		if since != "" {
			req.Header.Set("If-Modified-Since", since)
		}
		return func() {
			res, err := client.Do(req)
			if err != nil || res.StatusCode != want {
				t.Fatal(err, res)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}
	res, err := client.Get(static.URL + "/big.json")
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(first.body, b))
	res.Body.Close()

	// What the server itself has to do anew after a change: its consumer has changed, and nobody has asked for the file
	// since.
	touch := func() {
		require.NoError(t, s.store.UpdateConsumer(t.Context(), must(s.store.ConsumerByID(t.Context(), c.id)), c.private))
	}
	get := fetch(s.url+path, "", 200)
	m := medians(fetch(static.URL+"/big.json", "", 200), get,
		fetch(s.url+path, first.header.Get("Last-Modified"), 304), fetch(static.URL+"/big.json", res.Header.Get("Last-Modified"), 304))
	bare, full, unchanged, bareUnchanged := m[0], m[1], m[2], m[3]
	m = medians(touch, func() { touch(); get() })
	afterChange := m[1] - m[0]
	fmt.Printf("# p2 of %d bytes: static %s, full %s, after a change of the consumer %s; 304 %s, static 304 %s\n",
		len(first.body), bare, full, afterChange, unchanged, bareUnchanged)
	ratio := float64(bare) / float64(full)
	figure("packages_p2_uncached", ratio, 0.5, ratio >= 0.5)
	ratio = float64(bare) / float64(unchanged)
	figure("packages_p2_not_modified", ratio, 0.9, ratio >= 0.9)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestBenchRoot measures packages.json with 10,000 packages, when nothing of it is known yet.
func TestBenchRoot(t *testing.T) {
	s := newServer(t, postgres(t))
	c := s.newConsumer("a@example.com")
	const packages = 10_000
	db, err := pgx.Connect(t.Context(), s.store.URL())
	require.NoError(t, err)
	defer db.Close(context.Background())
	for _, q := range []string{
		`INSERT INTO packages (organization_id, name, description, status, revision, created_at, updated_at)
			SELECT o.id, 'vendor-' || n / 100 || '/package-' || n, '', 1, 1, now(), now() FROM organizations o, generate_series(1, 10000) n WHERE o.canonical = 'default'`,
		`INSERT INTO package_versions (package_id, name, normalized, filename, status, metadata, archive_key, archive_size, archive_sha1, archive_sha256,
			reference, uploaded_at, downloads, created_at, updated_at)
			SELECT id, v, v || '.0', 'x.zip', 1, '{"name":"' || p.name || '","version":"' || v || '"}', p.name || v, 1, '', '', '', now(), 0, now(), now()
			FROM packages p, (VALUES ('1.0.0'), ('1.1.0')) AS w (v)`,
		fmt.Sprintf(`INSERT INTO package_permissions (consumer_id, package_id, version, created_at, updated_at)
			SELECT %d, id, '^1.0', now(), now() FROM packages`, c.id),
		"ANALYZE",
	} {
		_, err := db.Exec(t.Context(), q)
		require.NoError(t, err)
	}
	touch := func() {
		require.NoError(t, s.store.UpdateConsumer(t.Context(), must(s.store.ConsumerByID(t.Context(), c.id)), c.private))
	}
	touch()
	require.Len(t, c.available(), packages)
	m := medians(touch, func() {
		touch()
		if a := c.get("/packages.json", ""); a.status != 200 {
			t.Fatal(a.status)
		}
	}, func() { c.get("/packages.json", "") })
	anew, again := m[1]-m[0], m[2]
	fmt.Printf("# packages.json of %d packages: after a change of the consumer %s, again %s\n", packages, anew, again)
	ms := float64(anew) / float64(time.Millisecond)
	figure("packages_root_10000_ms", ms, 50, ms <= 50)
}

// TestBenchConstraints measures matching, as the p2 files do it.
func TestBenchConstraints(t *testing.T) {
	var versions []composer.Version
	for i := range 1000 {
		versions = append(versions, must(composer.ParseVersion(fmt.Sprintf("%d.%d.%d", i/100, i/10%10, i%10))))
	}
	c := must(composer.ParseConstraint(">=1.2 <2.0 || ^3.1 || ~5.0.1 || 7.*"))
	matched := 0
	took := medians(func() {
		for _, v := range versions {
			if c.Matches(v) {
				matched++
			}
		}
	})[0]
	require.NotZero(t, matched)
	us := float64(took) / float64(len(versions)) / float64(time.Microsecond)
	figure("packages_constraint_us", us, 2, us <= 2)
}
