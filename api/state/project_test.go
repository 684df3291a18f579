package state_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// pixel is a PNG of one pixel.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

func TestProjects(t *testing.T) {
	onBoth(t, func(t *testing.T, k *kit) {
		olga := k.as("olga")
		require.Empty(t, olga.post("/api/v1/state/shop/add-project", map[string]any{"name": "shop", "description": "A shop", "logo": pixel, "org_url": "https://example.com"}).ok())
		require.Equal(t, "Resource already exists", olga.post("/api/v1/state/shop/add-project", map[string]any{}).is(http.StatusConflict))
		require.Contains(t, olga.post("/api/v1/state/-x/add-project", map[string]any{}).is(http.StatusBadRequest), "The project name '-x' is not allowed. Expected a string matching /^[a-zA-Z0-9]+[a-zA-Z0-9-_]+$/")
		require.Equal(t, "Project 'name' field doesn't correspond with URL", olga.post("/api/v1/state/other/add-project", map[string]any{"name": "shop"}).is(http.StatusBadRequest))

		list := olga.get("/api/v1/state/").object()
		require.Len(t, list, 1)
		require.Equal(t, map[string]any{"name": "shop", "description": "A shop", "logo": "", "org_url": "https://example.com", "permission": "owner"}, list["shop"])
		require.Equal(t, "admin", k.as("admin").get("/api/v1/state/").object()["shop"].(map[string]any)["permission"])
		require.Equal(t, "{}\n", k.as("sam").get("/api/v1/state/").ok(), "a stranger sees no projects")

		project := olga.get("/api/v1/state/shop/").object()
		require.Equal(t, pixel, project["logo"])
		require.Equal(t, map[string]any{}, project["environments"])
		logo := olga.get("/api/v1/state/shop/logo")
		want, _ := base64.StdEncoding.DecodeString(pixel)
		require.Equal(t, string(want), logo.ok())
		require.Equal(t, "image/png", logo.header.Get("Content-Type"))
		require.Equal(t, "nosniff", logo.header.Get("X-Content-Type-Options"))

		olga.put("/api/v1/state/shop/", map[string]any{"name": "shop", "description": "Still a shop"}).ok()
		project = olga.get("/api/v1/state/shop/").object()
		require.Equal(t, "Still a shop", project["description"])
		require.Equal(t, pixel, project["logo"], "a PUT without a logo keeps it")
		olga.put("/api/v1/state/shop/", project).ok() // what was read can be written back
		olga.put("/api/v1/state/shop/", map[string]any{"logo": ""}).ok()
		require.Equal(t, "the project has no logo", olga.get("/api/v1/state/shop/logo").is(http.StatusNotFound))

		require.Equal(t, map[string]any{"can_manage_subscriptions": true}, olga.get("/api/v1/state/shop/can-manage-subscriptions").object())
		require.Equal(t, `["read","write","owner"]`+"\n", olga.get("/api/v1/state/shop/rbac/valid-roles").ok())

		olga.delete("/api/v1/state/shop/").ok()
		require.Equal(t, "not found", olga.get("/api/v1/state/shop/").is(http.StatusNotFound))
		olga.post("/api/v1/state/shop/add-project", nil).is(http.StatusBadRequest)
		olga.post("/api/v1/state/shop/add-project", map[string]any{}).ok()
	})
}

func TestLogoIsARealImage(t *testing.T) {
	k := onSQLite(t)
	k.shop()
	svg := base64.StdEncoding.EncodeToString([]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`))
	html := base64.StdEncoding.EncodeToString([]byte(`<!doctype html><script>alert(1)</script>`))
	large := base64.StdEncoding.EncodeToString(append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 512<<10)...))
	for name, c := range map[string]struct{ logo, message string }{
		"svg": {svg, "expected a PNG, JPEG, GIF or WebP image"}, "html": {html, "expected a PNG, JPEG, GIF or WebP image"},
		"not base64": {"***", "expected the image as base64"}, "too large": {large, "at most 524288 bytes"}, "data without base64": {"data:image/png,x", "expected the image as base64"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, k.as("olga").put("/api/v1/state/shop/", map[string]any{"logo": c.logo}).is(http.StatusBadRequest), c.message)
		})
	}
	k.as("olga").put("/api/v1/state/shop/", map[string]any{"logo": "data:image/png;base64," + pixel}).ok()
}
