package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"slipway/models"
)

// TestR1AssetSearchWhoseWorkerIsKilled: a search goes on elsewhere, and whoever waits for its results gets them.
func TestR1AssetSearchWhoseWorkerIsKilled(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	worker := s.startWorker("worker-1")
	org := &models.Organization{Canonical: "acme", Kind: models.OrganizationOrg}
	require.NoError(t, s.store.CreateOrganization(t.Context(), org))
	var images []models.Image
	for i := range 12 {
		img := models.Image{Registry: "docker.io", Repository: fmt.Sprintf("team/app-%d", i), ConfigDigest: fmt.Sprintf("sha256:%064x", i)}
		require.NoError(t, img.Check())
		images = append(images, img)
	}
	_, err := s.store.PutImages(t.Context(), org.ID, images, false)
	require.NoError(t, err)

	b := s.block("LOCK TABLE asset_search_results IN ACCESS EXCLUSIVE MODE")
	request, err := http.NewRequest("POST", s.url+"/orgs/"+org.ID+"/inventory/assets/searches", strings.NewReader(`{"data":{"type":"searches","attributes":{"filter":"name==app-1*"}}}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Token "+s.token)
	request.Header.Set("Content-Type", "application/vnd.api+json")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusFound, response.StatusCode)
	results := response.Header.Get("Location")
	b.waited()
	worker.kill()
	b.forget()
	b.release()
	s.startWorker("worker-2")
	var page struct{ Data []struct{ ID string } }
	await(t, "the search has ended", func() (bool, string) {
		a := s.do("GET", results, nil, "Accept: application/vnd.api+json")
		require.Contains(t, []int{200, 202}, a.status, "%s", a.body)
		require.NoError(t, json.Unmarshal(a.body, &page))
		return a.status == 200, string(a.body)
	})
	require.Len(t, page.Data, 3, "app-1, app-10 and app-11, once each")
}

// TestR1AssetScanWhoseWorkerIsKilled: a scan goes on at the repository that it was at, and shows how far it is.
func TestR1AssetScanWhoseWorkerIsKilled(t *testing.T) {
	t.Parallel()
	s := newStack(t, stackOptions{processes: true})
	s.startAPI("api", s.address())
	worker := s.startWorker("worker-1")
	org := &models.Organization{Canonical: "acme", Kind: models.OrganizationOrg}
	require.NoError(t, s.store.CreateOrganization(t.Context(), org))

	var mu sync.Mutex
	var asked []string
	reached, ended := make(chan struct{}), make(chan struct{})
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if repository, ok := strings.CutSuffix(r.URL.Path, "/tags/list"); ok {
			mu.Lock()
			asked = append(asked, strings.TrimPrefix(repository, "/v2/"))
			n := len(asked)
			mu.Unlock()
			if n == 2 { // b, for the first time: its reader dies
				close(reached)
				<-r.Context().Done()
				close(ended)
				return
			}
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	for _, repository := range []string{"a", "b", "c"} {
		img, err := random.Image(100, 1)
		require.NoError(t, err)
		ref, err := name.ParseReference(u.Host+"/"+repository+":1", name.Insecure)
		require.NoError(t, err)
		require.NoError(t, remote.Write(ref, img))
	}
	base := "/api/v1/slipway/organizations/acme/asset-registries/hub/"
	require.Equal(t, 200, s.do("PUT", base, map[string]any{"url": server.URL}).status)
	var scan struct{ ID string }
	started := s.do("POST", base+"scans/", nil)
	require.Equal(t, 202, started.status, "%s", started.body)
	require.NoError(t, json.Unmarshal(started.body, &scan))
	get := func() map[string]any {
		a := s.do("GET", base+"scans/"+scan.ID+"/", nil)
		require.Equal(t, 200, a.status, "%s", a.body)
		progress := map[string]any{}
		require.NoError(t, json.Unmarshal(a.body, &progress))
		return progress
	}
	<-reached
	progress := get()
	require.Equal(t, "running", progress["status"])
	require.EqualValues(t, 3, progress["repositories"])
	require.EqualValues(t, 1, progress["repositories_done"])
	worker.kill()
	<-ended
	s.startWorker("worker-2")
	await(t, "the scan has ended", func() (bool, string) {
		progress = get()
		return progress["finished_at"] != nil, fmt.Sprint(progress)
	})
	require.Equal(t, "ok", progress["status"], "%v", progress)
	require.EqualValues(t, 3, progress["repositories_done"])
	require.EqualValues(t, 3, progress["images"])
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"a", "b", "b", "c"}, asked)
	n, err := s.store.CountAssets(t.Context(), models.AssetQuery{Organizations: []string{org.ID}})
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
}
